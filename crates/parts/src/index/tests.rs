//! The index against plain lists of rows.

mod bytes;
mod damage;
pub(super) mod fixture;
mod lookups;
