//! Roots, frontiers and audit paths against the definition in RFC 6962, written down as it stands there.

use std::cell::RefCell;
use std::convert::Infallible;

use chronos_proof::Fields;
use chronos_proof::{
    CHUNK_LEAVES, Frontier, Hash, Leaves, audit_path, leaf, root_at, root_of_path, subtree_root,
};
use proptest::prelude::*;

use crate::events::full;

/// As many different leaves as wanted.
fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|n| leaf(&Fields { payload: &n.to_le_bytes(), ..full() })).collect()
}

/// An inner node, as the root over two leaves.
fn node(left: Hash, right: Hash) -> Hash {
    subtree_root(&[left, right])
}

/// The largest power of two below `n`.
fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

/// MTH of section 2.1, for at least one leaf.
fn mth(leaves: &[Hash]) -> Hash {
    if let [leaf] = leaves {
        return *leaf;
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    node(mth(left), mth(right))
}

/// PATH of section 2.1.1.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    if m < k {
        [path(m, left), vec![mth(right)]].concat()
    } else {
        [path(m - k, right), vec![mth(left)]].concat()
    }
}

/// Leaves in memory that count what is asked of them.
struct Stored {
    leaves: Vec<Hash>,
    asked: RefCell<(u64, u64)>,
}

impl Stored {
    fn new(count: u64) -> Stored {
        Stored { leaves: leaves(count), asked: RefCell::default() }
    }

    fn slice(&self, first: u64, count: u64) -> &[Hash] {
        &self.leaves[usize::try_from(first).unwrap()..][..usize::try_from(count).unwrap()]
    }
}

impl Leaves for Stored {
    type Error = Infallible;

    fn chunk(&self, k: u64) -> Result<Hash, Infallible> {
        self.asked.borrow_mut().0 += 1;
        Ok(subtree_root(self.slice(k * CHUNK_LEAVES, CHUNK_LEAVES)))
    }

    fn leaves(&self, first: u64, count: u64) -> Result<Vec<Hash>, Infallible> {
        assert_eq!(first / CHUNK_LEAVES, (first + count - 1) / CHUNK_LEAVES, "leaves of one chunk");
        self.asked.borrow_mut().1 += 1;
        Ok(self.slice(first, count).to_vec())
    }
}

#[test]
fn every_leaf_of_every_small_tree_has_the_path_of_the_rfc_and_it_leads_to_the_root() {
    const MAX: u64 = 300;
    let stored = Stored::new(MAX);
    for size in 1..=MAX {
        let all = stored.slice(0, size);
        let root = subtree_root(all);
        assert_eq!(root, mth(all), "{size} leaves");
        assert_eq!(root_at(&stored, size), Ok(root));
        // All leaves of some sizes, and of the others those at the seams.
        for at in (0..size).filter(|at| size < 40 || at % 61 == 0 || at + 1 == size || *at == 1) {
            let index = usize::try_from(at).unwrap();
            let Ok(hashes) = audit_path(&stored, at, size);
            assert_eq!(hashes, path(index, all), "leaf {at} of {size}");
            assert_eq!(root_of_path(all[index], at, size, &hashes), Some(root), "leaf {at} of {size}");
        }
    }
}

#[test]
fn roots_and_paths_over_chunks_are_those_over_the_leaves() {
    let stored = Stored::new(3 * CHUNK_LEAVES + 5);
    let full = stored.leaves.len() as u64;
    for size in [1, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 3073, full] {
        let all = stored.slice(0, size);
        let root = mth(all);
        assert_eq!(root_at(&stored, size), Ok(root), "{size} leaves");
        for at in
            [0, 1, 1023, 1024, 1500, 2047, 2048, 3071, 3072, size - 1].into_iter().filter(|at| *at < size)
        {
            let index = usize::try_from(at).unwrap();
            let Ok(hashes) = audit_path(&stored, at, size);
            assert_eq!(hashes, path(index, all), "leaf {at} of {size}");
            assert_eq!(root_of_path(all[index], at, size, &hashes), Some(root), "leaf {at} of {size}");
        }
    }
}

#[test]
fn a_root_or_path_asks_for_the_leaves_of_two_chunks_at_most() {
    let stored = Stored::new(3 * CHUNK_LEAVES + 5);
    let size = stored.leaves.len() as u64;
    assert!(root_at(&stored, size).is_ok());
    assert_eq!(stored.asked.take(), (3, 1));
    assert!(audit_path(&stored, 1500, size).is_ok());
    assert_eq!(stored.asked.take(), (2, 2));
}

#[test]
fn a_path_of_another_size_position_or_length_leads_elsewhere() {
    const MAX: u64 = 40;
    let stored = Stored::new(MAX);
    for size in 1..=MAX {
        let root = mth(stored.slice(0, size));
        for at in 0..size {
            let Ok(hashes) = audit_path(&stored, at, size);
            let leaf = stored.leaves[usize::try_from(at).unwrap()];
            for other in (0..MAX + 2).filter(|other| *other != at) {
                assert_ne!(root_of_path(leaf, other, size, &hashes), Some(root), "{at} as {other} of {size}");
            }
            let longer = [hashes.clone(), vec![root]].concat();
            assert_eq!(root_of_path(leaf, at, size, &longer), None);
            if let Some((_, shorter)) = hashes.split_last() {
                assert_eq!(root_of_path(leaf, at, size, shorter), None);
            }
        }
    }
}

#[test]
#[should_panic(expected = "no subtree")]
fn a_subtree_is_pushed_only_where_one_begins() {
    let mut frontier = Frontier::new();
    frontier.push(Hash::default());
    frontier.push_subtree(1, Hash::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Cuts the leaves into aligned subtrees of random heights and pushes those.
    #[test]
    fn pushing_subtrees_is_pushing_their_leaves(count in 0_u64..700, heights in proptest::collection::vec(0_u32..9, 700)) {
        let all = leaves(count);
        let (mut by_leaf, mut by_subtree) = (Frontier::new(), Frontier::new());
        for height in heights {
            let at = usize::try_from(by_subtree.size()).unwrap();
            let wide = (at..all.len()).len() >= 1 << height && at.is_multiple_of(1 << height);
            let height = if wide { height } else { 0 };
            let Some(some) = all.get(at..at + (1 << height)) else { break };
            by_subtree.push_subtree(height, subtree_root(some));
        }
        for (at, leaf) in all.iter().enumerate() {
            if at.is_multiple_of(41) {
                prop_assert_eq!(by_leaf.root(), subtree_root(&all[..at]));
            }
            by_leaf.push(*leaf);
        }
        prop_assert_eq!(by_leaf.size(), count);
        prop_assert_eq!(by_leaf.root(), subtree_root(&all));
        prop_assert_eq!(&by_subtree, &by_leaf);
        prop_assert_eq!(Frontier::decode(&by_leaf.encode()), Ok(by_leaf));
    }

    #[test]
    fn a_frontier_of_another_length_is_refused(count in 0_u64..70, cut in 1_usize..40) {
        let mut frontier = Frontier::new();
        leaves(count).into_iter().for_each(|leaf| frontier.push(leaf));
        let bytes = frontier.encode();
        prop_assert!(Frontier::decode(&bytes[..bytes.len().saturating_sub(cut)]).is_err());
        prop_assert!(Frontier::decode(&[bytes, vec![0; cut]].concat()).is_err());
    }
}
