//! The rules of a request: held by the packer, and by `open` against whoever did not use it.

#![allow(clippy::unwrap_used, reason = "a request of a test is right or the test is wrong")]

mod requests;

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, Malformed, Packer, content_hash};
use chronos_domain::limits::{
    BATCH_BYTES_MAX, BATCH_ENTITIES_MAX, BATCH_EVENTS_MAX, CONDITION_ITEMS_MAX, METADATA_BYTES_MAX,
    PAYLOAD_BYTES_MAX, TAGS_MAX,
};
use chronos_domain::{
    Batch, Condition, EventId, Expectation, PartitionId, Position, QueryItem, Rejection, Tag, Timestamp,
    Version, place,
};
use requests::{draft, entity, reseal, sampler, tag};

fn reason_of(rejection: &Rejection) -> (&'static str, String) {
    (rejection.reason(), rejection.to_string())
}

/// Pushes a draft that must be refused and checks that nothing came of it.
fn refused(draft: Draft) -> (&'static str, String) {
    let mut packer = Packer::new();
    packer.push(requests::draft(1, "a", "{}")).unwrap();
    let refused = packer.push(draft).unwrap_err();
    assert_eq!((packer.events(), packer.bytes()), (1, 15));
    let block = packer.finish(Compression::None).unwrap();
    assert_eq!((block.events(), block.entities()), (1, 1));
    Block::open(block.bytes().clone()).unwrap();
    reason_of(&refused)
}

