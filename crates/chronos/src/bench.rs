//! Closed-loop load: so many callers, each with one request on the way, for so long.

pub(crate) mod load;
pub(crate) mod report;
pub(crate) mod workload;
