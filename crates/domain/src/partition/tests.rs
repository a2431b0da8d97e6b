//! One example for every rule of apply; `tests/apply_against_a_plain_model.rs` has the properties.

use alloc::string::ToString;
use core::convert::Infallible;

use super::*;
use crate::condition::{Condition, QueryItem};
use crate::expect::Expectation;
use crate::id::{EventType, Tag};
use crate::model::{Event, Model, Request};
use crate::number::{ForkId, LogIndex};

const MAIN: Space<'static> = Space { tenant: "default", fork: ForkId::MAIN };

/// A partition with its stored events.
struct Shop {
    state: PartitionState,
    model: Model,
    clock: i64,
}

impl Shop {
    fn new() -> Shop {
        let partition = PartitionId::new(3).unwrap();
        Shop { state: PartitionState::new(partition), model: Model::new(), clock: 1000 }
    }

    fn apply_in(&mut self, space: Space<'_>, request: &Request) -> Verdict {
        let command = Append { space, recorded_at: Timestamp::new(self.clock), batch: request };
        let Ok::<_, Infallible>(verdict) = self.state.apply(&self.model, &command);
        if let Verdict::Stored(receipt) = &verdict {
            self.model.record(&command, receipt);
        }
        verdict
    }

    fn apply(&mut self, request: &Request) -> Verdict {
        self.apply_in(MAIN, request)
    }

    fn rejects(&mut self, request: &Request) -> Rejection {
        let (state, model) = (self.state.clone(), self.model.clone());
        let Verdict::Rejected(rejection) = self.apply(request) else { panic!("accepted {request:?}") };
        assert_eq!((&self.state, &self.model), (&state, &model), "a rejection changes nothing");
        rejection
    }
}

fn event(entity: usize, id: u128) -> Event {
    Event {
        entity,
        id: EventId::from_u128(id),
        content: ContentHash::new(id as u64 * 10),
        event_type: EventType::parse("order.placed").unwrap(),
        tags: vec![Tag::parse(&alloc::format!("t{id}")).unwrap()],
    }
}

fn request(entities: &[(&str, Expectation)], events: &[(usize, u128)]) -> Request {
    Request {
        entities: entities.iter().map(|(name, e)| (EntityId::parse(name).unwrap(), *e)).collect(),
        events: events.iter().map(|(entity, id)| event(*entity, *id)).collect(),
        condition: None,
    }
}

fn tagged(tag: &str, after: u64) -> Option<Condition> {
    let item = QueryItem { types: vec![], tags: vec![Tag::parse(tag).unwrap()] };
    Some(Condition { fail_if: vec![item], after: Position::new(after) })
}

fn receipt(first: u64, recorded_at: i64, first_versions: &[u64]) -> Receipt {
    Receipt {
        first: Position::new(first),
        recorded_at: Timestamp::new(recorded_at),
        first_versions: first_versions.iter().copied().map(Version::new).collect(),
    }
}

fn conflict(id: u128) -> Rejection {
    Rejection::IdempotencyConflict { event_id: EventId::from_u128(id) }
}

const ANY: Expectation = Expectation::Any;
const NONE: Expectation = Expectation::NoEntity;

fn exact(n: u64) -> Expectation {
    Expectation::Exact(Version::new(n))
}

/// a: 1, 2 · b: 3 · a: 4, at positions 1 to 4.
fn stocked() -> Shop {
    let mut shop = Shop::new();
    let first = request(&[("a", NONE), ("b", ANY)], &[(0, 1), (0, 2), (1, 3)]);
    assert_eq!(shop.apply(&first), Verdict::Stored(receipt(1, 1000, &[1, 1])));
    assert_eq!(shop.apply(&request(&[("a", exact(2))], &[(0, 4)])), Verdict::Stored(receipt(4, 1000, &[3])));
    shop
}

#[test]
fn events_of_one_batch_interleave_entities_and_number_each() {
    let mut shop = stocked();
    let batch = request(&[("b", ANY), ("x", ANY), ("a", ANY)], &[(0, 5), (2, 6), (0, 7), (2, 8)]);
    let Verdict::Stored(receipt) = shop.apply(&batch) else { panic!() };
    assert_eq!(receipt.first, Position::new(5));
    assert_eq!(receipt.first_versions, [2, 0, 4].map(Version::new));
    assert_eq!(receipt.versions(&batch), [2, 4, 3, 5].map(Version::new));
    assert_eq!(receipt.last(&batch), Some(Position::new(8)));
    assert_eq!(shop.state.head(), Position::new(8));
}

