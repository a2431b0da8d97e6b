//! What the nodes of a group say to each other.

use bytes::Bytes;
use chronos_cluster::{Spoken, rewritten};

use super::{Target, history};
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    tried_by_test: 20_000,
    ..Target::new("raft", "a message between nodes that is read is written as the same bytes", run, seeds)
};

/// An input is a kind of message, then the message.
fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let what = *input.choose(&Spoken::ALL);
    let message = Bytes::copy_from_slice(input.rest());
    let Some(written) = rewritten(what, &message) else { return };
    match what {
        // Of members there may be several lists of the same ones (who votes does not learn as well), and these messages
        // hold them.
        Spoken::Members | Spoken::Append | Spoken::Offer if written != message => {
            assert_eq!(rewritten(what, &written), Some(written), "{what:?} is never the same again");
        }
        _ => assert_eq!(written, message, "{what:?} has a second form"),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let log_id = |index: u64, term: u64| joined(&[&index.to_le_bytes(), &term.to_le_bytes()]);
    let vote = joined(&[5u64.to_le_bytes().as_slice(), &2u64.to_le_bytes(), &[1]]);
    let members = b"CMB1\x01\x01\x02\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01\0\x09\0\0\0\0\0\0\0".to_vec();
    let commands = &history::entries()[1];
    let payloads: [&[u8]; 3] = [&[], commands, &members];
    let rows = payloads
        .map(|payload| joined(&[5u64.to_le_bytes().as_slice(), &(payload.len() as u32).to_le_bytes()]));
    let manifest = history::manifests()[0].encode();
    let lengths = joined(&[&(members.len() as u32).to_le_bytes(), &(manifest.len() as u32).to_le_bytes()]);
    let of = |what: Spoken, parts: &[&[u8]]| {
        let kind = Spoken::ALL.iter().position(|known| *known == what).expect("all are listed") as u8;
        joined(&[&[kind, 1], parts.concat().as_slice()])
    };
    let (at, none) = (log_id(8, 4), log_id(0, 0));
    let mut seeds = vec![
        of(Spoken::Vote, &[&vote]),
        of(Spoken::Append, &[&vote, &at, &at, &[0; 4], &none]),
        of(Spoken::Append, &[&vote, &at, &at, &3u32.to_le_bytes(), &rows.concat(), &payloads.concat(), &at]),
        of(Spoken::AppendAnswer, &[&[0]]),
        of(Spoken::AppendAnswer, &[&[1], &at]),
        of(Spoken::AppendAnswer, &[&[2]]),
        of(Spoken::AppendAnswer, &[&[3], &vote]),
        of(Spoken::VoteRequest, &[&vote, &at, &[1]]),
        of(Spoken::VoteAnswer, &[&vote, &none, &[0]]),
        of(Spoken::Transfer, &[&vote, &3u64.to_le_bytes(), &at]),
        of(Spoken::TransferAnswer, &[&[0]]),
        of(Spoken::TransferAnswer, &[&[1], &vote, &vote]),
        of(Spoken::TransferAnswer, &[&[2], &at, &none]),
        of(Spoken::Lost, &[&vote, &at]),
        of(Spoken::Promise, &[&7u64.to_le_bytes(), &at]),
        of(Spoken::Digest, &[&7u64.to_le_bytes(), &[9; 32]]),
        of(Spoken::Offer, &[&vote, &at, &at, &lengths, &[0], &members, &manifest]),
        of(Spoken::OfferAnswer, &[&[0], &vote]),
        of(Spoken::OfferAnswer, &[&[1], &3u64.to_le_bytes(), &9u64.to_le_bytes()]),
    ];
    let kind = Spoken::ALL.iter().position(|known| *known == Spoken::Members).expect("all are listed") as u8;
    seeds.push(joined(&[&[kind], members.as_slice()]));
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_a_message() {
        for seed in seeds() {
            let what = Spoken::ALL[usize::from(seed[0])];
            assert!(rewritten(what, &Bytes::copy_from_slice(&seed[1..])).is_some(), "{what:?}: {seed:x?}");
        }
    }
}
