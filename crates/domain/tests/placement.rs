//! Placement is stored by everybody who has ever appended: its vectors are computed by another implementation
//! (`golden/placement.py`) and never change.

use chronos_domain::placement::{place_all, place_key};
use chronos_domain::xxh64::xxh64;
use chronos_domain::{PartitionId, Rejection, place, routing_key};
use proptest::prelude::*;

const GOLDEN: &str = include_str!("golden/placement.txt");

#[test]
fn every_golden_vector_is_placed_where_it_always_was() {
    let mut seen = std::collections::BTreeSet::new();
    let mut lines = 0;
    for line in GOLDEN.lines().skip(1) {
        let [tenant, entity, hash, partition] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let input = [tenant.as_bytes(), &[0], routing_key(entity).as_bytes()].concat();
        assert_eq!(format!("{:016x}", xxh64(&input, 0)), hash, "{line}");
        assert_eq!(place(tenant, entity).to_string(), partition, "{line}");
        seen.insert(partition);
        lines += 1;
    }
    assert_eq!(lines, 126, "vectors are added, never removed");
    assert_eq!(seen.len(), 32, "every partition has a vector");
}

#[test]
fn the_routing_key_is_the_first_non_empty_hash_tag_or_the_whole_id() {
    for (entity, key) in [
        ("order-7", "order-7"),
        ("order-{cust42}-7", "cust42"),
        ("{cust42}", "cust42"),
        ("a{b}c{d}e", "b"),
        ("order-{}-7", "order-{}-7"),
        ("{}{cust42}", "{}{cust42}"),
        ("order-{cust42", "order-{cust42"),
        ("order-cust42}", "order-cust42}"),
        ("}{cust42}", "cust42"),
        ("{{cust42}}", "{cust42"),
        ("注文-{顧客42}-7", "顧客42"),
        ("", ""),
    ] {
        assert_eq!(routing_key(entity), key, "{entity}");
    }
}

#[test]
fn the_entities_of_a_request_have_one_partition_or_all_of_theirs_are_named() {
    let place_all = |entities: &[&str]| place_all("default", entities.iter().copied());
    let home = place("default", "cust42");
    assert_eq!(place_all(&["order-{cust42}-7", "invoice-{cust42}-3", "cust42"]), Ok(home));
    let ids = |numbers: &[u8]| numbers.iter().map(|n| PartitionId::new(*n).unwrap()).collect();
    let spread = Rejection::CrossPartition { partitions: ids(&[4, 19, 24]) };
    assert_eq!(place_all(&["order-2", "order-42", "order-1", "order-2"]), Err(spread));
    assert!(matches!(place_all(&[]), Err(Rejection::Invalid(_))));
}

#[test]
fn an_ordered_tenant_has_one_partition() {
    assert_eq!(place_key("default", ""), place("default", ""));
    assert_ne!(place_key("a", ""), place_key("b", ""), "and another tenant may have another");
}

proptest! {
    #[test]
    fn a_common_hash_tag_is_a_common_partition(
        tag in "[^{}]{1,20}", a in "[^{}]{0,20}", b in "[^{}]{0,20}", c in ".{0,20}", tenant in "[a-z]{1,9}",
    ) {
        let home = place(&tenant, &tag);
        prop_assert_eq!(place(&tenant, &format!("{a}{{{tag}}}{c}")), home);
        prop_assert_eq!(place(&tenant, &format!("{b}{{{tag}}}")), home);
        prop_assert!(PartitionId::all().any(|p| p == home));
    }
}

#[test]
fn many_entities_spread_over_all_partitions_evenly() {
    let mut counts = [0u32; 32];
    for n in 0..32_000 {
        counts[place("default", &format!("order-{n}")).index()] += 1;
    }
    assert!(counts.iter().all(|n| (850..=1150).contains(n)), "{counts:?}");
}
