//! The limits, all of them.

/// Bytes on all disks by the [model](crate::disk), at most, at the end of the last rounds.
pub const DISK_OVER_MODEL_MAX: f64 = 1.3;

/// A limit of something that may waver and must not grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Of what.
    pub what: &'static str,
    /// In what it is counted.
    pub unit: &'static str,
    /// The most it may be.
    pub most: f64,
    /// Why so much.
    pub why: &'static str,
}

/// How much memory a process may gain.
pub(super) const MEMORY: Limit =
    Limit { what: "memory", unit: "MiB/h", most: 1.0, why: "168 hours of it fit into any machine" };
/// How many descriptors a process may gain.
pub(super) const DESCRIPTORS: Limit = Limit {
    what: "descriptors",
    unit: "per hour",
    most: 1.0,
    why: "none is meant; less than one in an hour cannot be told from the coming and going of connections",
};
/// How many threads a process may gain.
pub(super) const THREADS: Limit =
    Limit { what: "threads", unit: "per hour", most: 1.0, why: "as with descriptors" };
/// How much slower half of the operations may become over the whole run, in parts of what is usual.
pub(super) const P50: Limit =
    Limit { what: "p50", unit: "of usual", most: 0.25, why: "a cluster that ages is slower at the end" };
/// How much slower one of a hundred may become.
pub(super) const P99: Limit = Limit { what: "p99", unit: "of usual", most: 0.5, why: "tails waver more" };

/// All limits of slopes.
pub const LIMITS: [Limit; 5] = [MEMORY, DESCRIPTORS, THREADS, P50, P99];
