//! What operators are told when there is no time.

use std::time::Duration;

use chronos_cluster as cluster;
use chronos_env::sim::World;
use chronos_proto::cluster::{Comparison, Verdict};
use futures::StreamExt;

use super::answers::Which;
use crate::{Config, Node as Server};

/// A node that is alone, once it knows itself.
async fn server(world: &World) -> Server {
    let env = world.env();
    let config = Config { data: "/data".into(), segment_bytes: 32 << 20, ..Config::default() };
    let server = Server::start(env.clone(), &config).await.unwrap();
    let is_known =
        |view: cluster::View| !view.nodes.is_empty() && view.partitions.iter().all(|of| of.leader.is_some());
    while !is_known(server.cluster().view()) {
        env.clock.sleep(Duration::from_millis(20)).await;
    }
    server
}

#[test]
fn when_the_time_is_over_every_replica_that_was_not_looked_at_says_so_at_once() {
    let world = World::new(1);
    world.run(async {
        let server = server(&world).await;
        let (operators, clock) = (server.operators(), world.env().clock);
        let began = clock.monotonic();
        let compared: Vec<Comparison> = operators.compare(&[], Some(began)).unwrap().collect().await;
        assert_eq!(compared.len(), 33);
        for one in &compared {
            assert_eq!(one.verdict, Verdict::Incomplete);
            let failure = one.replicas[0].digest.digest.as_ref().unwrap_err();
            assert_eq!(failure.reason, "DEADLINE_EXCEEDED");
            assert!(failure.message.contains("n1 was not asked: the time was over"), "{failure}");
        }
        let all = Which { partitions: Vec::new(), nodes: Vec::new() };
        let verified: Vec<_> = operators.verify(&all, Some(began)).unwrap().collect().await;
        assert_eq!(verified.len(), 33);
        assert!(verified.iter().all(|one| one.outcome.outcome.is_err()));
        let repaired: Vec<_> = operators.repair(&all, Some(began)).unwrap().collect().await;
        assert!(repaired.len() == 33 && repaired.iter().all(|one| one.did.is_err()));
        assert_eq!(clock.monotonic(), began, "nothing was waited for");
        let compared: Vec<Comparison> = operators.compare(&[], None).unwrap().collect().await;
        assert!(compared.iter().all(|one| one.verdict == Verdict::Equal));
        server.stop().await;
    });
}
