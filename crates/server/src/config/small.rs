//! Bounds for nodes that live for minutes.

/// How little has to gather until a node does what it does now and then. No configuration file has it: it is for
/// simulations, whose minutes have to show what takes a node days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Small {
    /// Events of a partition after which they are cut off to become a part.
    pub cut_events: u64,
    /// Entries that stay in a log though parts have taken them in: a follower that is further behind is sent parts.
    pub entries_kept: u64,
}
