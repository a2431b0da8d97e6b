//! Which node is asked, and what becomes of a request when nodes move, break down and mislead.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Cluster, Names};
use crate::server::spawn;
use crate::sessions::{assert_pushed_order, drafts, push_all, small};
use chronos_client::{Append, Client, Consistency, Counters, Ids, Options, Read, Version};
use futures::TryStreamExt;
use tokio::net::TcpListener;

fn patient() -> Options {
    Options {
        deadline: Duration::from_secs(600),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        ids: Ids::seeded(1, || 1),
        ..Options::default()
    }
}

fn counted() -> (Options, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    (Options { observer: Some(counters.clone()), ..patient() }, counters)
}

fn change() -> Append {
    Append::to("order-1").event("order.changed", "{}")
}

/// Appends until the node is asked directly: it is found in the background.
async fn until_found(cluster: &Cluster, client: &Client, node: u64) {
    while cluster.asked(node).0 == 0 {
        client.append(change()).await.unwrap();
    }
}

/// An address where nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_client_of_any_node_finds_the_leader_and_asks_it_directly() {
    let cluster = Cluster::start(3).await;
    cluster.lead(Some(2));
    let client = cluster.client_of(1, patient());
    until_found(&cluster, &client, 2).await;
    let others = cluster.asked(1).1 + cluster.asked(3).1;
    for _ in 0..20 {
        client.append(change()).await.unwrap();
    }
    assert_eq!(cluster.asked(1).1 + cluster.asked(3).1, others, "nobody else is asked any more");
    assert_eq!((cluster.asked(1).0, cluster.asked(3).0), (0, 0));
}

#[tokio::test]
async fn the_named_leader_is_asked_at_once_when_leadership_moves() {
    let cluster = Cluster::start(3).await;
    let (options, counters) = counted();
    let client = cluster.client_of(1, options);
    client.append(change()).await.unwrap();
    cluster.lead(Some(3));
    let before = counters.counts();
    client.append(change()).await.unwrap();
    let after = counters.counts();
    assert_eq!((after.redirects - before.redirects, after.attempts - before.attempts), (1, 2));
    assert_eq!((cluster.asked(1), cluster.asked(3), cluster.asked(2)), ((2, 0), (1, 0), (0, 0)));
}

#[tokio::test]
async fn without_a_leader_the_client_waits_for_one() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client_of(1, patient());
    client.append(change()).await.unwrap();
    cluster.lead(None);
    let seen = cluster.arrived();
    let append = spawn(async move { client.append(change()).await });
    cluster.requests(seen + 5).await;
    cluster.lead(Some(2));
    assert_eq!(append.await.unwrap().unwrap().versions, [Version::new(2)]);
    assert_eq!(cluster.stored(), 2);
}

#[tokio::test]
async fn nodes_that_name_each_other_do_not_trap_a_client() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client_of(1, patient());
    client.append(change()).await.unwrap();
    cluster.lead(None);
    cluster.node(1, |node| node.names = Names::Node(2));
    cluster.node(2, |node| node.names = Names::Node(1));
    let seen = cluster.arrived();
    let append = spawn(async move { client.append(change()).await });
    cluster.requests(seen + 20).await;
    cluster.lead(Some(3));
    assert_eq!(append.await.unwrap().unwrap().versions, [Version::new(2)]);
}

#[tokio::test]
async fn a_leader_that_breaks_down_after_storing_is_followed_by_one_that_knows() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client_of(1, patient());
    client.append(change()).await.unwrap();
    cluster.node(1, |node| node.crashes_after = Some(0));
    let appended = client.append(change()).await.unwrap();
    assert!(appended.deduplicated);
    assert_eq!(appended.versions, [Version::new(2)]);
    assert_eq!(cluster.stored(), 2);
}

#[tokio::test]
async fn nodes_that_cannot_be_reached_from_here_are_reached_through_one_that_can() {
    let cluster = Cluster::start(3).await;
    cluster.lead(Some(2));
    let dead = [nowhere().await, nowhere().await, nowhere().await];
    for (id, address) in (1..).zip(dead) {
        cluster.node(id, |node| node.address = address);
    }
    let client = cluster.client_of(1, patient());
    for _ in 0..20 {
        client.append(change()).await.unwrap();
    }
    assert_eq!((cluster.asked(1), cluster.asked(2), cluster.asked(3)), ((0, 20), (0, 0), (0, 0)));
}

#[tokio::test]
async fn an_address_where_another_node_answers_is_not_taken_for_the_leader() {
    let cluster = Cluster::start(3).await;
    cluster.lead(Some(2));
    let (one, three) = (cluster.address(1).to_owned(), cluster.address(3).to_owned());
    // As if the ports of a container were mapped to those of others.
    cluster.node(2, |node| node.address = three);
    cluster.node(3, |node| node.address = one);
    let client = cluster.client_of(1, patient());
    for _ in 0..50 {
        client.append(change()).await.unwrap();
    }
    assert_eq!(cluster.asked(3).0, 0, "node 3 was never asked as if it were node 2");
    assert_eq!(cluster.stored(), 50);
}

