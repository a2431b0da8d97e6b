//! Two of three are damaged: honest errors, and nothing is invented.

use std::time::Duration;

use chronos_cluster::Stage;
use chronos_env::sim::World;

use crate::harm::{remove_wal, spoil};
use crate::node::{Node, converge, examine, three, used};

#[test]
fn with_two_of_three_logs_lost_nothing_is_served_written_or_discarded() {
    let world = World::new(11);
    world.run(async {
        let [first, second, third] = three(&world, 50).await;
        let digests = used().map(|id| first.digest(id));
        let disks = [second.host.disk(), third.host.disk()];
        second.stop().await;
        third.stop().await;
        disks.iter().for_each(remove_wal);
        let (second, third) = (Node::start(&world, 2, 2).await, Node::start(&world, 3, 2).await);
        first.env.clock.sleep(Duration::from_secs(12)).await;
        for (id, digest) in used().into_iter().zip(digests) {
            for node in [&second, &third] {
                let refusal = node.groups.partition(id).unwrap_err();
                assert!(refusal.contains("repair") && refusal.contains("majority"), "{refusal}");
                assert!(node.try_append(id, 900).await.is_err());
                let ward = node.groups.wards().into_iter().find(|ward| ward.id == id).unwrap();
                assert_eq!(ward.stage, Stage::Withheld);
            }
            assert!(first.try_append(id, 901).await.is_err(), "one of three has committed something");
            assert_eq!(first.digest(id), digest, "something was invented");
        }
        // What is left on their disks is as it was found.
        for node in [second, third] {
            let parts = |node: &Node| {
                let files = node.host.disk().files();
                files.into_iter().filter(|(path, _)| path.to_string_lossy().ends_with(".parquet")).count()
            };
            assert!(parts(&node) > 0, "parts were discarded before anybody could replace them");
            node.stop().await;
        }
    });
}

/// No promise is lost with a part: both are repaired from the third, and from each other.
#[test]
fn with_parts_damaged_on_two_of_three_everything_is_repaired() {
    let world = World::new(12);
    world.run(async {
        let [first, second, third] = three(&world, 70).await;
        let disks = [second.host.disk(), third.host.disk()];
        second.stop().await;
        third.stop().await;
        disks.iter().for_each(|disk| assert!(spoil(disk, ".index") > 0));
        let nodes = [first, Node::start(&world, 2, 2).await, Node::start(&world, 3, 2).await];
        for node in &nodes {
            examine(node).await;
        }
        converge(&nodes, 70).await;
    });
}
