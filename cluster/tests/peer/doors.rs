//! Who is turned away, over real loopback: both sides get to know why, and it is counted.

use std::sync::Arc;

use chronos_cluster::peer::{Config, Limits, Peers, Security, StartError, Why};
use chronos_env::Env;

use crate::node::{CLUSTER, LONG, Scribe, echo, n, start, until};

pub(crate) fn real<F: Future>(life: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(life)
}

/// So patient that a busy machine breaks nothing.
pub(crate) fn patient() -> Limits {
    Limits { connect_timeout: LONG, keepalive_timeout: LONG, ..Limits::default() }
}

pub(crate) fn local(number: u64) -> Config {
    let config = Config::new(n(number), CLUSTER, 1, "127.0.0.1:0", Security::PlaintextOnLoopback);
    Config { limits: patient(), ..config }
}

pub(crate) async fn begin(config: Config) -> (Peers, Arc<Scribe>) {
    start(&Env::real(), config).await.unwrap()
}

fn know(peers: &Peers, number: u64, other: &Peers) {
    peers.set_peer(n(number), &other.address().to_string());
}

/// `caller` calls n1 as n1; it is turned away, for this reason, and both know it.
async fn turned_away(caller: Config, host: Config, why: Why, text: &str) {
    let (host, scribe) = begin(host).await;
    let (caller, _) = begin(caller).await;
    know(&caller, 1, &host);
    let error = echo(&caller, 1, "let me in").await.unwrap_err().to_string();
    let wanted = format!("({}): {text}", why.name());
    assert!(error.contains(&wanted), "{error}\ndoes not contain\n{wanted}");
    assert!(host.stats().turned_away(why) >= 1, "{:?}", host.stats());
    assert!(caller.stats().turned_away_by_others >= 1, "{:?}", caller.stats());
    assert!(scribe.bodies().is_empty(), "a request of a node that was turned away was handled");
}

#[test]
fn two_nodes_talk_over_real_loopback() {
    real(async {
        let ((first, _), (second, scribe)) = (begin(local(1)).await, begin(local(2)).await);
        know(&first, 2, &second);
        know(&second, 1, &first);
        assert_eq!(echo(&first, 2, "hello").await.unwrap(), "hello");
        assert_eq!(echo(&second, 1, "hello").await.unwrap(), "hello");
        assert_eq!(scribe.asked.lock()[0].0, n(1));
        second.stop();
        assert!(echo(&first, 2, "gone").await.is_err());
        assert!(scribe.bodies().iter().all(|body| body != "gone"), "a handler was begun after the end");
    });
}

#[test]
fn a_node_of_another_cluster_is_turned_away() {
    real(turned_away(
        Config { cluster: 0xBAD, ..local(2) },
        local(1),
        Why::Cluster,
        "n1 here belongs to cluster 00000000-0000-0000-0000-000000c0ffee, and the other side to cluster \
         00000000-0000-0000-0000-000000000bad; correct the address under which one of them knows the other",
    ));
}

#[test]
fn a_node_that_wants_somebody_else_is_turned_away() {
    real(turned_away(
        local(2),
        local(3),
        Why::NotMe,
        "n1 was called and this is n3; if the address was given to another node because n1 is gone for good, replace it \
         (chronos cluster replace n1); otherwise start n1 again with the address at which others reach it",
    ));
}

#[test]
fn a_node_that_claims_our_own_id_is_turned_away() {
    real(async {
        let ((host, _), (clone, _)) = (begin(local(1)).await, begin(local(1)).await);
        clone.set_peer(n(2), &host.address().to_string());
        let error = echo(&clone, 2, "").await.unwrap_err().to_string();
        assert!(error.contains("(duplicate): this is n1 already"), "{error}");
        assert!(host.stats().turned_away(Why::Duplicate) >= 1);
    });
}

#[test]
fn a_node_that_calls_itself_is_turned_away() {
    real(async {
        let (node, _) = begin(local(1)).await;
        node.set_peer(n(2), &node.address().to_string());
        let error = echo(&node, 2, "").await.unwrap_err().to_string();
        assert!(error.contains("(ourselves): n1 called itself"), "{error}");
        assert!(node.stats().turned_away(Why::Ourselves) >= 1);
    });
}

#[test]
fn a_node_without_a_common_version_is_turned_away() {
    real(turned_away(
        Config { versions: 8..=9, ..local(2) },
        Config { versions: 1..=7, ..local(1) },
        Why::Version,
        "n1 here speaks versions 1 to 7 of the protocol between nodes, and the other side 8 to 9; upgrade a cluster one \
         release at a time",
    ));
}

