//! The payload of a purge frame: all that a log's older frames said and that still holds.
//!
//! A purge frame with checkpoint `c` makes every frame of its log with a sequence number below `c.floor`
//! superfluous. That is the whole rule of recycling: a segment may go when all frames in it are below the floors of
//! their logs, and recovery needs exactly the frames from the floor on.

use bytes::Bytes;

use crate::format::{Fields, Reader};
use crate::numbers::LogSeq;

const FIXED_BYTES: usize = 24;
const HAS_PURGED: u8 = 1;
const HAS_VOTE: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The first frame still needed.
    pub(crate) floor: LogSeq,
    pub(crate) committed: u64,
    /// Whether the frame's index and term are a purge mark; without it nothing was purged yet.
    pub(crate) has_purged: bool,
    pub(crate) vote: Option<Bytes>,
}

impl Checkpoint {
    pub(crate) fn encoded_len(&self) -> usize {
        FIXED_BYTES + self.vote.as_ref().map_or(0, Bytes::len)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; self.encoded_len()];
        let purged = if self.has_purged { HAS_PURGED } else { 0 };
        let vote = if self.vote.is_some() { HAS_VOTE } else { 0 };
        let mut fields = Fields::of(&mut out);
        fields.u64(self.floor.0).u64(self.committed).u64(u64::from(purged | vote));
        fields.bytes(self.vote.as_deref().unwrap_or_default());
        out
    }

    /// `None` when the bytes are not a checkpoint. They have passed a checksum, so that would be a writer's bug.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Checkpoint> {
        let (fixed, vote) = bytes.split_at_checked(FIXED_BYTES)?;
        let mut fields = Reader::of(fixed);
        let (floor, committed, flags) = (LogSeq(fields.u64()), fields.u64(), fields.u8());
        let vote = (flags & HAS_VOTE != 0).then(|| Bytes::copy_from_slice(vote));
        Some(Checkpoint { floor, committed, has_purged: flags & HAS_PURGED != 0, vote })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_as_written() {
        for vote in [None, Some(Bytes::new()), Some(Bytes::from_static(b"term 4 for node 2"))] {
            for has_purged in [false, true] {
                let written = Checkpoint { floor: LogSeq(9), committed: 7, has_purged, vote: vote.clone() };
                assert_eq!(Checkpoint::decode(&written.encode()), Some(written));
            }
        }
        assert_eq!(Checkpoint::decode(&[0; FIXED_BYTES - 1]), None);
    }

    #[test]
    fn the_bytes_of_a_checkpoint_never_change() {
        let checkpoint = Checkpoint {
            floor: LogSeq(258),
            committed: 7,
            has_purged: true,
            vote: Some(Bytes::from_static(b"v")),
        };
        crate::golden::check(include_str!("../tests/golden/checkpoint.hex"), &checkpoint.encode());
    }
}
