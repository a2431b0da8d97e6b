//! A whole node on a simulated disk: full, failing, without power.

use std::path::Path;
use std::time::Duration;

use chronos_app::{Class, Error, Principal, Reason, Reducer, StateRequest};
use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::{EntityId, EventId, EventType};
use chronos_env::sim::{Repeat, World};
use chronos_server::{Config, Node};

use crate::served::config;

const DATA: &str = "/data";

fn sim_config() -> Config {
    config(Path::new(DATA))
}

/// One event of the entity `a` with a payload of `bytes` bytes.
fn block(id: u128, bytes: usize) -> Block {
    let payload = format!("\"{}\"", "x".repeat(bytes - 2));
    let (entity, event_type) = (EntityId::parse("a").unwrap(), EventType::parse("t").unwrap());
    let mut packer = Packer::new();
    packer.push(Draft::json(EventId::from_u128(id), entity, event_type, payload)).unwrap();
    packer.finish(Compression::None).unwrap()
}

struct Client<'a> {
    node: &'a Node,
    clock: chronos_env::Clock,
}

impl Client<'_> {
    fn deadline(&self) -> Duration {
        self.clock.monotonic() + Duration::from_secs(10)
    }

    async fn append(&self, id: u128, bytes: usize) -> Result<u64, Error> {
        let appended =
            self.node.app().append(&Principal::default(), block(id, bytes), self.deadline()).await?;
        Ok(appended.versions[0].get())
    }

    /// How many events the entity has.
    async fn count(&self) -> u64 {
        let request = StateRequest {
            entity: EntityId::parse("a").unwrap(),
            as_of: None,
            occurred_until: None,
            reducer: Reducer::Count,
            consistency: chronos_app::Consistency::Linearizable,
            deadline: self.deadline(),
        };
        self.node.app().state(&Principal::default(), request).await.unwrap().events
    }
}

#[test]
fn a_full_disk_turns_appends_away_while_reads_go_on_and_recovers_without_a_restart() {
    let world = World::new(1);
    let (env, disk) = (world.env(), world.disk());
    world.run(async {
        let node = Node::start(env.clone(), &sim_config()).await.unwrap();
        let client = Client { node: &node, clock: env.clock.clone() };
        client.append(1, 100).await.unwrap();
        disk.capacity(1);
        let mut stored = 1;
        let refused = loop {
            match client.append(stored + 1, 1 << 20).await {
                Ok(version) => {
                    stored += 1;
                    assert_eq!(u128::from(version), stored);
                }
                Err(error) => break error,
            }
            assert!(stored < 100, "the disk never fills up");
        };
        assert_eq!(
            (refused.class, refused.reason),
            (Class::NotApplied, Reason::ResourceExhausted),
            "{refused}"
        );
        assert!(refused.retry_after_ms.is_some());
        assert_eq!(u128::from(client.count().await), stored);
        disk.capacity(u64::MAX);
        env.clock.sleep(Duration::from_secs(5)).await;
        let version = client.append(stored + 1, 1 << 20).await.unwrap();
        assert_eq!(u128::from(version), stored + 1);
        node.stop().await;
    });
}

#[test]
fn a_node_whose_directory_is_deleted_notices_and_acknowledges_nothing_any_more() {
    let world = World::new(4);
    let (env, disk) = (world.env(), world.disk());
    world.run(async {
        let node = Node::start(env.clone(), &sim_config()).await.unwrap();
        let client = Client { node: &node, clock: env.clock.clone() };
        client.append(1, 100).await.unwrap();
        // Nothing is being written, so the log does not miss its files.
        env.clock.sleep(Duration::from_secs(2)).await;
        disk.damage_remove(Path::new(DATA)).unwrap();
        let reason = env.clock.timeout(Duration::from_secs(3), node.faulted()).await;
        let reason = reason.expect("it notices by itself, though nobody asks anything of it");
        assert!(reason.contains("/data was deleted, moved or replaced"), "{reason}");
        let error = client.append(2, 100).await.unwrap_err();
        assert_ne!(error.class, Class::Rejected, "{error}");
    });
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_a_restart_recovers() {
    let world = World::new(2);
    let disk = world.disk();
    let env = world.env();
    world.run(async {
        let node = Node::start(env.clone(), &sim_config()).await.unwrap();
        let client = Client { node: &node, clock: env.clock.clone() };
        client.append(1, 100).await.unwrap();
        disk.fail_sync(".seg", 1, Repeat::Once);
        let error = client.append(2, 100).await.unwrap_err();
        assert_eq!(error.class, Class::Unknown, "{error}");
        let reason = node.faulted().await;
        assert!(reason.contains("sync"), "{reason}");
        for id in 3..6 {
            let error = client.append(id, 100).await.unwrap_err();
            assert_ne!(error.class, Class::Rejected, "{error}");
        }
        assert_eq!(client.count().await, 1);
    });
    disk.power_off();
    disk.power_on();
    let env = world.env();
    world.run(async {
        let node = Node::start(env.clone(), &sim_config()).await.unwrap();
        let client = Client { node: &node, clock: env.clock.clone() };
        let stored = client.count().await;
        assert!((1..=2).contains(&stored), "{stored} events after the failed sync");
        // The retry with the same id finds out what the unknown outcome was.
        assert_eq!(client.append(2, 100).await.unwrap(), 2);
        node.stop().await;
    });
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_any_moment() {
    for seed in 0..6 {
        let world = World::new(seed);
        let disk = world.disk();
        let env = world.env();
        let mut acknowledged = 0;
        world.run(async {
            let node = Node::start(env.clone(), &sim_config()).await.unwrap();
            let client = Client { node: &node, clock: env.clock.clone() };
            for id in 1..=10 + u128::from(seed) {
                acknowledged = client.append(id, 3000).await.unwrap();
            }
        });
        disk.power_off();
        disk.power_on();
        let env = world.env();
        world.run(async {
            let node = Node::start(env.clone(), &sim_config()).await.unwrap();
            let client = Client { node: &node, clock: env.clock.clone() };
            assert!(client.count().await >= acknowledged, "seed {seed}");
            assert_eq!(
                client.append(1, 3000).await.unwrap(),
                1,
                "seed {seed}: the first is a duplicate still"
            );
            node.stop().await;
        });
    }
}

#[test]
fn two_runs_of_one_seed_leave_the_same_trace() {
    let run = |seed| {
        let world = World::new(seed);
        let env = world.env();
        world.run(async {
            let node = Node::start(env.clone(), &sim_config()).await.unwrap();
            let client = Client { node: &node, clock: env.clock.clone() };
            for id in 1..=20 {
                client.append(id, 500).await.unwrap();
            }
            node.stop().await;
        });
        world.trace().hash()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
