//! Appends against a server that fails as scripted: ids are kept, and the outcome's class is never guessed.

use std::time::Duration;

use crate::server::{Act, Server, spawn};
use chronos_client::{
    Append, AppendError, Appended, Class, Client, EventId, Expectation, Ids, Options, Read, Rule, Token,
    Version,
};
use futures::TryStreamExt;
use tokio::net::TcpListener;

/// As patient as it takes.
fn patient() -> Options {
    Options {
        deadline: Duration::from_secs(600),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(1),
        ids: Ids::seeded(1, || 1),
        ..Options::default()
    }
}

/// Tries once: the first pause would be longer than the deadline.
fn hasty() -> Options {
    Options {
        backoff_min: Duration::from_secs(36_000),
        backoff_max: Duration::from_secs(36_000),
        ..patient()
    }
}

fn order() -> Append {
    Append::to("order-1").event("order.placed", "{}")
}

/// Appends to a server of this script, patiently.
async fn append(script: &[Act]) -> (Server, Appended) {
    let server = Server::start(script.iter().copied()).await;
    let appended = server.client(patient()).append(order()).await.unwrap();
    (server, appended)
}

/// What one attempt ends as.
async fn one_attempt(act: Act) -> (Server, Client, AppendError) {
    let server = Server::start([act]).await;
    let client = server.client(hasty());
    let error = client.append(order()).await.unwrap_err();
    (server, client, error)
}

/// Entities of as many different partitions.
fn apart(count: usize) -> Vec<String> {
    let names = (0..).map(|i| format!("entity-{i}"));
    let mut apart = std::collections::BTreeMap::new();
    for name in names.take(1000) {
        if apart.len() < count {
            apart.entry(chronos_domain::place("default", &name)).or_insert(name);
        }
    }
    apart.into_values().collect()
}

