//! A proof stands for one event in one history, and for nothing else.

use chronos_domain::{PartitionId, Position};
use chronos_proof::{
    Evidence, Fields, Hash, Proof, Refused, Subject, chain_next, chain_start, digest, leaf, subtree_root,
};
use proptest::prelude::*;

use crate::events::{any, bare, full};

/// A history of `size` events with `leaf` at `position`; its chain, the path there, and its digest.
fn history(leaf: Hash, partition: PartitionId, position: u64, size: u64) -> (Evidence, Hash) {
    let other = |n: u64| leaf_of_other(n);
    let leaves: Vec<Hash> = (1..=size).map(|n| if n == position { leaf } else { other(n) }).collect();
    let chain = leaves.iter().fold(chain_start(partition), |chain, leaf| chain_next(chain, *leaf));
    let mut path = Vec::new();
    let (mut level, mut at) = (leaves, usize::try_from(position - 1).unwrap());
    while level.len() > 1 {
        path.extend(level.get(at ^ 1));
        level = level.chunks(2).map(subtree_root).collect();
        at /= 2;
    }
    let size = Position::new(size);
    (Evidence { size, chain, path }, digest(partition, size, chain, level[0]))
}

fn leaf_of_other(n: u64) -> Hash {
    leaf(&Fields { position: Position::new(n), ..bare() })
}

fn proof(fields: &Fields<'_>, size: u64) -> (Proof, Hash) {
    let (evidence, trusted) = history(leaf(fields), fields.partition, fields.position.get(), size);
    (Proof::of_event(fields, evidence), trusted)
}

fn reread(proof: &Proof) -> Proof {
    Proof::from_json(proof.to_json().as_bytes()).unwrap()
}

#[test]
fn a_proof_read_back_from_its_file_holds_against_the_digest_and_no_other() {
    for fields in [full(), Fields { position: Position::new(9), ..bare() }] {
        let (proof, trusted) = proof(&fields, 21);
        let proof = reread(&proof);
        assert_eq!(proof.check(trusted), Ok(()));
        assert_eq!(proof.digest(), trusted);
        assert_eq!((proof.position(), proof.size()), (fields.position, Position::new(21)));
        let Refused::OtherHistory { found, .. } = proof.check(Hash::default()).unwrap_err() else {
            panic!("refused for another reason")
        };
        assert_eq!(found, trusted);
    }
}

#[test]
fn an_erased_event_is_proven_by_its_leaf() {
    let fields = full();
    let (evidence, trusted) = history(leaf(&fields), fields.partition, 17, 30);
    let proof = reread(&Proof::of_erased(fields.partition, fields.position, leaf(&fields), evidence));
    assert_eq!(proof.subject(), &Subject::Erased { leaf: leaf(&fields) });
    assert_eq!(proof.check(trusted), Ok(()));
}

/// Flips every bit of the file. What is still a proof of the digest says the very same as before.
#[test]
fn a_changed_bit_anywhere_in_the_file_is_refused() {
    for fields in [full(), Fields { position: Position::new(3), ..bare() }] {
        let (proof, trusted) = proof(&fields, 19);
        let file = proof.to_json().into_bytes();
        for bit in 0..file.len() * 8 {
            let mut changed = file.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = Proof::from_json(&changed) {
                let harmless = read == proof;
                assert!(harmless || read.check(trusted).is_err(), "{}", String::from_utf8_lossy(&changed));
                assert!(!harmless || changed[bit / 8].is_ascii_whitespace(), "bit {bit} makes no difference");
            }
        }
    }
}

#[test]
fn a_file_with_more_less_or_other_members_is_no_proof() {
    let file = proof(&full(), 19).0.to_json();
    let changes = [
        ("\"chronos-proof-1\"", "\"chronos-proof-2\""),
        ("\"size\"", "\"more\": 1, \"size\""),
        ("\"size\"", "\"size\": 19, \"size\""),
        ("\"version\": 3,", ""),
        ("\"metadata\"", "\"metadata_hex\""),
        ("\"metadata\"", "\"metadata_hex\": \"00\", \"metadata\""),
        ("\"size\"", "\"erased_leaf\": null, \"event\": null, \"size\""),
        ("01890a5d-ac96", "01890A5D-ac96"),
        ("\"partition\": 7", "\"partition\": 33"),
        ("\"position\": 17", "\"position\": -17"),
    ];
    for (from, to) in changes {
        let changed = file.replace(from, to);
        assert_ne!(changed, file, "{from} stands in the file");
        assert!(Proof::from_json(changed.as_bytes()).is_err(), "{to}");
    }
    let swapped = file.replace("\"eu\"", "\"zz\"");
    assert!(Proof::from_json(swapped.as_bytes()).is_err(), "tags that do not ascend");
    assert!(Proof::from_json(&file.as_bytes()[..file.len() / 2]).is_err());
}

proptest! {
    #[test]
    fn every_event_at_every_place_is_proven(event in any(), place in (1_u64..200).prop_flat_map(|size| (1..=size, Just(size)))) {
        let (position, size) = place;
        event.with(|fields| {
            let (proof, trusted) = proof(&Fields { position: Position::new(position), ..*fields }, size);
            prop_assert_eq!(&reread(&proof), &proof);
            prop_assert_eq!(proof.check(trusted), Ok(()));
            Ok(())
        })?;
    }
}
