//! Nodes that were killed and come back: what they told before stays told.

use std::collections::BTreeMap;
use std::time::Duration;

use chronos_cluster::{Health, PartitionView, ReplicaView};
use chronos_domain::{PartitionId, Position};
use chronos_env::sim::World;

use crate::town::{Town, n};

const MOMENT: Duration = Duration::from_millis(5);
const SECOND: Duration = Duration::from_secs(1);

/// How far each node ever said its replicas are, and was read.
#[derive(Default)]
struct Told {
    applied: BTreeMap<(u64, PartitionId), Position>,
    /// How often a replica was less far than it had told, and said that it is starting.
    behind: u64,
}

fn own(group: &PartitionView, host: u64) -> Option<&ReplicaView> {
    group.replicas.iter().find(|replica| replica.node == n(host))
}

impl Told {
    /// Asks every node how its replicas do. Whoever serves, or may be read, is as far as it ever was.
    fn look(&mut self, town: &Town) {
        for (host, node) in &town.nodes {
            for group in &node.cluster.view().partitions {
                let Some(replica) = own(group, *host) else { continue };
                let before = self.applied.entry((*host, group.id)).or_default();
                let now = replica.marks.applied;
                if replica.health == Health::Serving || node.cluster.holds(group.id) {
                    assert!(now >= *before, "n{host} told {before} of partition {}, and now {now}", group.id);
                    *before = now;
                } else {
                    self.behind += u64::from(now < *before);
                }
            }
        }
    }

    async fn watch(&mut self, town: &Town, lasts: Duration) {
        let until = town.clock.monotonic() + lasts;
        while town.clock.monotonic() < until {
            self.look(town);
            town.clock.sleep(MOMENT).await;
        }
    }
}

/// Whether all replicas of a node serve.
fn serves(town: &Town, host: u64) -> bool {
    let cluster = &town.nodes[&host].cluster;
    let is_serving = |group: &PartitionView| {
        let health = own(group, host).map(|replica| replica.health.clone());
        cluster.holds(group.id) && health == Some(Health::Serving)
    };
    cluster.view().partitions.iter().all(is_serving)
}

#[test]
fn s_11_a_node_that_was_killed_serves_only_once_it_is_as_far_as_it_ever_told() {
    let mut behind = 0;
    for seed in 21..24 {
        let world = World::new(seed);
        world.run(async {
            let (mut town, mut told) = (Town::of_three(&world).await, Told::default());
            for (killed, life) in [(&[2][..], 2), (&[3], 2), (&[1], 2), (&[1, 2, 3], 3), (&[2, 3], 4)] {
                // What was appended last is known to be committed, and nothing is written any more that would note it.
                town.append().await;
                told.watch(&town, SECOND / 2).await;
                killed.iter().for_each(|host| town.kill(*host));
                for host in killed {
                    town.restart(*host, life).await;
                    told.look(&town);
                }
                told.watch(&town, 5 * SECOND).await;
                town.until("all serve again", |town| (1..=3).all(|host| serves(town, host))).await;
            }
            behind += told.behind;
            town.check().await;
            town.stop().await;
        });
    }
    assert!(behind > 0, "nobody ever came back with less than it had told: nothing was shown");
}

#[test]
fn who_comes_back_and_finds_no_leader_is_not_read_and_who_stayed_is() {
    let world = World::new(25);
    world.run(async {
        let (mut town, mut told) = (Town::of_three(&world).await, Told::default());
        town.append().await;
        told.watch(&town, SECOND).await;
        world.net().isolate("n2");
        world.net().isolate("n3");
        town.kill(3);
        town.restart(3, 2).await;
        for _ in 0..30 {
            told.look(&town);
            for id in PartitionId::all() {
                assert!(town.nodes[&2].cluster.holds(id), "nothing has happened to n2 but that it is alone");
                assert!(!town.nodes[&3].cluster.holds(id), "n3 cannot know how old it is");
            }
            town.clock.sleep(SECOND).await;
        }
        assert!(serves(&town, 2) && !serves(&town, 3));
        world.net().heal_all();
        town.until("all serve again", |town| (1..=3).all(|host| serves(town, host))).await;
        told.look(&town);
        town.check().await;
        town.stop().await;
    });
}

#[test]
fn a_node_that_is_alone_serves_as_soon_as_it_has_started() {
    let world = World::new(26);
    world.run(async {
        let (mut town, mut told) = (Town::found(&world).await, Told::default());
        town.until("it leads everything", |town| town.is_spread(1, &[1])).await;
        for life in 2..5 {
            town.append().await;
            told.look(&town);
            town.kill(1);
            town.restart(1, life).await;
            assert!(serves(&town, 1));
            told.look(&town);
        }
        town.stop().await;
    });
}
