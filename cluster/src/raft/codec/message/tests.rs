//! Messages come back as they were sent, and their bytes never change.

use openraft::EntryPayload;
use proptest::prelude::*;

use super::*;
use crate::node::NodeId;
use crate::raft::types::{Batch, Membership};

fn id(index: u64, term: u64) -> Option<LogId> {
    log_id_of(Mark { index, term })
}

fn entry(index: u64, term: u64, payload: EntryPayload<Batch, NodeId, ()>) -> Entry {
    Entry { log_id: id(index, term).unwrap(), payload }
}

fn commands(text: &'static [u8]) -> EntryPayload<Batch, NodeId, ()> {
    EntryPayload::Normal(Batch { payload: Bytes::from_static(text), commands: None })
}

fn append() -> AppendEntriesRequest<Types> {
    let members = Membership::new_with_defaults(vec![[NodeId::new(1)].into()], []);
    AppendEntriesRequest {
        vote: Vote::new_committed(5, NodeId::new(2)),
        prev_log_id: id(8, 4),
        entries: vec![
            entry(9, 5, EntryPayload::Blank),
            entry(10, 5, commands(b"CEN1 and so on")),
            entry(11, 5, EntryPayload::Membership(members)),
        ],
        leader_commit: id(9, 5),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn entries_behind_the_last_index_there_is_are_refused() {
    let message = |entries| {
        let request = AppendEntriesRequest { prev_log_id: id(u64::MAX, 4), entries: vec![], ..append() };
        let mut bytes = encode_append(&request, None).to_vec();
        let count = bytes.len() - 16 - 4;
        bytes[count] = entries;
        bytes.splice(count + 4..count + 4, vec![0; usize::from(entries) * ROW_BYTES]);
        Bytes::from(bytes)
    };
    assert!(decode_append(&message(0)).is_ok(), "a heartbeat");
    assert!(matches!(decode_append(&message(1)), Err(Malformed::Damaged(..))));
}

#[test]
fn the_bytes_of_a_message_with_entries_never_change() {
    let golden = concat!(
        "01",
        "0500000000000000",
        "0200000000000000",
        "01",
        "0800000000000000",
        "0400000000000000",
        "0900000000000000",
        "0500000000000000",
        "03000000",
        "0500000000000000",
        "00000000",
        "0500000000000000",
        "0e000000",
        "0500000000000000",
        "12000000",
        "43454e3120616e6420736f206f6e",
        "434d4231",
        "01",
        "01",
        "0100",
        "0100000000000000",
        "0000",
        "0a00000000000000",
        "0500000000000000",
    );
    assert_eq!(hex(&encode_append(&append(), id(10, 5).as_ref())), golden);
}

#[test]
fn entries_come_back_as_slices_of_the_message() {
    let body = encode_append(&append(), id(10, 5).as_ref());
    let (read, flushed) = decode_append(&body).unwrap();
    assert_eq!(flushed, id(10, 5));
    assert_eq!(format!("{read:?}"), format!("{:?}", append()));
    let EntryPayload::Normal(batch) = &read.entries[1].payload else { panic!("not commands") };
    let within = body.as_ptr_range();
    assert!(within.contains(&batch.payload.as_ptr()), "the payload was copied");
}

#[test]
fn the_first_entry_of_a_log_has_nothing_before_it() {
    let request = AppendEntriesRequest::<Types> {
        vote: Vote::new_committed(1, NodeId::new(1)),
        prev_log_id: None,
        entries: vec![entry(1, 1, EntryPayload::Blank)],
        leader_commit: None,
    };
    let (read, flushed) = decode_append(&encode_append(&request, None)).unwrap();
    assert_eq!((format!("{read:?}"), flushed), (format!("{request:?}"), None));
}

#[test]
fn every_answer_and_small_request_comes_back() {
    let (vote, other) = (Vote::new(3, NodeId::new(1)), Vote::new_committed(4, NodeId::new(2)));
    for answer in [
        AppendEntriesResponse::Success,
        AppendEntriesResponse::PartialSuccess(id(7, 3)),
        AppendEntriesResponse::PartialSuccess(None),
        AppendEntriesResponse::Conflict,
        AppendEntriesResponse::HigherVote(other),
    ] {
        assert_eq!(decode_append_answer(&encode_append_answer(&answer)), Ok(answer));
    }
    let request = VoteRequest { vote, last_log_id: id(7, 3), leadership_transfer: true };
    assert_eq!(decode_vote_request(&encode_vote_request(&request)), Ok(request));
    let answer = VoteResponse { vote, vote_granted: true, last_log_id: None };
    assert_eq!(decode_vote_answer(&encode_vote_answer(&answer)), Ok(answer));
    let request = TransferLeaderRequest::new(other, NodeId::new(9), id(7, 3));
    assert_eq!(decode_transfer(&encode_transfer(&request)), Ok(request));
    for answer in [
        Ok(()),
        Err(TransferLeaderError::VoteChanged { expected: vote, actual: other }),
        Err(TransferLeaderError::LogNotFlushed { expected: id(7, 3), actual: None }),
    ] {
        assert_eq!(decode_transfer_answer(&encode_transfer_answer(&answer)), Ok(answer));
    }
    let members = Membership::new_with_defaults(vec![[NodeId::new(1)].into()], [NodeId::new(2)]);
    let last_membership = StoredMembership::new(id(2, 1), members);
    let meta = SnapshotMeta { last_log_id: id(7, 3), last_membership };
    let offer = Offer { vote: other, meta, again: true, manifest: Bytes::from_static(b"manifest") };
    assert_eq!(decode_offer(&encode_offer(&offer)), Ok(offer));
    for answer in
        [OfferAnswer::Took(SnapshotResponse::new(other)), OfferAnswer::Coming { had: 3, of: 1 << 40 }]
    {
        assert_eq!(decode_offer_answer(&encode_offer_answer(&answer)), Ok(answer));
    }
    let lost = id(7, 3).unwrap();
    assert_eq!(decode_lost(&encode_lost(&other, lost)), Ok((other, lost)));
    for promise in [(7, id(9, 6)), (7, None), (0, None)] {
        assert_eq!(decode_promise(&encode_promise(promise.0, promise.1)), Ok(promise));
    }
    assert_eq!(decode_digest(&encode_digest(9, [7; 32])), Ok((9, [7; 32])));
}

proptest! {
    #[test]
    fn bytes_of_strangers_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut begun = vec![FORMAT];
        begun.extend(&bytes);
        for bytes in [Bytes::from(bytes), Bytes::from(begun)] {
            let _ = decode_append(&bytes);
            let _ = decode_append_answer(&bytes);
            let _ = decode_vote_request(&bytes);
            let _ = decode_vote_answer(&bytes);
            let _ = decode_transfer(&bytes);
            let _ = decode_promise(&bytes);
            let _ = decode_digest(&bytes);
            let _ = decode_transfer_answer(&bytes);
            let _ = decode_offer(&bytes);
            let _ = decode_offer_answer(&bytes);
            let _ = decode_lost(&bytes);
        }
    }

    #[test]
    fn a_message_that_is_cut_is_refused(len in 0_usize..100) {
        let body = encode_append(&append(), None);
        prop_assume!(len < body.len());
        prop_assert!(decode_append(&body.slice(..len)).is_err());
    }
}
