//! Messages between the nodes of a group. Payloads of entries are slices of the message, never copied when it is read.

use bytes::{BufMut, Bytes, BytesMut};
use chronos_wal::Mark;
use openraft::LogIdOptionExt;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use super::super::types::{Entry, LogId, SnapshotMeta, StoredMembership, Types, Vote, log_id_of, mark_of};
use super::entry::{payload_from, payload_of};
use super::fields::{FORMAT, Fields, Malformed, put_log_id, put_vote};
use super::members::{decode_members, encode_members};

/// Bytes of an entry's row, without its payload.
const ROW_BYTES: usize = 12;

fn begin(capacity: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(capacity);
    out.put_u8(FORMAT);
    out
}

fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("a message is far smaller than 4 GiB")
}

/// Entries of a leader, and up to where its own log is on its disk for good.
pub(crate) fn encode_append(request: &AppendEntriesRequest<Types>, flushed: Option<&LogId>) -> Bytes {
    let payloads: Vec<Bytes> = request.entries.iter().map(|entry| payload_of(&entry.payload)).collect();
    let bytes: usize = payloads.iter().map(|payload| ROW_BYTES + payload.len()).sum();
    let mut out = begin(80 + bytes);
    put_vote(&mut out, &request.vote);
    put_log_id(&mut out, request.prev_log_id.as_ref());
    put_log_id(&mut out, request.leader_commit.as_ref());
    out.put_u32_le(len_u32(request.entries.len()));
    let first = request.prev_log_id.next_index();
    for ((entry, payload), index) in request.entries.iter().zip(&payloads).zip(first..) {
        assert!(entry.log_id.index == index, "entry {} is sent where {index} follows", entry.log_id.index);
        out.put_u64_le(entry.log_id.leader_id.term);
        out.put_u32_le(len_u32(payload.len()));
    }
    payloads.iter().for_each(|payload| out.put_slice(payload));
    put_log_id(&mut out, flushed);
    out.freeze()
}

pub(crate) fn decode_append(body: &Bytes) -> Result<(AppendEntriesRequest<Types>, Option<LogId>), Malformed> {
    let mut fields = Fields::open("a message with entries", body)?;
    let (vote, prev_log_id, leader_commit) = (fields.vote()?, fields.log_id()?, fields.log_id()?);
    let count = fields.count(ROW_BYTES)?;
    let rows = (0..count).map(|_| Ok((fields.u64()?, fields.u32()? as usize)));
    let rows = rows.collect::<Result<Vec<_>, Malformed>>()?;
    let mut entries = Vec::with_capacity(count);
    let before = mark_of(prev_log_id.as_ref()).index;
    for ((term, len), nth) in rows.into_iter().zip(1..) {
        let index =
            before.checked_add(nth).ok_or_else(|| fields.damaged("its entries lie behind the last index"))?;
        let log_id = log_id_of(Mark { index, term }).expect("ours begin with 1");
        entries.push(Entry { log_id, payload: payload_from(fields.slice(len)?)? });
    }
    let flushed = fields.log_id()?;
    fields.end()?;
    Ok((AppendEntriesRequest { vote, prev_log_id, entries, leader_commit }, flushed))
}

pub(crate) fn encode_append_answer(answer: &AppendEntriesResponse<Types>) -> Bytes {
    let mut out = begin(32);
    match answer {
        AppendEntriesResponse::Success => out.put_u8(0),
        AppendEntriesResponse::PartialSuccess(log_id) => {
            out.put_u8(1);
            put_log_id(&mut out, log_id.as_ref());
        }
        AppendEntriesResponse::Conflict => out.put_u8(2),
        AppendEntriesResponse::HigherVote(vote) => {
            out.put_u8(3);
            put_vote(&mut out, vote);
        }
    }
    out.freeze()
}

pub(crate) fn decode_append_answer(body: &Bytes) -> Result<AppendEntriesResponse<Types>, Malformed> {
    let mut fields = Fields::open("an answer to entries", body)?;
    let answer = match fields.u8()? {
        0 => AppendEntriesResponse::Success,
        1 => AppendEntriesResponse::PartialSuccess(fields.log_id()?),
        2 => AppendEntriesResponse::Conflict,
        3 => AppendEntriesResponse::HigherVote(fields.vote()?),
        other => return Err(fields.damaged(format!("there is no answer {other}"))),
    };
    fields.end()?;
    Ok(answer)
}

