//! Roots and audit paths over leaves that lie elsewhere.
//!
//! Storage keeps the root of every full chunk of [`CHUNK_LEAVES`] leaves, so that a root or a path touches the leaves
//! of one chunk only. A chunk is a full subtree, and the tree over all leaves is the tree over the roots of its chunks,
//! the last of which may be partial.

use crate::frontier::Frontier;
use crate::hash::Hash;
use crate::tree::{path, subtree_root};

/// Height of a chunk's subtree.
pub const CHUNK_HEIGHT: u32 = 10;
/// Leaves of a chunk: chunk k holds leaves 1024k to 1024k+1023. The leaf of position p has number p - 1.
pub const CHUNK_LEAVES: u64 = 1 << CHUNK_HEIGHT;

/// Where the leaves of one history are read.
pub trait Leaves {
    /// Why they could not be read.
    type Error;

    /// The root of the full chunk with this number.
    ///
    /// # Errors
    /// When it cannot be read.
    fn chunk(&self, k: u64) -> Result<Hash, Self::Error>;

    /// `count` leaves from number `first` (from 0). Never asked for leaves of more than one chunk.
    ///
    /// # Errors
    /// When they cannot be read.
    fn leaves(&self, first: u64, count: u64) -> Result<Vec<Hash>, Self::Error>;
}

/// The root of the tree over the first `size` leaves. Asks for each full chunk once and for the leaves behind the last.
///
/// # Errors
/// When leaves cannot be read.
///
/// # Panics
/// When `leaves` gives another number of leaves than it was asked for.
pub fn root_at<L: Leaves + ?Sized>(leaves: &L, size: u64) -> Result<Hash, L::Error> {
    let mut frontier = Frontier::new();
    for k in 0..size / CHUNK_LEAVES {
        frontier.push_subtree(CHUNK_HEIGHT, leaves.chunk(k)?);
    }
    for leaf in some(leaves, size - size % CHUNK_LEAVES, size % CHUNK_LEAVES)? {
        frontier.push(leaf);
    }
    Ok(frontier.root())
}

/// The hashes that lead from leaf number `leaf` (from 0) to the root over the first `size` leaves, the lowest first.
/// Asks for each other chunk once, and for the leaves of the leaf's own chunk and of the last partial one.
///
/// # Errors
/// When leaves cannot be read.
///
/// # Panics
/// When `leaf` is not below `size`, or as [`root_at`].
pub fn audit_path<L: Leaves + ?Sized>(leaves: &L, leaf: u64, size: u64) -> Result<Vec<Hash>, L::Error> {
    assert!(leaf < size, "leaf {leaf} of a tree of {size}");
    let own = leaf / CHUNK_LEAVES;
    let (mut hashes, mut chunks) = (Vec::new(), Vec::new());
    for k in 0..size.div_ceil(CHUNK_LEAVES) {
        let first = k * CHUNK_LEAVES;
        let count = (size - first).min(CHUNK_LEAVES);
        chunks.push(if k == own {
            let inside = some(leaves, first, count)?;
            hashes = path(&inside, index(leaf % CHUNK_LEAVES));
            subtree_root(&inside)
        } else if count == CHUNK_LEAVES {
            leaves.chunk(k)?
        } else {
            subtree_root(&some(leaves, first, count)?)
        });
    }
    hashes.extend(path(&chunks, index(own)));
    Ok(hashes)
}

fn some<L: Leaves + ?Sized>(leaves: &L, first: u64, count: u64) -> Result<Vec<Hash>, L::Error> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let found = leaves.leaves(first, count)?;
    assert!(found.len() as u64 == count, "{} leaves instead of {count} from {first}", found.len());
    Ok(found)
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("what is held in memory is counted by a usize")
}
