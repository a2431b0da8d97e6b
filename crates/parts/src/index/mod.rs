//! The index of a part: where in it an id, an entity, a type or a moment is, and everything about a row but its id and
//! its bytes.
#![doc = include_str!("../../INDEX.md")]

mod builder;
mod codec;
mod hashes;
mod intern;
mod lists;
mod matching;
mod names;
mod pages;
mod reader;
mod rows;
mod tail;
#[cfg(test)]
mod tests;

pub(crate) use builder::{Built, IndexBuilder, IndexRow};
pub use reader::{Counts, TypeCount};
pub(crate) use reader::{Index, RowFields};

/// A row of a part, from 0: its event's position is the part's first position plus this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Row(pub(crate) u32);
