//! Each wish of a filter, alone and together.

mod requests;

use chronos_block::{Compression, Filter, Recorded};
use chronos_domain::{ForkId, PartitionId, Position, TenantId, Timestamp, Version};
use requests::sampler;

/// The sampler's events, recorded at 1000, 1001 and 1002.
fn stored() -> Vec<Recorded> {
    let block = sampler().pack(Compression::Lz4);
    let recorded = |slot: u16| Recorded {
        block: block.clone(),
        slot,
        tenant: TenantId::default_tenant(),
        fork: ForkId::MAIN,
        partition: PartitionId::new(3).expect("3 is below 32"),
        position: Position::new(1 + u64::from(slot)),
        version: Version::new(1),
        recorded_at: Timestamp::new(1000 + i64::from(slot)),
        erased: false,
    };
    (0..3).map(recorded).collect()
}

fn matching(filter: Filter) -> Vec<u16> {
    stored().iter().filter(|recorded| filter.matches(recorded)).map(|recorded| recorded.slot).collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

#[test]
fn a_filter_that_asks_nothing_matches_everything() {
    assert_eq!(matching(Filter::default()), [0, 1, 2]);
}

#[test]
fn types_are_any_of_and_a_prefix_narrows_them() {
    let of = |types: &[&str]| Filter { types: texts(types), ..Filter::default() };
    assert_eq!(matching(of(&["order.placed"])), [0, 2]);
    assert_eq!(matching(of(&["order.placed", "invoice.sent"])), [0, 1, 2]);
    assert_eq!(matching(of(&["order"])), [] as [u16; 0]);
    let prefix = |prefix: &str| Filter { type_prefix: Some(prefix.into()), ..Filter::default() };
    assert_eq!(matching(prefix("invoice.")), [1]);
    assert_eq!(matching(Filter { types: texts(&["order.placed"]), ..prefix("invoice.") }), [] as [u16; 0]);
}

#[test]
fn tags_are_all_of() {
    let of = |tags: &[&str]| Filter { tags: texts(tags), ..Filter::default() };
    assert_eq!(matching(of(&["a"])), [0, 1]);
    assert_eq!(matching(of(&["zz", "a"])), [1]);
    assert_eq!(matching(of(&["a", "none"])), [] as [u16; 0]);
}

#[test]
fn an_entity_prefix_is_a_prefix() {
    let of = |prefix: &str| Filter { entity_prefix: Some(prefix.into()), ..Filter::default() };
    assert_eq!(matching(of("order-{cust42}")), [0, 2]);
    assert_eq!(matching(of("rder")), [] as [u16; 0]);
}

#[test]
fn times_include_their_ends_and_recording_stands_in_for_happening() {
    let at = Timestamp::new;
    assert_eq!(matching(Filter { occurred_until: Some(at(-1)), ..Filter::default() }), [0]);
    assert_eq!(matching(Filter { occurred_until: Some(at(-2)), ..Filter::default() }), [] as [u16; 0]);
    assert_eq!(matching(Filter { occurred_until: Some(at(1001)), ..Filter::default() }), [0, 1]);
    assert_eq!(matching(Filter { recorded_from: Some(at(1001)), ..Filter::default() }), [1, 2]);
    assert_eq!(matching(Filter { recorded_until: Some(at(1001)), ..Filter::default() }), [0, 1]);
    let one = Filter { recorded_from: Some(at(1001)), recorded_until: Some(at(1001)), ..Filter::default() };
    assert_eq!(matching(one), [1]);
}