#[test]
fn the_first_unmet_expectation_in_the_entity_table_is_named() {
    let mut shop = stocked();
    let cases = [
        ([("b", exact(1)), ("a", exact(2))], ("a", exact(2), 3)),
        ([("b", NONE), ("a", exact(2))], ("b", NONE, 1)),
        ([("new", Expectation::Exists), ("a", NONE)], ("new", Expectation::Exists, 0)),
    ];
    for (entities, (name, expected, actual)) in cases {
        let entity = EntityId::parse(name).unwrap();
        let wanted = Rejection::WrongExpectedVersion { entity, expected, actual: Version::new(actual) };
        // The named entity need not be written.
        assert_eq!(shop.rejects(&request(&entities, &[(0, 9)])), wanted);
        assert_eq!(shop.rejects(&request(&entities, &[(1, 9)])), wanted);
        assert_eq!(shop.rejects(&request(&entities, &[])), wanted);
    }
}

#[test]
fn a_condition_names_the_earliest_match_of_any_item() {
    let mut shop = stocked();
    let mut batch = request(&[("c", ANY)], &[(0, 9)]);
    let item = |tag: &str| QueryItem { types: vec![], tags: vec![Tag::parse(tag).unwrap()] };
    let fail_if = vec![item("absent"), item("t4"), item("t2")];
    let failed = |position, id| Rejection::ConditionFailed {
        position: Position::new(position),
        event_id: EventId::from_u128(id),
    };
    batch.condition = Some(Condition { fail_if: fail_if.clone(), after: Position::ZERO });
    assert_eq!(shop.rejects(&batch), failed(2, 2));
    batch.condition = Some(Condition { fail_if: fail_if.clone(), after: Position::new(2) });
    assert_eq!(shop.rejects(&batch), failed(4, 4));
    batch.condition = Some(Condition { fail_if, after: Position::new(4) });
    assert!(matches!(shop.apply(&batch), Verdict::Stored(_)));
}

#[test]
fn a_condition_without_items_never_fails_and_an_empty_item_matches_everything() {
    let mut shop = stocked();
    let mut batch = request(&[("c", ANY)], &[(0, 9)]);
    batch.condition = Some(Condition { fail_if: vec![QueryItem::default()], after: Position::ZERO });
    let position = Position::new(1);
    assert_eq!(
        shop.rejects(&batch),
        Rejection::ConditionFailed { position, event_id: EventId::from_u128(1) }
    );
    batch.condition = Some(Condition::default());
    assert!(matches!(shop.apply(&batch), Verdict::Stored(_)));
}

#[test]
fn expectations_come_before_the_condition() {
    let mut shop = stocked();
    let mut batch = request(&[("a", NONE)], &[(0, 9)]);
    batch.condition = tagged("t1", 0);
    assert_eq!(shop.rejects(&batch).reason(), "WRONG_EXPECTED_VERSION");
}

#[test]
fn a_repeated_request_gets_its_original_numbers_whatever_it_expects_by_now() {
    let mut shop = stocked();
    let state = shop.state.clone();
    for expected in [NONE, ANY, exact(3), exact(77), Expectation::Exists] {
        let mut again = request(&[("a", expected), ("b", expected)], &[(0, 1), (0, 2), (1, 3)]);
        again.condition = tagged("t1", 0);
        assert_eq!(shop.apply(&again), Verdict::Duplicate(receipt(1, 1000, &[1, 1])));
        let again = request(&[("b", expected), ("a", expected)], &[(1, 4)]);
        assert_eq!(shop.apply(&again), Verdict::Duplicate(receipt(4, 1000, &[0, 3])));
    }
    assert_eq!(shop.state, state);
}

#[test]
fn a_run_within_or_across_stored_requests_is_a_duplicate_too() {
    let mut shop = stocked();
    let run = request(&[("a", ANY), ("b", ANY)], &[(0, 2), (1, 3), (0, 4)]);
    assert_eq!(shop.apply(&run), Verdict::Duplicate(receipt(2, 1000, &[2, 1])));
}

