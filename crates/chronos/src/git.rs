//! The history of a git repository as events.

pub(crate) mod events;
pub(crate) mod log;
