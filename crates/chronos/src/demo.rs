//! The main job as a show: three nodes, ingest, a leader killed, fail-over, return, equal digests, the past.

pub(crate) mod death;
pub(crate) mod dice;
pub(crate) mod feed;
pub(crate) mod ledger;
pub(crate) mod order;
pub(crate) mod outage;
pub(crate) mod proof;
pub(crate) mod script;
pub(crate) mod show;
pub(crate) mod source;
pub(crate) mod stage;
pub(crate) mod voice;
