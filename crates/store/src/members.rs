//! Who belongs to the partition's group: kept for the consensus layer, in its words.
//!
//! The store does not read what an entry says about members. It keeps the last such entry that was applied, with its
//! place in the log, in memory and in every manifest, because the log may be purged of it.

use bytes::{BufMut, Bytes, BytesMut};
use chronos_wal::Mark;

/// The last applied entry that names the members of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// Its place in the log.
    pub mark: Mark,
    /// Its payload, as the consensus layer wrote it.
    pub payload: Bytes,
}

impl Members {
    /// The bytes a manifest keeps: index and term, 8 bytes each, little-endian, and the payload.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(16 + self.payload.len());
        out.put_u64_le(self.mark.index);
        out.put_u64_le(self.mark.term);
        out.put_slice(&self.payload);
        out.freeze()
    }

    /// What a manifest kept; `None` when no entry has named any members.
    pub(crate) fn decode(kept: &Bytes) -> Option<Members> {
        let (index, rest) = kept.split_first_chunk::<8>()?;
        let (term, _) = rest.split_first_chunk::<8>()?;
        let mark = Mark { index: u64::from_le_bytes(*index), term: u64::from_le_bytes(*term) };
        Some(Members { mark, payload: kept.slice(16..) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_back_with_their_place_and_nothing_is_nobody() {
        let members = Members { mark: Mark { index: 9, term: 3 }, payload: Bytes::from_static(b"CMB1abc") };
        assert_eq!(Members::decode(&members.encode()), Some(members));
        assert_eq!(Members::decode(&Bytes::new()), None);
    }
}
