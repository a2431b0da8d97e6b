//! The main job as a show: ingest, look back, kill, restart, prove.

pub(crate) mod dice;
pub(crate) mod feed;
pub(crate) mod ledger;
pub(crate) mod order;
pub(crate) mod proof;
pub(crate) mod show;
pub(crate) mod source;
pub(crate) mod stage;
pub(crate) mod voice;
