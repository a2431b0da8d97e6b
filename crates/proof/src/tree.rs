//! The tree of RFC 6962, section 2.1: roots and audit paths over hashes in memory.
//!
//! Levels are built from the leaves up; the last node of an odd level moves up unpaired. That gives the same tree as
//! the RFC's definition by splitting at the largest power of two.

use crate::hash::Hash;
use crate::tag;

/// An inner node.
pub(crate) fn node(left: Hash, right: Hash) -> Hash {
    Hash::of(&[&[tag::NODE], &left.0, &right.0])
}

/// The root of the tree over these hashes (MTH of the RFC): leaves, or the roots of aligned full subtrees of one
/// height, the last of which may be partial. The root over nothing is the hash of no bytes.
pub fn subtree_root(leaves: &[Hash]) -> Hash {
    if leaves.is_empty() {
        return Hash::of(&[]);
    }
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = parents(&level);
    }
    level[0]
}

/// The hashes that lead from `leaves[index]` to the root, the lowest first (PATH of the RFC).
///
/// # Panics
/// When there is no such leaf.
pub(crate) fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    assert!(index < leaves.len(), "leaf {index} of a tree of {}", leaves.len());
    let (mut level, mut at, mut path) = (leaves.to_vec(), index, Vec::new());
    while level.len() > 1 {
        path.extend(level.get(at ^ 1));
        level = parents(&level);
        at >>= 1;
    }
    path
}

fn parents(level: &[Hash]) -> Vec<Hash> {
    let (pairs, odd) = level.as_chunks::<2>();
    pairs.iter().map(|[left, right]| node(*left, *right)).chain(odd.iter().copied()).collect()
}

/// The root that an audit path leads to from leaf number `index` (from 0) of a tree of `size` leaves; `None` when the
/// path is too long or too short for them. RFC 9162, section 2.1.3.2.
pub fn root_of_path(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut root) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if at & 1 == 1 || at == last {
            root = node(*sibling, root);
            // Levels where the node stood unpaired at the end gave no sibling.
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            root = node(root, *sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}
