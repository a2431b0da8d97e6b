//! Numbers that are stored or sent, each a type of its own so that none is mistaken for another.

use alloc::format;
use core::fmt;
use core::str::FromStr;

use crate::id::Invalid;
use crate::limits::PARTITIONS;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Zero.
            pub const ZERO: $name = $name(0);

            /// Wraps a plain number.
            pub const fn new(number: u64) -> $name {
                $name(number)
            }

            /// The plain number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )* };
}

macro_rules! counters {
    ($($name:ident)*) => { $(
        impl $name {
            /// The highest number there is.
            pub const MAX: $name = $name(u64::MAX);

            /// The number that follows without a gap.
            ///
            /// # Panics
            /// At 2^64: a number is never reused, so there is no way on.
            #[must_use]
            pub const fn next(self) -> $name {
                self.plus(1)
            }

            /// The number `n` further on.
            ///
            /// # Panics
            /// Beyond 2^64, like [`next`](Self::next).
            #[must_use]
            pub const fn plus(self, n: u64) -> $name {
                $name(self.0.checked_add(n).expect("64 bits outlast every partition"))
            }

            /// The number `n` further on, or `None` beyond 2^64.
            pub const fn checked_add(self, n: u64) -> Option<$name> {
                match self.0.checked_add(n) {
                    Some(number) => Some($name(number)),
                    None => None,
                }
            }

            /// The number before, or `None` at zero.
            pub const fn previous(self) -> Option<$name> {
                match self.0.checked_sub(1) {
                    Some(number) => Some($name(number)),
                    None => None,
                }
            }

            /// True at zero, where nothing has been counted yet.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
        }
    )* };
}

numbers! {
    /// Gapless number of an event within its entity, from 1. Zero: the entity has no event yet.
    Version;
    /// Gapless number of an event within its partition, from 1. Zero: nothing yet.
    Position;
    /// Index of an entry in a partition's log. Counts entries that store no event too, so users never see it.
    LogIndex;
    /// Which line of a tenant's events: [`ForkId::MAIN`], or a copy-on-write fork of it.
    ForkId;
    /// 64-bit hash over everything a client says about an event, its entity included and its id not. Two requests
    /// with one event id are the same request only when these are equal too.
    ContentHash;
}

counters! { Version Position LogIndex }

impl ForkId {
    /// The line every tenant has.
    pub const MAIN: ForkId = ForkId(0);
}

/// One of the 32 data partitions, or the system partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(u8);

impl PartitionId {
    /// The partition of the cluster's own data. No client event is ever placed here.
    pub const SYSTEM: PartitionId = PartitionId(PARTITIONS);

    /// The data partition with this number; `None` from 32 on.
    pub const fn new(number: u8) -> Option<PartitionId> {
        if number < PARTITIONS { Some(PartitionId(number)) } else { None }
    }

    /// The data partition with this number, or the system partition for 32; `None` beyond.
    pub const fn of_group(number: u8) -> Option<PartitionId> {
        if number <= PARTITIONS { Some(PartitionId(number)) } else { None }
    }

    /// All data partitions, in order.
    pub fn all() -> impl ExactSizeIterator<Item = PartitionId> + DoubleEndedIterator + Clone {
        (0..PARTITIONS).map(PartitionId)
    }

    /// The number: 0..=31, or 32 for the system partition.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The number as an index into an array of all partitions.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A node of a cluster, as people call it: `n2`. Given once, from 1, and never again: a node whose disk was lost comes back as
/// another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The node that founds a cluster.
    pub const FIRST: NodeId = NodeId(1);

    /// The node of this number.
    pub const fn new(number: u64) -> NodeId {
        NodeId(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for NodeId {
    fn from(number: u64) -> NodeId {
        NodeId(number)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("n{}", self.0))
    }
}

impl FromStr for NodeId {
    type Err = Invalid;

    /// Reads `n2` or `2`.
    fn from_str(text: &str) -> Result<NodeId, Invalid> {
        let digits = text.strip_prefix('n').unwrap_or(text);
        let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_plain.then(|| digits.parse::<u64>().ok()).flatten().filter(|number| *number > 0);
        let reason = || format!("is {text:?}; give a node's name or number, such as n2 or 2");
        number.map(NodeId).ok_or_else(|| Invalid::new("node", reason()))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn there_are_exactly_32_data_partitions_and_one_more_group() {
        assert_eq!(
            PartitionId::all().map(PartitionId::get).collect::<alloc::vec::Vec<_>>(),
            (0..32).collect::<alloc::vec::Vec<_>>()
        );
        assert_eq!(PartitionId::new(31).map(PartitionId::get), Some(31));
        assert_eq!(PartitionId::new(32), None);
        assert_eq!(PartitionId::of_group(32), Some(PartitionId::SYSTEM));
        assert_eq!(PartitionId::of_group(33), None);
        assert!(PartitionId::all().all(|p| p != PartitionId::SYSTEM));
    }

    #[test]
    fn a_node_is_known_by_its_name_and_by_its_number() {
        assert_eq!("n2".parse(), Ok(NodeId::new(2)));
        assert_eq!("17".parse(), Ok(NodeId::new(17)));
        assert_eq!(NodeId::new(2).to_string(), "n2");
        for text in ["", "n", "n0", "0", "nn2", "+2", "two", "n-1", "99999999999999999999"] {
            let refused = text.parse::<NodeId>().unwrap_err();
            assert!(refused.reason.contains("n2 or 2"), "{refused}");
        }
    }

    #[test]
    fn numbers_count_without_a_gap_and_never_wrap() {
        let last = Version::MAX;
        assert_eq!(Version::ZERO.next(), Version::new(1));
        assert_eq!(Version::ZERO.previous(), None);
        assert_eq!(last.checked_add(1), None);
        assert_eq!(last.previous().and_then(|v| v.checked_add(1)), Some(last));
    }

    #[test]
    #[should_panic(expected = "64 bits outlast")]
    fn a_number_is_never_reused_after_the_last() {
        let _ = Position::MAX.next();
    }
}
