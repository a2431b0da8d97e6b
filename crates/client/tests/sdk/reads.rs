//! Reads: what arrives is checked.

use crate::server::Server;
use chronos_client::{Append, Client, EventId, Filter, Options, Read, ReadError, State, Version};
use futures::TryStreamExt;

async fn five_events() -> (Server, Client, Vec<EventId>) {
    let server = Server::start([]).await;
    let client = server.client(Options::default());
    let mut ids = Vec::new();
    for n in 1..=5 {
        let event = Append::to("order-1").event("order.changed", format!("{{\"n\":{n}}}"));
        ids.extend(client.append(event).await.unwrap().event_ids);
    }
    (server, client, ids)
}

#[tokio::test]
async fn events_arrive_page_by_page_in_order() {
    let (_server, client, ids) = five_events().await;
    let mut events = client.read(Read::entity("order-1")).await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        assert_eq!(event.version, Version::new(seen.len() as u64 + 1));
        assert_eq!(event.payload, format!("{{\"n\":{}}}", seen.len() + 1));
        seen.push(event.event_id);
    }
    assert_eq!(seen, ids);
    assert!(events.token().is_some() && events.page_is_done());
}

#[tokio::test]
async fn a_gap_is_found_out_on_arrival_and_ends_the_read() {
    let (server, client, _) = five_events().await;
    server.leave_out(2);
    let mut events = client.read(Read::entity("order-1")).await.unwrap();
    assert!(events.try_next().await.unwrap().is_some());
    assert!(events.try_next().await.unwrap().is_some());
    let error = events.try_next().await.unwrap_err();
    assert!(
        matches!(&error, ReadError::Corrupt(failure) if failure.message.contains("version 4")),
        "{error}"
    );
    assert!(events.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_filtered_read_may_leave_versions_out() {
    let (server, client, _) = five_events().await;
    server.leave_out(2);
    let filter = Filter { types: vec!["order.changed".to_owned()], ..Filter::default() };
    let events = client.read(Read::entity("order-1").filter(filter)).await.unwrap();
    assert_eq!(events.try_collect::<Vec<_>>().await.unwrap().len(), 4);
}

#[tokio::test]
async fn an_event_is_found_by_its_id_or_is_not_there() {
    let (_server, client, ids) = five_events().await;
    assert_eq!(client.get(ids[3]).await.unwrap().unwrap().version, Version::new(4));
    assert_eq!(client.get(EventId::from_u128(1)).await.unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_it_is_sent() {
    let (_server, client, _) = five_events().await;
    let partition = chronos_client::PartitionId::new(0).unwrap();
    let bad = [
        Read::entity(""),
        Read::entity("a").cursor("c1.x"),
        Read::partition(partition).to(3),
        Read::partition(partition).cursor("c1.x"),
        Read::all().from(3),
        Read::all().to(3),
    ];
    for read in bad {
        let error = client.read(read.clone()).await.unwrap_err();
        assert!(matches!(error, ReadError::Rejected(_)), "{read:?}: {error}");
    }
}

#[tokio::test]
async fn a_refused_question_is_not_asked_twice() {
    let (_server, client, _) = five_events().await;
    let error = client.state(State::of("order-1")).await.unwrap_err();
    assert!(matches!(error, ReadError::Rejected(_)), "{error}");
}
