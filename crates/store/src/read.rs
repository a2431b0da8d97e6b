//! Reads: what to return is picked under the lock as cheap handles, then made into events outside of it.

mod pick;
mod reader;

pub(crate) use pick::{Picked, pick_entity, pick_one, pick_scan, places, version_within};
pub(crate) use reader::Reader;
