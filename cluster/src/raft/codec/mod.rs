//! Everything of the consensus layer as bytes. Layouts in `FORMAT.md`; goldens in the tests of each part.

mod entry;
mod fields;
mod members;
mod message;
mod rewritten;
mod vote;

pub(crate) use entry::{from_log, to_log};
pub(crate) use fields::Malformed;
pub(crate) use members::{decode_members, encode_members};
pub(crate) use message::{
    Offer, OfferAnswer, decode_append, decode_append_answer, decode_digest, decode_lost, decode_offer,
    decode_offer_answer, decode_promise, decode_transfer, decode_transfer_answer, decode_vote_answer,
    decode_vote_request, encode_append, encode_append_answer, encode_digest, encode_lost, encode_offer,
    encode_offer_answer, encode_promise, encode_transfer, encode_transfer_answer, encode_vote_answer,
    encode_vote_request,
};
pub use rewritten::{Spoken, rewritten};
pub(crate) use vote::{decode_vote, encode_vote};
