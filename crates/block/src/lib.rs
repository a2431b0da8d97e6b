//! One append request, packed once.
//!
//! Whoever makes a request, the client SDK or the server's edge, packs it with [`Packer`]. From then on the same bytes
//! are checksummed, sent, logged, cached and served, and a [`Block`] over them answers for any field without
//! unpacking the rest. [`Recorded`] is one stored event: a block, a place in it, and the numbers apply gave it; a
//! [`Range`] and a [`Filter`] ask for some of them, and a [`Page`] holds them.
//!
//! Bytes from outside go through [`Block::open`], which believes nothing; bytes that passed it once and were kept
//! under a checksum go through [`Block::reopen`], which is cheap. After either, no accessor can fail.
//!
#![doc = include_str!("../FORMAT.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod block;
mod compression;
mod condition;
mod content;
mod dictionary;
mod draft;
mod event;
mod filter;
mod layout;
mod malformed;
mod packer;
mod page;
mod recorded;
mod structure;
mod validate;

pub use block::Block;
pub use compression::Compression;
pub use content::{Content, content_hash};
pub use draft::Draft;
pub use event::{EventRef, Tags};
pub use filter::Filter;
pub use layout::BLOCK_BYTES_MAX;
pub use malformed::Malformed;
pub use packer::Packer;
pub use page::{Direction, Page, Range};
pub use recorded::Recorded;