fn assert_same_ids(server: &Server, attempts: usize) {
    let seen = server.seen();
    assert_eq!(seen.len(), attempts);
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[tokio::test]
async fn an_answer_gives_the_numbers_and_the_ids() {
    let (server, appended) = append(&[]).await;
    assert_eq!(appended.versions, [Version::new(1)]);
    assert_eq!(appended.event_ids, server.seen()[0]);
    assert!(!appended.deduplicated);
}

#[tokio::test]
async fn a_stream_that_breaks_after_storing_gives_the_original_numbers() {
    let (server, appended) = append(&[Act::StoreThenBreak]).await;
    assert!(appended.deduplicated);
    assert_eq!(appended.versions, [Version::new(1)]);
    assert_same_ids(&server, 2);
    assert_eq!(server.streams(), 2);
}

#[tokio::test]
async fn whatever_goes_wrong_is_tried_again_with_the_same_ids() {
    let script = [Act::Break, Act::NotApplied, Act::End, Act::Unknown, Act::Stop];
    let (server, appended) = append(&script).await;
    assert!(!appended.deduplicated);
    assert_same_ids(&server, script.len() + 1);
    assert_eq!(server.with_store(|store| store.all().count()), 1);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_same_ids_resolve_it() {
    for act in [Act::StoreThenBreak, Act::Break, Act::End, Act::Unknown] {
        let (server, client, error) = one_attempt(act).await;
        let AppendError::Unknown(unknown) = error else { panic!("{act:?} is {error}") };
        assert_eq!(unknown.event_ids, server.seen()[0]);
        let again = client.append(order().id(unknown.event_ids[0])).await.unwrap();
        assert_eq!(again.deduplicated, act == Act::StoreThenBreak);
        assert_eq!(again.versions, [Version::new(1)]);
    }
}

#[tokio::test]
async fn what_the_server_says_did_not_happen_is_not_applied() {
    for act in [Act::NotApplied, Act::Stop] {
        let (server, _, error) = one_attempt(act).await;
        assert_eq!(error.class(), Class::NotApplied, "{act:?} is {error}");
        assert_eq!(server.with_store(|store| store.all().count()), 0);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_applied() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let client = Client::connect_with(&address, hasty()).unwrap();
    let error = client.append(order()).await.unwrap_err();
    assert_eq!(error.class(), Class::NotApplied, "{error}");
}

#[tokio::test]
async fn the_next_address_is_tried_when_the_first_does_not_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = listener.local_addr().unwrap().to_string();
    drop(listener);
    let server = Server::start([]).await;
    let client = Client::connect_with(&format!("{dead},{}", server.address()), patient()).unwrap();
    let appended = client.append(order()).await.unwrap();
    assert!(client.get(appended.event_ids[0]).await.unwrap().is_some());
}

#[tokio::test]
async fn t_40_silence_until_the_deadline_is_unknown() {
    let server = Server::start([Act::StoreBehindGate]).await;
    let client = server.client(patient());
    let error = client.append(order().deadline(Duration::from_secs(1))).await.unwrap_err();
    let AppendError::Unknown(unknown) = error else { panic!("{error}") };
    let again = client.append(order().id(unknown.event_ids[0])).await.unwrap();
    assert!(again.deduplicated);
}

#[tokio::test]
async fn a_rule_that_says_no_is_told_with_its_values_and_not_tried_again() {
    let server = Server::start([]).await;
    let client = server.client(patient());
    client.append(order()).await.unwrap();
    let error = client.append(order().expect(Expectation::NoEntity)).await.unwrap_err();
    let AppendError::Rejected(rejected) = error else { panic!("{error}") };
    let entity = "order-1".to_owned();
    let rule = Rule::WrongExpectedVersion { entity, expected: Some(Version::ZERO), actual: Version::new(1) };
    assert_eq!(rejected.rule, rule);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_refusal_here_never_reaches_the_server() {
    let server = Server::start([]).await;
    let client = server.client(patient());
    let names = apart(2);
    let two_partitions = Append::to(&names[0]).event("t", "{}").and(&names[1]).event("t", "{}");
    for append in [Append::to("").event("t", "{}"), two_partitions, Append::to("a")] {
        assert_eq!(client.append(append).await.unwrap_err().class(), Class::Rejected);
    }
    assert_eq!(server.streams(), 0);
}

#[tokio::test]
async fn answers_may_overtake_each_other() {
    let server = Server::start([Act::StoreBehindGate]).await;
    let client = server.client(patient());
    let slow = spawn({
        let client = client.clone();
        async move { client.append(Append::to("slow").event("t", "{}")).await }
    });
    server.arrived(1).await;
    client.append(Append::to("fast").event("t", "{}")).await.unwrap();
    assert!(!slow.is_finished());
    server.open_gate();
    slow.await.unwrap().unwrap();
    assert_eq!(server.streams(), 1);
}

#[tokio::test]
async fn no_more_are_in_flight_than_allowed() {
    let server = Server::start([Act::StoreBehindGate]).await;
    let client = server.client(Options { in_flight_max: 1, ..patient() });
    let first = spawn({
        let client = client.clone();
        async move { client.append(Append::to("first").event("t", "{}")).await }
    });
    server.arrived(1).await;
    // The second has nowhere to go: its time is over before it was sent, which is certain.
    let second = Append::to("second").event("t", "{}").deadline(Duration::from_millis(50));
    assert_eq!(client.append(second).await.unwrap_err().class(), Class::NotApplied);
    server.open_gate();
    first.await.unwrap().unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_append_that_is_dropped_gives_its_place_back() {
    let server = Server::start([Act::StoreBehindGate]).await;
    let client = server.client(Options { in_flight_max: 1, ..patient() });
    let dropped = spawn({
        let client = client.clone();
        async move { client.append(Append::to("dropped").event("t", "{}")).await }
    });
    server.arrived(1).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    client.append(order()).await.unwrap();
}

#[tokio::test]
async fn the_client_remembers_how_far_its_own_appends_went() {
    let server = Server::start([]).await;
    let client = server.client(Options { read_your_writes: true, ..patient() });
    let mut expected = Token::new();
    for entity in ["a", "b", "c", "a"] {
        let appended = client.append(Append::to(entity).event("t", "{}")).await.unwrap();
        expected.merge(&appended.token);
    }
    assert_eq!(client.token(), expected);
    let partition = expected.iter().next().unwrap().0;
    let mut events = client.read(Read::partition(partition)).await.unwrap();
    assert!(events.try_next().await.unwrap().is_none());
    let asked = chronos_client::Consistency::try_from(server.consistency().unwrap()).unwrap();
    assert_eq!(asked, chronos_client::Consistency::AtLeast(expected));
}

#[tokio::test]
async fn many_events_are_split_by_partition_and_reported_one_by_one() {
    let server = Server::start([]).await;
    let client = server.client(patient());
    let pack = |entity: &str, kind: &str| {
        let entity = chronos_client::EntityId::parse(entity).unwrap();
        let kind = chronos_client::EventType::parse(kind).unwrap();
        chronos_client::Draft::json(client.ids().next(), entity, kind, "{}")
    };
    let names = apart(3);
    let (a, b, c) = (&names[0], &names[1], &names[2]);
    let events = vec![pack(a, "t"), pack(b, "refused"), pack(c, "t"), pack(a, "t"), pack(b, "t")];
    let ids: Vec<EventId> = events.iter().map(|event| event.event_id).collect();
    let report = client.append_many(events).await.unwrap();
    assert!(!report.is_complete());
    let mut places: Vec<usize> = report.parts.iter().flat_map(|part| part.events.clone()).collect();
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2, 3, 4]);
    for part in &report.parts {
        match &part.outcome {
            Ok(appended) => {
                let expected: Vec<EventId> = part.events.iter().map(|i| ids[*i]).collect();
                assert_eq!(appended.event_ids, expected);
            }
            Err(error) => {
                assert_eq!((part.events.as_slice(), error.class()), (&[1, 4][..], Class::Rejected));
            }
        }
    }
}
