//! Reads: what memory holds is picked under the lock as cheap handles, then made into events outside of it; what parts
//! hold is asked outside of it too.

mod entity;
mod mask;
mod pick;
mod reader;
mod scan;

pub(crate) use entity::EntityRead;
pub(crate) use mask::Mask;
pub(crate) use pick::{Picked, hold, known, pick_one};
pub(crate) use reader::Reader;
pub(crate) use scan::step;
