//! A tree head that grows: the roots of the full subtrees it is made of, and nothing else.

use crate::hash::Hash;
use crate::tree::node;

/// The state of a growing tree of RFC 6962 in at most 64 hashes: one peak for each bit set in its size, the highest
/// subtree first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

/// Bytes that are not a [`Frontier`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree frontier has {bytes} bytes, and its size does not call for that many")]
pub struct BadFrontier {
    /// How many bytes there are.
    pub bytes: usize,
}

impl Frontier {
    /// The empty tree.
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends one leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_subtree(0, leaf);
    }

    /// Appends the 2^`height` leaves of a full subtree by its root.
    ///
    /// # Panics
    /// When the tree's size is not a multiple of 2^`height`: such leaves have no common subtree there.
    pub fn push_subtree(&mut self, height: u32, root: Hash) {
        let leaves = 1_u64.checked_shl(height).expect("a subtree has less than 2^64 leaves");
        assert!(self.size.is_multiple_of(leaves), "{leaves} leaves are no subtree at {}", self.size);
        let after = self.size.checked_add(leaves).expect("64 bits outlast every partition");
        let mut peak = root;
        // Every bit set in a row from `height` up is a peak that has just got its right sibling.
        for _ in 0..(self.size >> height).trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each bit set in the size");
            peak = node(left, peak);
        }
        self.peaks.push(peak);
        self.size = after;
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let root = self.peaks.iter().rev().copied().reduce(|right, left| node(left, right));
        root.unwrap_or_else(|| Hash::of(&[]))
    }

    /// The frontier as bytes: the size, little-endian, then the peaks.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 32 * self.peaks.len());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        bytes.extend(self.peaks.iter().flat_map(|peak| peak.0));
        bytes
    }

    /// Reads all of what [`encode`](Self::encode) wrote. Hashes are taken as they are: whoever stored the bytes checks
    /// that they are the same.
    ///
    /// # Errors
    /// [`BadFrontier`] when the number of bytes does not fit the size they begin with.
    pub fn decode(bytes: &[u8]) -> Result<Frontier, BadFrontier> {
        let bad = BadFrontier { bytes: bytes.len() };
        let (size, hashes) = bytes.split_first_chunk::<8>().ok_or(bad)?;
        let size = u64::from_le_bytes(*size);
        let (peaks, rest) = hashes.as_chunks::<32>();
        if !rest.is_empty() || peaks.len() != size.count_ones() as usize {
            return Err(bad);
        }
        Ok(Frontier { size, peaks: peaks.iter().map(|peak| Hash(*peak)).collect() })
    }
}
