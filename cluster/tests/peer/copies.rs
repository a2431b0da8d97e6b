//! Directories that were copied or set back, over many lives: who is let in, and by whom.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use chronos_cluster::NodeId;
use chronos_cluster::peer::{Config, Double, Peers, Sighting, Turned, Why};
use chronos_env::Clock;
use chronos_env::sim::World;
use futures::FutureExt;

use crate::node::{ECHO, SECOND, config, echo, echo_at_last, introduce, message, n, start};

/// What a data directory keeps of a node's lives.
#[derive(Clone)]
struct Directory {
    number: u64,
    starts: Vec<u64>,
    seen: BTreeMap<NodeId, Sighting>,
}

impl Directory {
    fn new(number: u64) -> Directory {
        Directory { number, starts: Vec::new(), seen: BTreeMap::new() }
    }

    /// Begins another life on a host, of a process that never was before.
    async fn start(&mut self, world: &World, host: &str) -> Peers {
        static PROCESSES: AtomicU64 = AtomicU64::new(1);
        self.starts.insert(0, PROCESSES.fetch_add(1, Ordering::Relaxed));
        let config = Config {
            incarnation: self.starts.len() as u64,
            starts: self.starts.clone(),
            seen: self.seen.clone(),
            ..config(self.number)
        };
        let (peers, _) = start(&world.host(host).env(), config).await.unwrap();
        for other in [1, 2, 3].into_iter().filter(|other| *other != self.number) {
            introduce(&peers, &[other]);
        }
        peers
    }

    fn process(&self) -> u64 {
        self.starts[0]
    }
}

/// Lets the time pass in which others ask the second node now and then, as nodes of a cluster do.
async fn live(clock: &Clock, others: &[&Peers], seconds: u64) {
    for _ in 0..seconds {
        for other in others {
            let _ = other.call(n(2), message(ECHO, "how do you do"), SECOND).await;
        }
        clock.sleep(SECOND).await;
    }
}

/// What others have made certain about a node.
fn told(peers: &Peers) -> Option<Turned> {
    peers.disowned().now_or_never()
}

fn seen_of_second(peers: &Peers) -> Sighting {
    peers.watch_seen().borrow()[&n(2)].clone()
}

#[test]
fn a_copy_that_was_found_out_is_let_in_by_nobody_ever_and_the_original_by_everybody() {
    let world = World::new(31);
    world.run(async {
        for host in ["n1", "n2", "n3", "clone"] {
            world.host(host);
        }
        let clock = world.env().clock;
        let [mut first, mut original, mut third] = [1, 2, 3].map(Directory::new);
        let one = first.start(&world, "n1").await;
        let mut three = third.start(&world, "n3").await;
        drop(original.start(&world, "n2").await);
        world.host("n2").kill();
        let served = original.start(&world, "n2").await;
        live(&clock, &[&one, &three], 2).await;

        let mut copy = original.clone();
        let double = copy.start(&world, "clone").await;
        live(&clock, &[&one, &three], 8).await;
        let turned = told(&double).expect("both are alive");
        assert_eq!((turned.why, turned.of), (Why::Copy, original.process()));
        assert_eq!(told(&served), None, "the original has to go");
        let found = Double { process: copy.process(), of: original.process() };
        for other in [&one, &three] {
            assert_eq!(seen_of_second(other).copies, [found], "each of them has seen it by itself");
        }

        // Everybody dies but the first; the third comes back with what it has written down.
        drop((double, served));
        ["clone", "n2"].into_iter().for_each(|host| world.host(host).kill());
        third.seen = three.watch_seen().borrow().clone();
        drop(three);
        world.host("n3").kill();
        three = third.start(&world, "n3").await;
        for _ in 0..2 {
            live(&clock, &[&one, &three], 5).await;
            let again = copy.start(&world, "clone").await;
            for other in [1, 3] {
                let error = echo(&again, other, "I am n2").await.unwrap_err().to_string();
                assert!(error.contains("(copy): n2 comes in incarnation"), "{error}");
            }
            let turned = told(&again).expect("it is a copy");
            assert_eq!((turned.why, turned.of), (Why::Copy, original.process()));
            drop(again);
            world.host("clone").kill();
        }

        let served = original.start(&world, "n2").await;
        for other in [1, 3] {
            echo_at_last(&clock, &served, other).await;
        }
        for other in [&one, &three] {
            echo_at_last(&clock, other, 2).await;
            let seen = seen_of_second(other);
            assert_eq!((seen.process, seen.copies), (original.process(), vec![found]));
        }
        assert_eq!(told(&served), None);
    });
}

#[test]
fn who_was_away_when_a_copy_took_the_place_is_turned_away_and_never_called_the_copy() {
    let world = World::new(32);
    world.run(async {
        for host in ["n1", "n2", "n3", "clone"] {
            world.host(host);
        }
        let clock = world.env().clock;
        let [mut first, mut original] = [1, 2].map(Directory::new);
        let mut one = first.start(&world, "n1").await;
        drop(original.start(&world, "n2").await);
        live(&clock, &[&one], 2).await;
        world.host("n2").kill();
        let mut copy = original.clone();
        let taken = copy.start(&world, "clone").await;
        echo_at_last(&clock, &taken, 1).await;
        drop(taken);
        world.host("clone").kill();

        // The first of its lives is in the same incarnation as the copy was.
        for why in [Why::Duplicate, Why::Outdated, Why::Outdated] {
            let back = original.start(&world, "n2").await;
            let error = echo(&back, 1, "").await.unwrap_err().to_string();
            assert!(error.contains(&format!("({})", why.name())), "{error}");
            live(&clock, &[&one], 30).await;
            assert_eq!(told(&back).expect("it has to go").why, why);
            drop(back);
            world.host("n2").kill();
            first.seen = one.watch_seen().borrow().clone();
            drop(one);
            world.host("n1").kill();
            one = first.start(&world, "n1").await;
        }
        // Whoever has that one has to start it.
        let taken = copy.start(&world, "clone").await;
        echo_at_last(&clock, &taken, 1).await;
    });
}

#[test]
fn a_directory_that_was_set_back_to_an_earlier_life_is_turned_away_however_often_it_starts() {
    let world = World::new(33);
    world.run(async {
        for host in ["n1", "n2", "n3"] {
            world.host(host);
        }
        let clock = world.env().clock;
        let [mut first, mut directory] = [1, 2].map(Directory::new);
        let one = first.start(&world, "n1").await;
        drop(directory.start(&world, "n2").await);
        let image = directory.clone();
        for _ in 0..3 {
            world.host("n2").kill();
            let served = directory.start(&world, "n2").await;
            echo_at_last(&clock, &served, 1).await;
            drop(served);
        }
        let mut set_back = image;
        for _ in 0..6 {
            world.host("n2").kill();
            let served = set_back.start(&world, "n2").await;
            let error = echo(&served, 1, "").await.unwrap_err().to_string();
            assert!(error.contains("(outdated)") || error.contains("(duplicate)"), "{error}");
            assert!(error.contains("set back"), "{error}");
            live(&clock, &[&one], 20).await;
            assert_ne!(told(&served).expect("it has to go").why, Why::Copy);
            drop(served);
        }
        world.host("n2").kill();
        let served = directory.start(&world, "n2").await;
        echo_at_last(&clock, &served, 1).await;
    });
}