#[test]
fn an_event_beyond_a_bound_or_a_rule_is_refused_and_leaves_no_trace() {
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut draft = draft(2, "b", "{}");
        change(&mut draft);
        refused(draft)
    };
    let cases = [
        (
            with(&|d| d.payload = vec![b' '; PAYLOAD_BYTES_MAX + 1].into()),
            "TOO_LARGE",
            "1048577 payload bytes",
        ),
        (
            with(&|d| d.metadata = vec![b' '; METADATA_BYTES_MAX + 1].into()),
            "TOO_LARGE",
            "65537 metadata bytes",
        ),
        (with(&|d| d.metadata = vec![b'{', 0xff].into()), "INVALID", "metadata of event 1 is no UTF-8"),
        (with(&|d| d.tags = (0..=TAGS_MAX).map(|i| tag(&i.to_string())).collect()), "TOO_LARGE", "17 tags"),
        (with(&|d| d.tags = vec![tag("x"), tag("y"), tag("x")]), "INVALID", "`x` of event 1 is named twice"),
        (with(&|d| d.event_id = EventId::NIL), "INVALID", "event_id of event 1 is nil"),
        (with(&|d| d.event_id = EventId::from_u128(1)), "INVALID", "event_id of event 1 is 00000000-"),
        (
            with(&|d| d.occurred_at = Some(Timestamp::MIN)),
            "INVALID",
            "occurred_at of event 1 is the smallest",
        ),
    ];
    for ((reason, sentence), expected, part) in cases {
        assert_eq!(reason, expected, "{sentence}");
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn an_event_at_every_bound_fits_and_opens() {
    let mut big = draft(1, &"e".repeat(256), "");
    big.payload = vec![b'p'; PAYLOAD_BYTES_MAX].into();
    big.metadata = vec![b'm'; METADATA_BYTES_MAX].into();
    big.tags = (0..TAGS_MAX).map(|i| tag(&format!("{i:0128}"))).collect();
    for compression in [Compression::None, Compression::Lz4] {
        let mut packer = Packer::new();
        packer.push(big.clone()).unwrap();
        let block = packer.finish(compression).unwrap();
        assert_eq!(Block::open(block.bytes().clone()).unwrap().payload(0), big.payload);
    }
}

#[test]
fn a_request_holds_the_bound_of_its_events_and_bytes() {
    let mut packer = Packer::new();
    for i in 0..BATCH_EVENTS_MAX {
        packer.push(draft(1 + i as u128, &i.to_string(), "{}")).unwrap();
    }
    let refused = packer.push(draft(u128::MAX, "0", "{}")).unwrap_err();
    assert_eq!(
        reason_of(&refused),
        ("TOO_LARGE", Rejection::bound("events", 4096, 4097).unwrap_err().to_string())
    );
    // As many events as entities: there is no room to check one more.
    assert!(packer.expect(entity("other"), Expectation::Exists).unwrap_err().to_string().contains("split"));
    packer.expect(entity("17"), Expectation::NoEntity).unwrap();
    let block = packer.finish(Compression::None).unwrap();
    assert_eq!(Block::open(block.bytes().clone()).unwrap().entities(), BATCH_ENTITIES_MAX);

    let mut packer = Packer::new();
    let payload = Bytes::from(vec![0; PAYLOAD_BYTES_MAX - 64]);
    let mut id = 1;
    let refused = loop {
        let mut next = draft(id, "a", "");
        next.payload = payload.clone();
        match packer.push(next) {
            Ok(()) => id += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!(packer.events(), 8);
    assert_eq!(refused.reason(), "TOO_LARGE");
    let mut last = draft(u128::MAX, "a", "");
    last.payload = payload.slice(..BATCH_BYTES_MAX - packer.bytes() - 13);
    packer.push(last).unwrap();
    assert_eq!(packer.bytes(), BATCH_BYTES_MAX);
    Block::open(packer.finish(Compression::Lz4).unwrap().bytes().clone()).unwrap();
}

#[test]
fn a_request_with_every_table_full_fits_in_the_bound_of_blocks() {
    let mut packer = Packer::new();
    for i in 0..BATCH_EVENTS_MAX {
        let mut draft = draft(1 + i as u128, &i.to_string(), "");
        draft.tags = (0..TAGS_MAX).map(|t| tag(&format!("{i}-{t}"))).collect();
        draft.event_type = requests::kind(&i.to_string());
        packer.push(draft).unwrap();
    }
    let block = packer.finish(Compression::None).unwrap();
    assert!(block.bytes().len() <= chronos_block::BLOCK_BYTES_MAX);
    let block = Block::open(block.bytes().clone()).unwrap();
    let last = block.event(BATCH_EVENTS_MAX - 1);
    assert!(last.tags.eq(draft_tags(BATCH_EVENTS_MAX - 1).iter().map(Tag::as_str)));
}

fn draft_tags(i: usize) -> Vec<Tag> {
    let mut tags: Vec<Tag> = (0..TAGS_MAX).map(|t| tag(&format!("{i}-{t}"))).collect();
    tags.sort();
    tags
}

#[test]
fn a_request_that_asks_nothing_is_refused_and_one_that_only_checks_is_not() {
    let refused = Packer::new().finish(Compression::None).unwrap_err();
    assert!(refused.to_string().contains("nothing is checked"), "{refused}");

    let mut any = Packer::new();
    any.expect(entity("a"), Expectation::Any).unwrap();
    assert_eq!(any.finish(Compression::None).unwrap_err().reason(), "INVALID");

    let mut exists = Packer::new();
    exists.expect(entity("a"), Expectation::Exists).unwrap();
    let block = exists.finish(Compression::None).unwrap();
    let block = Block::open(block.bytes().clone()).unwrap();
    assert_eq!((block.events(), block.entities(), block.expectation(0)), (0, 1, Expectation::Exists));

    let mut condition = Packer::new();
    let fail_if = vec![QueryItem::default()];
    condition.condition(Condition { fail_if, after: Position::ZERO }).unwrap();
    let block = condition.finish(Compression::None).unwrap();
    let block = Block::open(block.bytes().clone()).unwrap();
    assert!(block.placement("default").unwrap_err().to_string().contains("names no entity"));
}

#[test]
fn expectations_and_conditions_are_stated_once() {
    let mut packer = Packer::new();
    packer.push(draft(1, "a", "{}")).unwrap();
    packer.expect(entity("a"), Expectation::Exact(Version::new(1))).unwrap();
    packer.expect(entity("a"), Expectation::Exact(Version::new(1))).unwrap();
    let refused = packer.expect(entity("a"), Expectation::Exists).unwrap_err();
    assert!(refused.to_string().contains("version 1 and then at least one event"), "{refused}");

    let item = QueryItem::default();
    let wide = Condition { fail_if: vec![item.clone(); CONDITION_ITEMS_MAX + 1], after: Position::ZERO };
    assert_eq!(packer.condition(wide).unwrap_err().reason(), "TOO_LARGE");
    packer.condition(Condition { fail_if: vec![item], after: Position::ZERO }).unwrap();
    assert!(packer.condition(Condition::default()).unwrap_err().to_string().contains("twice"));
    let block = packer.finish(Compression::None).unwrap();
    assert_eq!(block.expectation(0), Expectation::Exact(Version::new(1)));
}

#[test]
fn a_request_lives_in_one_partition_or_says_in_which() {
    let block = sampler().pack(Compression::None);
    assert_eq!(block.placement("default"), Ok(place("default", "order-{cust42}-7")));

    let mut packer = Packer::new();
    let mut expected: Vec<PartitionId> = Vec::new();
    for i in 0..20 {
        let name = format!("entity-{i}");
        packer.push(draft(1 + i, &name, "{}")).unwrap();
        expected.push(place("default", &name));
    }
    expected.sort();
    expected.dedup();
    assert!(expected.len() > 1);
    let block = packer.finish(Compression::None).unwrap();
    assert_eq!(block.placement("default"), Err(Rejection::CrossPartition { partitions: expected }));
}

/// Where the first event's record stands.
fn first_record(bytes: &[u8]) -> usize {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    56 + 16 * u16_at(30) + 8 * (u16_at(32) + u16_at(34) + u16_at(36)) + 2 * u16_at(40)
}

/// Alters a well-packed block, puts the right checksum on it and opens it.
fn open_altered(block: &Block, alter: impl FnOnce(&mut [u8])) -> Malformed {
    let mut bytes = block.bytes().to_vec();
    alter(&mut bytes);
    reseal(&mut bytes);
    Block::open(bytes.into()).unwrap_err()
}

#[test]
fn open_refuses_what_no_packer_writes() {
    let mut packer = Packer::new();
    for (id, name) in [(5, "aa"), (6, "ab"), (4, "ac")] {
        let mut draft = draft(id, name, r#"{"a":1}"#);
        draft.tags = vec![tag("t1"), tag("t2")];
        packer.push(draft).unwrap();
    }
    let block = packer.finish(Compression::None).unwrap();
    let (record, end) = (first_record(block.bytes()), block.bytes().len());
    let names = end - 3 * 7 - (3 * 2 + "order.placed".len() + "application/json".len() + 2 * 2);

    let says =
        |malformed: Malformed, part: &str| assert!(malformed.to_string().contains(part), "{malformed}");
    says(open_altered(&block, |b| b[end - 1] ^= 1), "event 2 does not have its content hash");
    says(open_altered(&block, |b| b[record + 24] ^= 1), "event 0 does not have its content hash");
    says(open_altered(&block, |b| b[record + 15] = 0), "event_id of event 0 is nil");
    says(open_altered(&block, |b| b[record + 15] = 4), "event_id of event 2 is 00000000");
    says(open_altered(&block, |b| b[names + 3] = b'a'), "`aa` stands in the request's table twice");
    says(
        open_altered(&block, |b| b[names] = 7),
        "entity_id number 0 of the request has the control character",
    );
    says(open_altered(&block, |b| b[names] = 0xff), "names are not UTF-8");
    says(open_altered(&block, |b| b[names + 6] = b' '), "event_type number 0 of the request has white space");
    says(open_altered(&block, |b| b[names + 18 + 11] = b'x'), "content_type number 0");
    says(open_altered(&block, |b| b[record - 6] = 0), "the tags of event 1 are not in ascending order");
    says(open_altered(&block, |b| b[record + 48] = 3), "its entity is not in the table");
    says(open_altered(&block, |b| b[record + 36] += 1), "payload is not where it should be");
}

#[test]
fn open_refuses_names_that_stand_out_of_order_or_unused() {
    let block = sampler().pack(Compression::None);
    let record = first_record(block.bytes());
    let swapped = open_altered(&block, |b| b[record + 50] = 1);
    assert!(
        swapped.to_string().contains("event 0 is the first with its event type, but out of order"),
        "{swapped}"
    );

    // The only event with the second type takes the first, and its content hash with it.
    let mut bytes = block.bytes().to_vec();
    bytes[record + 56 + 50] = 0;
    reseal(&mut bytes);
    let content = content_hash(&Block::reopen(bytes.clone().into()).unwrap().event(1));
    bytes[record + 56 + 16..record + 56 + 24].copy_from_slice(&content.get().to_le_bytes());
    reseal(&mut bytes);
    let unused = Block::open(bytes.into()).unwrap_err();
    assert!(unused.to_string().contains("events use 1 of 2 event types"), "{unused}");
}

#[test]
fn reopen_leaves_the_rules_of_requests_to_open() {
    let block = sampler().pack(Compression::None);
    let mut bytes = block.bytes().to_vec();
    let record = first_record(&bytes);
    bytes[record + 16] ^= 1;
    reseal(&mut bytes);
    assert!(Block::open(bytes.clone().into()).is_err());
    assert!(Block::reopen(bytes.into()).is_ok());
}