#[test]
fn ids_that_are_stored_otherwise_conflict_and_the_offender_is_stored() {
    let mut shop = stocked();
    let entities = &[("a", ANY), ("b", ANY)];
    // Half new: the first stored one is named, wherever it stands.
    assert_eq!(shop.rejects(&request(entities, &[(0, 1), (0, 9)])), conflict(1));
    assert_eq!(shop.rejects(&request(entities, &[(0, 9), (0, 2), (1, 3)])), conflict(2));
    assert_eq!(shop.rejects(&request(entities, &[(0, 1), (0, 9), (1, 3)])), conflict(1));
    // All stored, but in another order or with a hole between: the first out of place.
    assert_eq!(shop.rejects(&request(entities, &[(0, 2), (0, 1)])), conflict(1));
    assert_eq!(shop.rejects(&request(entities, &[(0, 1), (1, 3)])), conflict(3));
    // All stored and in place, but one says something else.
    let mut other = request(entities, &[(0, 1), (0, 2), (1, 3)]);
    other.events[1].content = ContentHash::new(999);
    assert_eq!(shop.rejects(&other), conflict(2));
    other.events[0].content = ContentHash::new(999);
    assert_eq!(shop.rejects(&other), conflict(1));
}

#[test]
fn a_conflict_comes_before_an_unmet_expectation() {
    let mut shop = stocked();
    assert_eq!(shop.rejects(&request(&[("a", NONE)], &[(0, 9), (0, 1)])), conflict(1));
}

#[test]
fn a_request_that_only_checks_takes_no_number_and_moves_no_moment() {
    let mut shop = stocked();
    let state = shop.state.clone();
    shop.clock = 5000;
    let mut checks = request(&[("a", exact(3)), ("new", NONE)], &[]);
    checks.condition = tagged("absent", 0);
    let verdict = shop.apply(&checks);
    assert_eq!(verdict, Verdict::Stored(receipt(0, 5000, &[0, 0])));
    let Verdict::Stored(receipt) = verdict else { panic!() };
    assert_eq!(receipt.last(&checks), None);
    assert_eq!(receipt.versions(&checks), []);
    assert_eq!(shop.state, state);
}

#[test]
fn recorded_at_follows_the_command_and_never_falls() {
    let mut shop = stocked();
    shop.clock = 400;
    assert_eq!(shop.apply(&request(&[("c", ANY)], &[(0, 5)])), Verdict::Stored(receipt(5, 1000, &[1])));
    shop.clock = 2000;
    assert_eq!(shop.apply(&request(&[("c", ANY)], &[(0, 6)])), Verdict::Stored(receipt(6, 2000, &[2])));
    assert_eq!(shop.state.recorded_at(), Timestamp::new(2000));
}

#[test]
fn the_first_event_may_lie_before_the_epoch() {
    let mut shop = Shop::new();
    shop.clock = -7;
    assert_eq!(shop.apply(&request(&[("c", ANY)], &[(0, 6)])), Verdict::Stored(receipt(1, -7, &[1])));
}

#[test]
fn tenants_and_forks_share_positions_and_nothing_else() {
    let mut shop = stocked();
    let batch = request(&[("a", NONE)], &[(0, 1)]);
    let others = [Space { tenant: "other", ..MAIN }, Space { fork: ForkId::new(1), ..MAIN }];
    for (space, first) in others.into_iter().zip([5, 6]) {
        let mut guarded = batch.clone();
        guarded.condition = tagged("t1", 0);
        assert_eq!(shop.apply_in(space, &guarded), Verdict::Stored(receipt(first, 1000, &[1])));
        assert_eq!(shop.apply_in(space, &guarded), Verdict::Duplicate(receipt(first, 1000, &[1])));
    }
}

#[test]
fn a_resumed_partition_goes_on_where_it_was() {
    let mut shop = stocked();
    let PartitionState { partition, head, recorded_at } = shop.state;
    shop.state = PartitionState::resume(partition, head, recorded_at);
    shop.clock = 0;
    assert_eq!(shop.apply(&request(&[("a", exact(3))], &[(0, 5)])), Verdict::Stored(receipt(5, 1000, &[4])));
}

/// An index over a model whose n-th call fails.
struct Faulty<'a> {
    model: &'a Model,
    calls_left: core::cell::Cell<u32>,
}

impl Faulty<'_> {
    fn call<T>(&self, answer: Result<T, Infallible>) -> Result<T, LogIndex> {
        let Some(left) = self.calls_left.get().checked_sub(1) else { return Err(LogIndex::new(42)) };
        self.calls_left.set(left);
        let Ok(answer) = answer;
        Ok(answer)
    }
}

