//! Which node: the number that the whole project knows it by.

pub use chronos_domain::NodeId;
