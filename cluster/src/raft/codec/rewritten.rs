//! Both directions of every codec of this layer in one step, for whoever holds them against each other.

use bytes::Bytes;

use super::{
    decode_append, decode_append_answer, decode_digest, decode_lost, decode_members, decode_offer,
    decode_offer_answer, decode_promise, decode_transfer, decode_transfer_answer, decode_vote,
    decode_vote_answer, decode_vote_request, encode_append, encode_append_answer, encode_digest, encode_lost,
    encode_members, encode_offer, encode_offer_answer, encode_promise, encode_transfer,
    encode_transfer_answer, encode_vote, encode_vote_answer, encode_vote_request,
};

/// What the consensus layer says to other nodes, or keeps in the log, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// The vote in the log.
    Vote,
    /// Who belongs to a group.
    Members,
    /// Entries, or none as a heartbeat.
    Append,
    /// The answer to these.
    AppendAnswer,
    /// A request for a vote.
    VoteRequest,
    /// The answer to that.
    VoteAnswer,
    /// The wish to hand leadership over.
    Transfer,
    /// The answer to that.
    TransferAnswer,
    /// The news that a replica has lost an entry.
    Lost,
    /// How far a replica has promised to have been.
    Promise,
    /// The digest of a position.
    Digest,
    /// The manifest that stands for a snapshot.
    Offer,
    /// The answer to that.
    OfferAnswer,
}

impl Spoken {
    /// All of them.
    pub const ALL: [Spoken; 13] = [
        Spoken::Vote,
        Spoken::Members,
        Spoken::Append,
        Spoken::AppendAnswer,
        Spoken::VoteRequest,
        Spoken::VoteAnswer,
        Spoken::Transfer,
        Spoken::TransferAnswer,
        Spoken::Lost,
        Spoken::Promise,
        Spoken::Digest,
        Spoken::Offer,
        Spoken::OfferAnswer,
    ];
}

/// Reads bytes as what they are said to be, and writes anew what was read; `None` where they are refused.
pub fn rewritten(what: Spoken, bytes: &Bytes) -> Option<Bytes> {
    match what {
        Spoken::Vote => decode_vote(bytes).ok().map(|vote| encode_vote(&vote)),
        Spoken::Members => decode_members(bytes).ok().map(|members| encode_members(&members)),
        Spoken::Append => {
            decode_append(bytes).ok().map(|(append, flushed)| encode_append(&append, flushed.as_ref()))
        }
        Spoken::AppendAnswer => decode_append_answer(bytes).ok().map(|answer| encode_append_answer(&answer)),
        Spoken::VoteRequest => decode_vote_request(bytes).ok().map(|request| encode_vote_request(&request)),
        Spoken::VoteAnswer => decode_vote_answer(bytes).ok().map(|answer| encode_vote_answer(&answer)),
        Spoken::Transfer => decode_transfer(bytes).ok().map(|request| encode_transfer(&request)),
        Spoken::TransferAnswer => {
            decode_transfer_answer(bytes).ok().map(|answer| encode_transfer_answer(&answer))
        }
        Spoken::Lost => decode_lost(bytes).ok().map(|(vote, entry)| encode_lost(&vote, entry)),
        Spoken::Promise => decode_promise(bytes).ok().map(|(term, reached)| encode_promise(term, reached)),
        Spoken::Digest => decode_digest(bytes).ok().map(|(position, digest)| encode_digest(position, digest)),
        Spoken::Offer => decode_offer(bytes).ok().map(|offer| encode_offer(&offer)),
        Spoken::OfferAnswer => decode_offer_answer(bytes).ok().map(|answer| encode_offer_answer(&answer)),
    }
}
