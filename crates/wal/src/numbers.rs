//! The numbers of the write-ahead log, one type for each line they count along.

use std::fmt;

/// One of the logical logs that share the lanes, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub(crate) u8);

impl LogId {
    /// The log with this number; whether it exists depends on [`crate::Config::logs`].
    pub const fn new(number: u8) -> LogId {
        LogId(number)
    }

    /// The number, from 0.
    pub const fn get(self) -> u8 {
        self.0
    }

    pub(crate) const fn slot(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {}", self.0)
    }
}

/// One of the rows of files that logs are written to, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneId(pub(crate) u8);

impl LaneId {
    /// The lane that `log` is written to when `lanes` are in use.
    pub(crate) fn of(log: LogId, lanes: u8) -> LaneId {
        LaneId(log.0 % lanes)
    }
}

macro_rules! number {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) u64);

        impl $name {
            /// # Panics
            /// If there is none, in all builds: a number that starts again would reorder what it counts.
            pub(crate) const fn next(self) -> Self {
                Self(self.0.checked_add(1).expect("nothing was ever written so often"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Counts the frames of one lane, from 1, across segments, for ever; 0 is before the first.
    LaneSeq
}
number! {
    /// Counts the frames of one log, from 1, across lanes, for ever; 0 is before the first.
    LogSeq
}
number! {
    /// Counts the group commits of one lane, from 1.
    UnitNo
}
number! {
    /// Counts the segments of one lane, from 1, in the order they were put to use.
    SegmentNo
}