impl Index for Faulty<'_> {
    type Error = LogIndex;

    fn version(&self, space: Space<'_>, entity: &str) -> Result<Version, LogIndex> {
        self.call(self.model.version(space, entity))
    }

    fn find(&self, space: Space<'_>, id: EventId) -> Result<Option<Found>, LogIndex> {
        self.call(self.model.find(space, id))
    }

    fn version_at(&self, position: Position) -> Result<Version, LogIndex> {
        self.call(self.model.version_at(position))
    }

    fn recorded_at(&self, position: Position) -> Result<Timestamp, LogIndex> {
        self.call(self.model.recorded_at(position))
    }

    fn truncated_before(&self, space: Space<'_>, entity: &str) -> Result<Version, LogIndex> {
        self.call(self.model.truncated_before(space, entity))
    }

    fn first_match(
        &self,
        space: Space<'_>,
        item: &QueryItem,
        after: Position,
    ) -> Result<Option<(Position, EventId)>, LogIndex> {
        self.call(self.model.first_match(space, item, after))
    }
}

#[test]
fn a_fault_of_the_index_is_passed_on_and_changes_nothing() {
    let mut shop = stocked();
    let mut fresh = request(&[("a", ANY), ("c", ANY)], &[(0, 8), (1, 9)]);
    fresh.condition = tagged("absent", 0);
    let repeated = request(&[("a", ANY), ("b", ANY)], &[(0, 1), (0, 2), (1, 3)]);
    // Lookups: an id each, then either every entity and every item, or the first event of each entity and the run's moment.
    for (batch, lookups) in [(&fresh, 2 + 2 + 1), (&repeated, 3 + 2 + 1)] {
        let state = shop.state.clone();
        let command = Append { space: MAIN, recorded_at: Timestamp::new(9000), batch };
        for calls in 0..lookups {
            let index = Faulty { model: &shop.model, calls_left: calls.into() };
            assert_eq!(shop.state.apply(&index, &command), Err(LogIndex::new(42)), "after {calls} lookups");
            assert_eq!(shop.state, state);
        }
        let index = Faulty { model: &shop.model, calls_left: lookups.into() };
        assert!(shop.state.apply(&index, &command).is_ok());
        shop.state = state;
    }
}

#[test]
#[should_panic(expected = "I-06: found position 1, head is 0")]
fn an_index_that_shows_what_is_not_applied_stops_the_partition() {
    let mut shop = stocked();
    shop.state = PartitionState::new(shop.state.partition());
    shop.apply(&request(&[("a", ANY)], &[(0, 1)]));
}

#[test]
#[should_panic(expected = "I-06: matched position 1, head is 0")]
fn a_condition_never_sees_what_is_not_applied() {
    let mut shop = stocked();
    shop.state = PartitionState::new(shop.state.partition());
    let mut batch = request(&[("c", ANY)], &[(0, 9)]);
    batch.condition = tagged("t1", 0);
    shop.apply(&batch);
}

#[test]
fn every_rejection_says_what_where_and_what_to_do_next() {
    let entity = EntityId::parse("order-1").unwrap();
    let p = |n| PartitionId::new(n).unwrap();
    #[rustfmt::skip]
    let said = [
        (Rejection::WrongExpectedVersion { entity, expected: exact(3), actual: Version::new(4) },
         "WRONG_EXPECTED_VERSION",
         "entity `order-1` is at version 4 but the append expected version 3; read the entity, decide again, and append with its present version"),
        (Rejection::ConditionFailed { position: Position::new(7), event_id: EventId::from_u128(1) },
         "CONDITION_FAILED",
         "event 00000000-0000-0000-0000-000000000001 at position 7 matches the append's condition; read up to that position, decide again, and append with a condition after it"),
        (conflict(2),
         "IDEMPOTENCY_CONFLICT",
         "event id 00000000-0000-0000-0000-000000000002 is already stored, but not by this same request (other content, other order or other events beside it); repeat the original request unchanged, or give new events new ids"),
        (Rejection::Invalid(crate::id::check_entity_id("").unwrap_err()),
         "INVALID",
         "entity_id is empty; give 1 to 256 bytes"),
        (Rejection::bound("payload bytes", 10, 11).unwrap_err(),
         "TOO_LARGE",
         "11 payload bytes are more than the 10 allowed; send less in one request"),
        (Rejection::QuotaExceeded { quota: "events per second".into(), retry_after_ms: 250 },
         "QUOTA_EXCEEDED",
         "quota `events per second` of the tenant is used up; retry after 250 ms"),
        (Rejection::CrossPartition { partitions: vec![p(3), p(17)] },
         "CROSS_PARTITION",
         "the append's entities live in partitions 3, 17, but one append is atomic within one partition; send one append for each, or give the entities a common {hash tag}"),
    ];
    for (rejection, reason, sentence) in said {
        assert_eq!(rejection.reason(), reason);
        assert_eq!(rejection.to_string(), sentence);
    }
    assert_eq!(Rejection::bound("x", 10, 10), Ok(()));
}
