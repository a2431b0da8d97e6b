//! A sample is small, spread out, and cheap.

use std::collections::BTreeSet;

use chronos_app::{App, Principal, Sample, SampleRequest};
use chronos_domain::{ContentType, EntityId, PartitionId, Position};
use proptest::prelude::*;

use crate::node::{Plain, at_once};

/// Events of many entities, every `rare`th of the type `rare`.
fn filled(events: usize, rare: usize) -> Plain {
    let node = Plain::default();
    for n in 0..events {
        let event_type = if n % rare == rare - 1 { "rare" } else { "usual" };
        let entity = EntityId::parse(&format!("entity-{}", n % 97)).unwrap();
        node.store_as(event_type, &entity, "{}", ContentType::json());
    }
    node
}

fn sample(node: &Plain, events: usize, types: &[&str], seed: u64) -> Sample {
    let types = types.iter().map(|name| (*name).to_owned()).collect();
    let app = App::new(node.clone());
    at_once(app.sample(&Principal::default(), &SampleRequest { events, types, seed })).unwrap()
}

fn places(sample: &Sample) -> Vec<(PartitionId, Position)> {
    sample.events.iter().map(|event| (event.partition, event.position)).collect()
}

#[test]
fn a_sample_is_spread_over_the_partitions_and_repeats_with_its_seed() {
    let node = filled(5000, 7);
    let taken = sample(&node, 64, &[], 1);
    assert_eq!((taken.events.len(), taken.total), (64, 5000));
    assert!(places(&taken).iter().map(|(partition, _)| partition).collect::<BTreeSet<_>>().len() > 16);
    assert!(taken.events.is_sorted_by_key(|event| (event.recorded_at, event.partition, event.position)));
    assert_eq!(places(&sample(&node, 64, &[], 1)), places(&taken));
    assert_ne!(places(&sample(&node, 64, &[], 2)), places(&taken));
}

#[test]
fn all_events_of_a_rare_type_are_found() {
    let node = filled(3000, 300);
    let taken = sample(&node, 20, &["rare"], 3);
    assert_eq!(taken.events.len(), 10);
    assert!(taken.events.iter().all(|event| event.event().event_type == "rare"));
    assert!(sample(&node, 20, &["unheard-of"], 3).events.is_empty());
}

#[test]
fn a_sample_reads_a_page_for_each_event_and_partition_at_most() {
    let node = filled(5000, 1000);
    for types in [&[][..], &["rare"], &["unheard-of"]] {
        sample(&node, 50, types, 9);
        assert!(node.take_scans() <= 50 + 32, "{types:?}");
    }
}

#[test]
fn large_events_end_a_sample_early() {
    let node = Plain::default();
    let large = format!("\"{}\"", "x".repeat(900_000));
    for n in 0..20 {
        let entity = EntityId::parse(&format!("entity-{n}")).unwrap();
        node.store(&entity, &large, ContentType::json());
    }
    let taken = sample(&node, 20, &[], 5);
    assert!((1..=3).contains(&taken.events.len()), "{} events", taken.events.len());
}

#[test]
fn a_sample_of_nothing_too_much_or_an_impossible_type_is_refused() {
    let app = App::new(filled(1, 2));
    for (events, name) in [(0, "t"), (1001, "t"), (1, "no type")] {
        let request = SampleRequest { events, types: vec![name.to_owned()], seed: 0 };
        assert!(at_once(app.sample(&Principal::default(), &request)).is_err(), "{events} of {name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_sample_has_as_many_different_events_as_there_are(stored in 0_usize..200, wanted in 1_usize..100, seed: u64) {
        let taken = sample(&filled(stored, 3), wanted, &[], seed);
        let different: BTreeSet<_> = places(&taken).into_iter().collect();
        prop_assert_eq!(different.len(), taken.events.len());
        prop_assert_eq!(taken.events.len(), wanted.min(stored));
    }
}
