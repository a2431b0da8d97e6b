//! The manifest: the only truth about which files a partition consists of.
//!
//! Invariants of every manifest that is written or accepted, checked by [`Manifest::check`]:
//!
//! * its parts hold the positions `1..=compacted`, each once, in order;
//! * the hash chain runs through them from the partition's start to `chain`, without a break;
//! * `frontier` is the Merkle tree head over exactly those positions;
//! * no part is younger than `cut`, the last cut it has taken in.
//!
//! Layout of the file:
#![doc = include_str!("../MANIFEST.md")]

mod codec;
mod tombstones;

use bytes::Bytes;
use chronos_domain::{LogIndex, PartitionId, Position, Timestamp};
use chronos_proof::{Frontier, Hash, chain_start};

use crate::meta::PartMeta;

pub use codec::Malformed;
pub use tombstones::Tombstones;

/// What a partition consists of at rest, as of one cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The cluster it belongs to.
    pub cluster: u128,
    /// The partition it belongs to.
    pub partition: PartitionId,
    /// Counts the manifests this replica has written; from 1 on disk, 0 for one that was never written.
    pub sequence: u64,
    /// The last cut it has taken in; 0 before the first.
    pub cut: u64,
    /// The log entry at whose end that cut happened. The log is needed from the entry after it on.
    pub applied: LogIndex,
    /// The term of that entry; 0 before the first cut.
    pub applied_term: u64,
    /// Who the members of the partition's group were at that cut, in the words of the consensus layer, which nobody
    /// else reads; empty while no entry has named any. At most [`MEMBERS_BYTES_MAX`].
    pub members: Bytes,
    /// The last position in parts.
    pub compacted: Position,
    /// No event that follows those in parts is recorded before this: when the last of them was, or later;
    /// [`Timestamp::MIN`] at first.
    pub recorded_at: Timestamp,
    /// Entities with at least one event in parts, over all tenants and forks.
    pub entities: u64,
    /// The hash chain after the last position in parts.
    pub chain: Hash,
    /// The Merkle tree head over the positions in parts.
    pub frontier: Frontier,
    /// Every truncation up to that cut.
    pub tombstones: Tombstones,
    /// The parts, by position.
    pub parts: Vec<PartMeta>,
}

/// The longest description of a group's members: a joint change among as many nodes as anybody will have.
pub const MEMBERS_BYTES_MAX: usize = u16::MAX as usize;

impl Manifest {
    /// The manifest of a partition before its first cut. It names no file and is never written.
    pub fn start(cluster: u128, partition: PartitionId) -> Manifest {
        Manifest {
            cluster,
            partition,
            sequence: 0,
            cut: 0,
            applied: LogIndex::ZERO,
            applied_term: 0,
            members: Bytes::new(),
            compacted: Position::ZERO,
            recorded_at: Timestamp::MIN,
            entities: 0,
            chain: chain_start(partition),
            frontier: Frontier::new(),
            tombstones: Tombstones::default(),
            parts: Vec::new(),
        }
    }

    /// Whether it keeps the invariants of this module.
    ///
    /// # Errors
    /// A sentence about the first one it breaks.
    pub fn check(&self) -> Result<(), String> {
        let (mut position, mut chain) = (Position::ZERO, chain_start(self.partition));
        for part in &self.parts {
            let stem = part.stem();
            if part.first != position.next() || part.last < part.first {
                return Err(format!("part {stem} does not continue position {position}"));
            }
            if part.chain_before != chain {
                return Err(format!("part {stem} does not continue the hash chain at position {position}"));
            }
            if part.cut == 0 || part.cut > self.cut {
                return Err(format!("part {stem} was not written by a cut from 1 to {}", self.cut));
            }
            (position, chain) = (part.last, part.chain_after);
        }
        if position != self.compacted {
            return Err(format!("its parts end at position {position} instead of {}", self.compacted));
        }
        if chain != self.chain {
            return Err("its parts end at another hash than its chain".to_owned());
        }
        if self.frontier.size() != position.get() {
            return Err(format!(
                "its tree head is over {} events instead of {position}",
                self.frontier.size()
            ));
        }
        Ok(())
    }

    /// Bytes of all files of all parts; the greatest number there is where they are said to have more.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(PartMeta::bytes).fold(0, u64::saturating_add)
    }

    /// The bytes of its file.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The manifest whose file has these bytes.
    ///
    /// # Errors
    /// [`Malformed`]: damage, or a format of a later release.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, Malformed> {
        let manifest = codec::decode(bytes)?;
        manifest.check().map_err(Malformed::Damaged)?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests;