pub(crate) fn encode_vote_request(request: &VoteRequest<Types>) -> Bytes {
    let mut out = begin(40);
    put_vote(&mut out, &request.vote);
    put_log_id(&mut out, request.last_log_id.as_ref());
    out.put_u8(u8::from(request.leadership_transfer));
    out.freeze()
}

pub(crate) fn decode_vote_request(body: &Bytes) -> Result<VoteRequest<Types>, Malformed> {
    let mut fields = Fields::open("a request for a vote", body)?;
    let mut request = VoteRequest::new(fields.vote()?, fields.log_id()?);
    request.leadership_transfer = fields.flag()?;
    fields.end()?;
    Ok(request)
}

pub(crate) fn encode_vote_answer(answer: &VoteResponse<Types>) -> Bytes {
    let mut out = begin(40);
    put_vote(&mut out, &answer.vote);
    put_log_id(&mut out, answer.last_log_id.as_ref());
    out.put_u8(u8::from(answer.vote_granted));
    out.freeze()
}

pub(crate) fn decode_vote_answer(body: &Bytes) -> Result<VoteResponse<Types>, Malformed> {
    let mut fields = Fields::open("a vote", body)?;
    let (vote, last_log_id) = (fields.vote()?, fields.log_id()?);
    let vote_granted = fields.flag()?;
    fields.end()?;
    Ok(VoteResponse { vote, vote_granted, last_log_id })
}

pub(crate) fn encode_transfer(request: &TransferLeaderRequest<Types>) -> Bytes {
    let mut out = begin(48);
    put_vote(&mut out, request.from_leader());
    out.put_u64_le(request.to_node_id().get());
    put_log_id(&mut out, request.last_log_id());
    out.freeze()
}

pub(crate) fn decode_transfer(body: &Bytes) -> Result<TransferLeaderRequest<Types>, Malformed> {
    let mut fields = Fields::open("a transfer of leadership", body)?;
    let request = TransferLeaderRequest::new(fields.vote()?, fields.node()?, fields.log_id()?);
    fields.end()?;
    Ok(request)
}

pub(crate) fn encode_transfer_answer(answer: &TransferLeaderResponse<Types>) -> Bytes {
    let mut out = begin(40);
    match answer {
        Ok(()) => out.put_u8(0),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            out.put_u8(1);
            put_vote(&mut out, expected);
            put_vote(&mut out, actual);
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            out.put_u8(2);
            put_log_id(&mut out, expected.as_ref());
            put_log_id(&mut out, actual.as_ref());
        }
    }
    out.freeze()
}

pub(crate) fn decode_transfer_answer(body: &Bytes) -> Result<TransferLeaderResponse<Types>, Malformed> {
    let mut fields = Fields::open("an answer to a transfer of leadership", body)?;
    let answer = match fields.u8()? {
        0 => Ok(()),
        1 => Err(TransferLeaderError::VoteChanged { expected: fields.vote()?, actual: fields.vote()? }),
        2 => Err(TransferLeaderError::LogNotFlushed { expected: fields.log_id()?, actual: fields.log_id()? }),
        other => return Err(fields.damaged(format!("there is no answer {other}"))),
    };
    fields.end()?;
    Ok(answer)
}

/// That a follower of the leader with this vote has lost an entry.
pub(crate) fn encode_lost(vote: &Vote, entry: LogId) -> Bytes {
    let mut out = begin(40);
    put_vote(&mut out, vote);
    put_log_id(&mut out, Some(&entry));
    out.freeze()
}

pub(crate) fn decode_lost(body: &Bytes) -> Result<(Vote, LogId), Malformed> {
    let mut fields = Fields::open("the news of a loss", body)?;
    let (vote, entry) = (fields.vote()?, fields.log_id()?);
    let entry = entry.ok_or_else(|| fields.damaged("it names no entry"))?;
    fields.end()?;
    Ok((vote, entry))
}

