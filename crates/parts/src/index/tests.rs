//! The index against plain lists of rows.

mod bytes;
mod damage;
mod fixture;
mod lookups;
