//! Files whose every block is checked before a byte of it is handed out.
//!
//! A file is cut into blocks of 32 KiB, the last one shorter. While it is written, a [`Summer`] takes down one xxh64 of
//! every block, seeded with the file's identity and the block's number, so that a block that stands in the wrong
//! place, or in the wrong file, is as wrong as a flipped bit. The sums of both files of a part lie in the tail of its
//! index, whose own checksum lies in the manifest: the manifest vouches for every byte.
//!
//! A [`CheckedFile`] reads whole blocks and compares each with its sum. It keeps nothing: pages worth keeping are
//! kept decoded, in the [`Cache`](crate::cache::Cache).

mod file;
mod identity;
mod summer;
#[cfg(test)]
mod tests;

pub(crate) use file::{CheckedFile, open_exact, read_whole};
pub(crate) use identity::{FileKind, Identity};
pub(crate) use summer::{FileWriter, Summed, Summer, Sums};

/// Bytes of a block that has a sum of its own.
pub(crate) const BLOCK_BYTES: u64 = 32 << 10;
