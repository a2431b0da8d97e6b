//! Moments, as numbers that come in as arguments.

use core::fmt;

/// A moment: microseconds since the Unix epoch, UTC, leap seconds not counted. It may lie before the epoch.
///
/// There is no `now` here, and no calendar: both belong to the edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch. Also what a partition that has stored nothing gives as its last moment when asked.
    pub const ZERO: Timestamp = Timestamp(0);
    /// Before every other moment.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// After every other moment.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// The moment this many microseconds after the epoch.
    pub const fn new(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    /// Microseconds since the epoch.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