/// What the one who asks had promised: a vote of a term, and an entry.
pub(crate) fn encode_promise(term: u64, reached: Option<LogId>) -> Bytes {
    let mut out = begin(32);
    out.put_u64_le(term);
    put_log_id(&mut out, reached.as_ref());
    out.freeze()
}

pub(crate) fn decode_promise(body: &Bytes) -> Result<(u64, Option<LogId>), Malformed> {
    let mut fields = Fields::open("what was promised", body)?;
    let promise = (fields.u64()?, fields.log_id()?);
    fields.end()?;
    Ok(promise)
}

/// A position and the digest of the events up to it; of a question, whose digest is not looked at.
pub(crate) fn encode_digest(position: u64, digest: [u8; 32]) -> Bytes {
    let mut out = begin(48);
    out.put_u64_le(position);
    out.put_slice(&digest);
    out.freeze()
}

pub(crate) fn decode_digest(body: &Bytes) -> Result<(u64, [u8; 32]), Malformed> {
    let mut fields = Fields::open("a digest", body)?;
    let (position, digest) = (fields.u64()?, fields.slice(32)?);
    fields.end()?;
    Ok((position, digest.as_ref().try_into().expect("so many bytes were asked for")))
}

/// A manifest that a leader offers to a follower for which its log begins too late.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    /// Whether the follower has answered it before: then it may take its time.
    pub(crate) again: bool,
    /// The bytes of the manifest's file.
    pub(crate) manifest: Bytes,
}

pub(crate) fn encode_offer(offer: &Offer) -> Bytes {
    let members = encode_members(offer.meta.last_membership.membership());
    let mut out = begin(80 + members.len() + offer.manifest.len());
    put_vote(&mut out, &offer.vote);
    put_log_id(&mut out, offer.meta.last_log_id.as_ref());
    put_log_id(&mut out, offer.meta.last_membership.log_id().as_ref());
    out.put_u32_le(len_u32(members.len()));
    out.put_u32_le(len_u32(offer.manifest.len()));
    out.put_u8(u8::from(offer.again));
    out.put_slice(&members);
    out.put_slice(&offer.manifest);
    out.freeze()
}

pub(crate) fn decode_offer(body: &Bytes) -> Result<Offer, Malformed> {
    let mut fields = Fields::open("an offer of a manifest", body)?;
    let (vote, last_log_id): (Vote, Option<LogId>) = (fields.vote()?, fields.log_id()?);
    let members_at = fields.log_id()?;
    let (members_len, manifest_len) = (fields.u32()? as usize, fields.u32()? as usize);
    let again = fields.flag()?;
    let members = decode_members(&fields.slice(members_len)?)?;
    let manifest = fields.slice(manifest_len)?;
    fields.end()?;
    let last_membership = StoredMembership::new(members_at, members);
    Ok(Offer { vote, meta: SnapshotMeta { last_log_id, last_membership }, again, manifest })
}

/// What a follower says to an offer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OfferAnswer {
    /// It is done with it: it has what was offered, or follows somebody else.
    Took(SnapshotResponse<Types>),
    /// Parts are on their way: to be asked again.
    Coming {
        /// Bytes that are here by now, of those that were missing.
        had: u64,
        /// Bytes that were missing.
        of: u64,
    },
}

pub(crate) fn encode_offer_answer(answer: &OfferAnswer) -> Bytes {
    let mut out = begin(24);
    match answer {
        OfferAnswer::Took(response) => {
            out.put_u8(0);
            put_vote(&mut out, &response.vote);
        }
        OfferAnswer::Coming { had, of } => {
            out.put_u8(1);
            out.put_u64_le(*had);
            out.put_u64_le(*of);
        }
    }
    out.freeze()
}

pub(crate) fn decode_offer_answer(body: &Bytes) -> Result<OfferAnswer, Malformed> {
    let mut fields = Fields::open("an answer to an offer", body)?;
    let answer = match fields.u8()? {
        0 => OfferAnswer::Took(SnapshotResponse::new(fields.vote()?)),
        1 => OfferAnswer::Coming { had: fields.u64()?, of: fields.u64()? },
        other => return Err(fields.damaged(format!("there is no answer {other}"))),
    };
    fields.end()?;
    Ok(answer)
}

#[cfg(test)]
mod tests;