#[test]
fn a_node_that_was_removed_loses_its_link_and_is_turned_away_at_the_greeting() {
    real(async {
        let env = Env::real();
        let ((host, scribe), (removed, _)) = (begin(local(1)).await, begin(local(2)).await);
        know(&removed, 1, &host);
        know(&host, 2, &removed);
        echo(&removed, 1, "a member").await.unwrap();
        echo(&host, 2, "a member").await.unwrap();
        assert!(host.ban(n(2)) && !host.ban(n(2)));
        until(&env.clock, "it is turned away", || host.stats().turned_away(Why::Removed) > 0).await;
        until(&env.clock, "it knows why", || {
            let state = crate::node::link(&removed, 1).state;
            matches!(state, Some(Err(why)) if why.contains("(removed): n2 was removed from this cluster"))
        })
        .await;
        assert!(echo(&removed, 1, "no member").await.is_err());
        let again = begin(Config { incarnation: 2, ..local(2) }).await.0;
        know(&again, 1, &host);
        let error = echo(&again, 1, "no member").await.unwrap_err().to_string();
        assert!(error.contains("(removed): n2 was removed from this cluster"), "{error}");
        know(&host, 2, &again);
        assert!(
            echo(&host, 2, "no peer").await.unwrap_err().to_string().contains("no address of it is known")
        );
        assert_eq!(scribe.bodies(), ["a member"]);
    });
}

#[test]
fn who_is_known_from_an_earlier_life_to_be_removed_or_another_machine_is_turned_away_from_the_first_moment() {
    real(async {
        let removed = Config { removed: [n(2)].into(), ..local(1) };
        turned_away(local(2), removed, Why::Removed, "n2 was removed from this cluster").await;
        let another = Config { machines: [(n(2), 7)].into(), ..local(1) };
        let caller = Config { machine: 8, ..local(2) };
        turned_away(caller, another, Why::Outdated, &format!("n2 is machine {:032x}", 7)).await;
    });
}

#[test]
fn a_second_process_of_a_connected_node_is_turned_away() {
    real(async {
        let ((host, _), (first, _)) = (begin(local(1)).await, begin(local(2)).await);
        know(&first, 1, &host);
        echo(&first, 1, "first").await.unwrap();
        for (incarnation, text) in [
            (1, "(duplicate): n2 has been seen in incarnation 1, as another process"),
            (2, "(duplicate): n2 comes in incarnation 2"),
        ] {
            let (second, _) = begin(Config { incarnation, ..local(2) }).await;
            know(&second, 1, &host);
            let error = echo(&second, 1, "second").await.unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        assert!(host.stats().turned_away(Why::Duplicate) >= 2);
        echo(&first, 1, "still here").await.unwrap();
    });
}

#[test]
fn an_older_incarnation_is_turned_away() {
    real(async {
        let env = Env::real();
        let ((host, _), (new, _)) =
            (begin(local(1)).await, begin(Config { incarnation: 7, ..local(2) }).await);
        know(&new, 1, &host);
        echo(&new, 1, "new").await.unwrap();
        new.stop();
        let (old, _) = begin(Config { incarnation: 6, ..local(2) }).await;
        know(&old, 1, &host);
        let error = echo(&old, 1, "old").await.unwrap_err().to_string();
        assert!(error.contains("(outdated): n2 comes in incarnation 6, but 7 was seen"), "{error}");
        let (newer, _) = begin(Config { incarnation: 8, ..local(2) }).await;
        know(&newer, 1, &host);
        crate::node::echo_at_last(&env.clock, &newer, 1).await;
    });
}

#[test]
fn plaintext_beyond_loopback_needs_to_be_allowed() {
    real(async {
        let open = Config { listen: "0.0.0.0:0".into(), ..local(1) };
        let refused = start(&Env::real(), open.clone()).await.err().unwrap();
        assert!(matches!(refused, StartError::PlaintextBeyondLoopback { .. }), "{refused}");
        assert!(refused.to_string().contains("without TLS"), "{refused}");
        begin(Config { security: Security::PlaintextAnywhere, ..open }).await;
    });
}

#[test]
fn plaintext_is_not_spoken_to_other_machines_unless_allowed() {
    let world = chronos_env::sim::World::new(1);
    world.run(async {
        let hosts = [crate::node::host(&world, 1), crate::node::host(&world, 2)];
        let (_far, scribe) = start(&hosts[0].env(), crate::node::config(1)).await.unwrap();
        let (near, _) =
            start(&hosts[1].env(), Config { listen: "127.0.0.1:7000".into(), ..local(2) }).await.unwrap();
        crate::node::introduce(&near, &[1]);
        let error = echo(&near, 1, "").await.unwrap_err().to_string();
        assert!(
            error.contains("n1:7000 is beyond this machine and connections are not protected"),
            "{error}"
        );
        assert!(scribe.bodies().is_empty());
    });
}

#[test]
fn a_port_that_is_taken_is_named() {
    real(async {
        let (first, _) = begin(local(1)).await;
        let taken = Config { listen: first.address().to_string(), ..local(2) };
        let error = start(&Env::real(), taken).await.err().unwrap().to_string();
        assert!(error.starts_with(&format!("cannot listen on {}: ", first.address())), "{error}");
    });
}

#[test]
fn everything_ends_with_the_last_handle() {
    real(async {
        let env = Env::real();
        let ((first, _), (second, _)) = (begin(local(1)).await, begin(local(2)).await);
        know(&first, 2, &second);
        echo(&first, 2, "hello").await.unwrap();
        let address = second.address().to_string();
        drop(second);
        until(&env.clock, "the link breaks", || crate::node::link(&first, 2).state != Some(Ok(()))).await;
        let refused = env.net.connect(&address, crate::node::SECOND).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
}
