//! Numbers, votes and log ids in and out of bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronos_wal::Mark;

use super::super::types::{LeaderId, LogId, Vote, log_id_of, mark_of};
use crate::node::NodeId;

/// What every message and every value begins with.
pub(super) const FORMAT: u8 = 1;
/// Bytes of a vote.
pub(super) const VOTE_BYTES: usize = 17;

/// Bytes that are not what another node, or this one, can have written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("{0} does not read as one: {1}")]
    Damaged(&'static str, String),
    #[error(
        "{what} has format {found}, this release reads format {FORMAT}; run releases next to each other that know it"
    )]
    Version { what: &'static str, found: u8 },
}

/// What has not been read yet.
pub(super) struct Fields {
    what: &'static str,
    rest: Bytes,
}

impl Fields {
    /// Begins to read a value that begins with its format.
    pub(super) fn open(what: &'static str, bytes: &Bytes) -> Result<Fields, Malformed> {
        let mut fields = Fields { what, rest: bytes.clone() };
        match fields.u8()? {
            FORMAT => Ok(fields),
            found => Err(Malformed::Version { what, found }),
        }
    }

    pub(super) fn damaged(&self, why: impl Into<String>) -> Malformed {
        Malformed::Damaged(self.what, why.into())
    }

    fn need(&self, bytes: usize) -> Result<(), Malformed> {
        if self.rest.len() < bytes {
            return Err(self.damaged(format!("{} bytes are left where {bytes} are needed", self.rest.len())));
        }
        Ok(())
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.need(1)?;
        Ok(self.rest.get_u8())
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.damaged(format!("{other} is neither yes nor no"))),
        }
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.need(2)?;
        Ok(self.rest.get_u16_le())
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.need(4)?;
        Ok(self.rest.get_u32_le())
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.need(8)?;
        Ok(self.rest.get_u64_le())
    }

    pub(super) fn node(&mut self) -> Result<NodeId, Malformed> {
        Ok(NodeId::new(self.u64()?))
    }

    pub(super) fn vote(&mut self) -> Result<Vote, Malformed> {
        let leader_id = LeaderId { term: self.u64()?, voted_for: self.node()? };
        Ok(Vote { leader_id, committed: self.flag()? })
    }

    pub(super) fn log_id(&mut self) -> Result<Option<LogId>, Malformed> {
        let mark = Mark { index: self.u64()?, term: self.u64()? };
        if mark.index == 0 && mark.term != 0 {
            return Err(self.damaged("no entry has a term"));
        }
        Ok(log_id_of(mark))
    }

    /// The next bytes, not copied.
    pub(super) fn slice(&mut self, len: usize) -> Result<Bytes, Malformed> {
        self.need(len)?;
        Ok(self.rest.split_to(len))
    }

    /// How many records follow, of at least `bytes_min` each: what is allocated for them is bounded by what came.
    pub(super) fn count(&mut self, bytes_min: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        self.need(count.saturating_mul(bytes_min))?;
        Ok(count)
    }

    pub(super) fn end(self) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.damaged(format!("{left} bytes follow its end"))),
        }
    }
}

pub(super) fn put_vote(out: &mut BytesMut, vote: &Vote) {
    out.put_u64_le(vote.leader_id.term);
    out.put_u64_le(vote.leader_id.voted_for.get());
    out.put_u8(u8::from(vote.committed));
}

pub(super) fn put_log_id(out: &mut BytesMut, log_id: Option<&LogId>) {
    let mark = mark_of(log_id);
    out.put_u64_le(mark.index);
    out.put_u64_le(mark.term);
}
