//! Sessions: order is kept and nothing is lost or doubled, whatever the server does.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::server::{Act, Server, spawn};
use chronos_client::{
    AppendError, Client, Draft, EntityId, EventId, EventType, Ids, Options, Rule, SessionOptions, Stored,
    Version,
};
use proptest::prelude::*;

fn options() -> Options {
    Options {
        deadline: Duration::from_secs(600),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(1),
        ids: Ids::seeded(1, || 1),
        ..Options::default()
    }
}

fn draft(id: u128, entity: &str, kind: &str) -> Draft {
    let (entity, kind) = (EntityId::parse(entity).unwrap(), EventType::parse(kind).unwrap());
    Draft::json(EventId::from_u128(id), entity, kind, format!("{{\"n\":{id}}}"))
}

/// `count` events of some entities.
pub(crate) fn drafts(count: u128, entities: u128) -> Vec<Draft> {
    (1..=count).map(|id| draft(id, &format!("entity-{}", id * 7 % entities), "t")).collect()
}

pub(crate) async fn push_all(
    client: &Client,
    batching: SessionOptions,
    drafts: Vec<Draft>,
) -> Vec<Result<Stored, AppendError>> {
    let session = client.session(batching);
    let mut tickets = Vec::new();
    for draft in drafts {
        tickets.push(session.push(draft).await.unwrap());
    }
    session.flush().await;
    let mut outcomes = Vec::new();
    for ticket in tickets {
        outcomes.push(ticket.stored().await);
    }
    outcomes
}

/// Every event has the version that counts how many of its entity were pushed up to it.
pub(crate) fn assert_pushed_order(drafts: &[Draft], outcomes: &[Result<Stored, AppendError>]) {
    let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
    for (draft, outcome) in drafts.iter().zip(outcomes) {
        let version = versions.entry(draft.entity_id.as_str()).or_default();
        *version += 1;
        assert_eq!(outcome.as_ref().unwrap().version, Version::new(*version), "of {}", draft.entity_id);
    }
}

pub(crate) fn small() -> SessionOptions {
    SessionOptions { batch_events: 7, ..SessionOptions::default() }
}

#[tokio::test]
async fn events_are_batched_and_keep_their_order() {
    let server = Server::start([]).await;
    let drafts = drafts(5_000, 50);
    let outcomes = push_all(&server.client(options()), SessionOptions::default(), drafts.clone()).await;
    assert_pushed_order(&drafts, &outcomes);
    assert!(server.seen().len() < 1_000, "{} requests for 5000 events", server.seen().len());
    assert_eq!(server.streams(), 1);
}

#[tokio::test]
async fn a_full_block_does_not_wait_for_more() {
    let server = Server::start([]).await;
    let lasting = SessionOptions { batch_events: 10, linger: Duration::from_secs(36_000), ..small() };
    let session = server.client(options()).session(lasting);
    let mut last = None;
    for id in 1..=10 {
        last = Some(session.push(draft(id, "a", "t")).await.unwrap());
    }
    assert_eq!(last.unwrap().stored().await.unwrap().version, Version::new(10));
}

#[tokio::test]
async fn a_block_that_is_not_full_goes_when_it_has_waited_long_enough() {
    let server = Server::start([]).await;
    let session = server.client(options()).session(small());
    let ticket = session.push(draft(1, "a", "t")).await.unwrap();
    assert_eq!(ticket.stored().await.unwrap().version, Version::new(1));
}

#[tokio::test]
async fn an_event_too_large_for_the_block_being_filled_sends_it() {
    let server = Server::start([]).await;
    let tight = SessionOptions { batch_bytes: 20, linger: Duration::from_secs(36_000), ..small() };
    let session = server.client(options()).session(tight);
    let first = session.push(draft(1, "a", "t")).await.unwrap();
    let _second = session.push(draft(2, "a", "a.much.longer.type")).await.unwrap();
    assert_eq!(first.stored().await.unwrap().version, Version::new(1));
}

#[tokio::test]
async fn who_pushes_more_than_one_block_ahead_waits() {
    let server = Server::start([Act::StoreBehindGate]).await;
    let session = server.client(options()).session(SessionOptions { batch_events: 1, ..small() });
    let _in_flight = session.push(draft(1, "a", "t")).await.unwrap();
    server.arrived(1).await;
    let _filling = session.push(draft(2, "a", "t")).await.unwrap();
    let third = spawn(async move { session.push(draft(3, "a", "t")).await.unwrap().stored().await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!third.is_finished() && server.seen().len() == 1);
    server.open_gate();
    assert_eq!(third.await.unwrap().unwrap().version, Version::new(3));
}

#[tokio::test]
async fn what_was_pushed_before_a_session_is_dropped_is_sent() {
    let server = Server::start([]).await;
    let lasting = SessionOptions { linger: Duration::from_secs(36_000), ..small() };
    let session = server.client(options()).session(lasting);
    let ticket = session.push(draft(1, "a", "t")).await.unwrap();
    drop(session);
    assert_eq!(ticket.stored().await.unwrap().version, Version::new(1));
}

#[tokio::test]
async fn an_event_that_is_refused_takes_no_other_down() {
    let server = Server::start([]).await;
    let drafts: Vec<Draft> =
        (1..=20).map(|id| draft(id, "a", if id % 6 == 0 { "refused" } else { "t" })).collect();
    let outcomes = push_all(&server.client(options()), small(), drafts).await;
    let mut version = 0;
    for (i, outcome) in outcomes.iter().enumerate() {
        if (i + 1) % 6 == 0 {
            let AppendError::Rejected(rejected) = outcome.as_ref().unwrap_err() else {
                panic!("{outcome:?}")
            };
            assert_eq!(rejected.rule, Rule::Invalid { field: "payload".to_owned() });
        } else {
            version += 1;
            assert_eq!(outcome.as_ref().unwrap().version, Version::new(version));
        }
    }
}

#[tokio::test]
async fn pushing_everything_again_in_other_blocks_stores_nothing_twice() {
    let server = Server::start([]).await;
    let client = server.client(options());
    let drafts = drafts(300, 20);
    let first = push_all(&client, small(), drafts[..170].to_vec()).await;
    assert_pushed_order(&drafts[..170], &first);
    let batching = SessionOptions { batch_events: 11, ..small() };
    let again = push_all(&client, batching, drafts.clone()).await;
    assert_pushed_order(&drafts, &again);
    for (i, outcome) in again.iter().enumerate() {
        assert_eq!(outcome.as_ref().unwrap().deduplicated, i < 170, "event {i}");
    }
    assert_eq!(server.with_store(|store| store.all().count()), 300);
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => Just(Act::Store),
        1 => Just(Act::StoreThenBreak),
        1 => Just(Act::Break),
        1 => Just(Act::End),
        1 => Just(Act::Stop),
        1 => Just(Act::NotApplied),
        1 => Just(Act::Unknown),
    ];
    proptest::collection::vec(act, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_is_lost_doubled_or_reordered_whatever_goes_wrong(
        script in acts(), entities in 1u128..40, batch_events in 1usize..30, in_flight_max in 1usize..8,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start(script).await;
            let drafts = drafts(400, entities);
            let batching = SessionOptions { batch_events, in_flight_max, ..SessionOptions::default() };
            let outcomes = push_all(&server.client(options()), batching, drafts.clone()).await;
            assert_pushed_order(&drafts, &outcomes);
            assert_eq!(server.with_store(|store| store.all().count()), 400);
        });
    }
}