#[tokio::test]
async fn nothing_is_appended_to_another_cluster_that_answers_where_the_leader_should() {
    let (ours, theirs) = (Cluster::start(2).await, Cluster::start(2).await);
    ours.every_node(|node| node.forwards = false);
    theirs.lead(Some(2));
    ours.node(2, |node| node.address = theirs.address(2).to_owned());
    let client = ours.client_of(1, patient());
    client.append(change()).await.unwrap();
    ours.lead(Some(2));
    let seen = ours.arrived();
    let append = spawn(async move { client.append(change()).await });
    ours.requests(seen + 5).await;
    ours.lead(Some(1));
    append.await.unwrap().unwrap();
    assert_eq!((ours.stored(), theirs.arrived()), (2, 0));
}

#[tokio::test]
async fn nodes_that_do_not_forward_are_enough() {
    let cluster = Cluster::start(3).await;
    cluster.every_node(|node| node.forwards = false);
    cluster.lead(Some(3));
    let client = cluster.client_of(1, patient());
    client.append(change()).await.unwrap();
    assert_eq!(cluster.asked(3), (1, 0));
    // Not even a hint is needed: everybody is asked where everything is.
    cluster.every_node(|node| node.names = Names::Nobody);
    cluster.lead(Some(2));
    client.append(change()).await.unwrap();
    assert_eq!(cluster.asked(2).0, 1);
}

#[tokio::test]
async fn a_node_that_returns_is_asked_again() {
    let cluster = Cluster::start(2).await;
    let client = cluster.client_of(1, patient());
    client.append(change()).await.unwrap();
    cluster.node(1, |node| node.crashes_after = Some(0));
    client.append(change()).await.unwrap();
    cluster.node(2, |node| node.crashes_after = None);
    cluster.node(1, |node| node.down = false);
    cluster.lead(Some(1));
    let before = cluster.asked(1).0;
    while cluster.asked(1).0 == before {
        client.append(change()).await.unwrap();
    }
}

#[tokio::test]
async fn a_read_goes_on_at_another_node_where_its_connection_broke() {
    let cluster = Cluster::start(3).await;
    let (options, counters) = counted();
    let client = cluster.client_of(1, options);
    for _ in 0..9 {
        client.append(change()).await.unwrap();
    }
    cluster.every_node(|node| node.reads_break_after = Some(2));
    let mut events = client.read(Read::entity("order-1")).await.unwrap();
    let mut versions = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        versions.push(event.version.get());
        if versions.len() == 1 {
            // What is stored after the read began is not part of it, whoever goes on.
            client.append(change()).await.unwrap();
        }
    }
    assert_eq!(versions, (1..=9).collect::<Vec<_>>());
    assert!(counters.counts().resumed >= 2);
}

#[tokio::test]
async fn a_replica_that_is_behind_is_left_for_one_that_is_not() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client_of(1, patient());
    client.append(change()).await.unwrap();
    cluster.node(1, |node| node.lags = true);
    cluster.node(2, |node| node.lags = true);
    let read = || Read::entity("order-1").consistency(Consistency::AtLeast(client.token()));
    for _ in 0..10 {
        let events: Vec<_> = client.read(read()).await.unwrap().try_collect().await.unwrap();
        assert_eq!(events.len(), 1);
    }
    assert!(cluster.node(3, |node| node.reads.len()) >= 10);
}

#[tokio::test]
async fn a_linearizable_read_follows_the_leader() {
    let cluster = Cluster::start(3).await;
    let client = cluster.client_of(1, patient());
    client.append(change()).await.unwrap();
    for leader in [2, 3, 1] {
        cluster.lead(Some(leader));
        let events: Vec<_> = client.read(Read::entity("order-1")).await.unwrap().try_collect().await.unwrap();
        assert_eq!(events.len(), 1);
        assert!(cluster.node(leader, |node| !node.reads.is_empty()));
    }
}

#[tokio::test]
async fn a_session_loses_doubles_and_reorders_nothing_while_one_leader_after_the_other_breaks_down() {
    let cluster = Cluster::start(3).await;
    let (options, counters) = counted();
    let client = cluster.client_of(1, options);
    cluster.node(1, |node| node.crashes_after = Some(3));
    let drafts = drafts(600, 40);
    let outcomes = push_all(&client, small(), drafts.clone()).await;
    assert_pushed_order(&drafts, &outcomes);
    assert_eq!(cluster.stored(), 600);
    assert!(counters.counts().retries > 0, "nothing broke down");
    assert_eq!(counters.counts().failed, 0);
}

#[tokio::test]
async fn a_server_of_another_cluster_is_never_used_and_the_error_says_so() {
    let (ours, other) = (Cluster::start(1).await, Cluster::start(1).await);
    let (options, counters) = counted();
    let options = Options { deadline: Duration::from_secs(2), ..options };
    let client = Client::connect_with(&format!("{},{}", ours.address(1), other.address(1)), options).unwrap();
    client.append(change()).await.unwrap();
    ours.node(1, |node| node.down = true);
    let error = client.append(change()).await.unwrap_err();
    assert!(error.failure().message.contains("another cluster"), "{error}");
    let error = match client.read(Read::entity("order-1")).await {
        Err(error) => error,
        Ok(_) => panic!("somebody answered"),
    };
    assert!(error.failure().message.contains("another cluster"), "{error}");
    assert!(counters.counts().strangers > 0);
    assert_eq!((other.arrived(), other.stored()), (0, 0));
    ours.node(1, |node| node.down = false);
    client.append(change()).await.unwrap();
    assert_eq!(other.arrived(), 0);
}
