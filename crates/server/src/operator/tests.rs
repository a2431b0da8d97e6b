//! What operators are told when there is no time, and beside a node that does not answer.

use std::time::Duration;

use bytes::Bytes;
use chronos_app::Principal;
use chronos_block::{Compression, Draft, Packer};
use chronos_cluster as cluster;
use chronos_domain::{EntityId, EventId, EventType, PartitionId};
use chronos_env::sim::World;
use chronos_proto::cluster::{Comparison, NodeId, Verdict, VerifiedReplica};
use futures::StreamExt;

use super::answers::Which;
use super::permit::Wish;
use crate::{Config, Membership, Node as Server};

const ALL: Which = Which { partitions: Vec::new(), nodes: Vec::new() };

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
        let verified: Vec<_> = operators.verify(&ALL, Some(began)).unwrap().collect().await;
        assert_eq!(verified.len(), 33);
        assert!(verified.iter().all(|one| one.outcome.outcome.is_err()));
        let repaired: Vec<_> = operators.repair(&ALL, Some(began)).unwrap().collect().await;
        assert!(repaired.len() == 33 && repaired.iter().all(|one| one.did.is_err()));
        assert_eq!(clock.monotonic(), began, "nothing was waited for");
        let compared: Vec<Comparison> = operators.compare(&[], None).unwrap().collect().await;
        assert!(compared.iter().all(|one| one.verdict == Verdict::Equal));
        server.stop().await;
    });
}

/// A node of a cluster, which the first one founds.
async fn member(world: &World, number: u64) -> Server {
    member_at(world, number, &format!("n{number}")).await
}

/// A node that others look for on the host `advertise`.
async fn member_at(world: &World, number: u64, advertise: &str) -> Server {
    let name = format!("n{number}");
    let cluster = Membership {
        peer_listen: Some(([0, 0, 0, 0], 7401).into()),
        advertise: Some(advertise.to_owned()),
        bootstrap: number == 1,
        plaintext_anywhere: true,
        join: if number == 1 { Vec::new() } else { vec!["n1:7401".to_owned()] },
        ..Membership::default()
    };
    let config = Config { data: "/data".into(), segment_bytes: 32 << 20, cluster, ..Config::default() };
    Server::start(world.host(&name).env(), &config).await.unwrap()
}

/// Three nodes with some events, once all three hold every partition and know that of each other.
async fn three(world: &World) -> [Server; 3] {
    let clock = world.env().clock;
    let servers = [member(world, 1).await, member(world, 2).await, member(world, 3).await];
    let is_whole = |view: cluster::View| {
        view.partitions.len() == 33
            && view.partitions.iter().all(|of| of.leader.is_some() && of.voters.len() == 3)
    };
    while !is_whole(servers[0].cluster().view()) {
        clock.sleep(Duration::from_millis(100)).await;
    }
    for number in 1..=50 {
        let entity = EntityId::parse(&format!("e-{number}")).unwrap();
        let (id, kind) = (EventId::from_u128(number), EventType::parse("seen").unwrap());
        let mut packer = Packer::new();
        packer.push(Draft::json(id, entity, kind, Bytes::from_static(b"1"))).unwrap();
        let block = packer.finish(Compression::None).unwrap();
        let deadline = clock.monotonic() + Duration::from_secs(10);
        servers[0].app().append(&Principal::default(), block, deadline).await.unwrap();
    }
    clock.sleep(Duration::from_secs(3)).await;
    servers
}

#[test]
fn a_node_that_has_just_fallen_silent_keeps_nobody_from_hearing_of_the_others() {
    let world = World::new(1);
    world.run(async {
        let servers = three(&world).await;
        let (operators, clock) = (servers[0].operators(), world.env().clock);
        world.net().isolate("n3");
        let until = clock.monotonic() + Duration::from_secs(1);
        let compared = operators.compare(&[], Some(until)).unwrap().collect::<Vec<_>>();
        let verified = operators.verify(&ALL, Some(until)).unwrap().collect::<Vec<_>>();
        let (compared, verified) = futures::future::join(compared, verified).await;
        assert!(clock.monotonic() < until + Duration::from_millis(100), "it takes no longer than that");
        assert_eq!(compared.len(), 33);
        for one in &compared {
            assert_eq!(one.verdict, Verdict::Incomplete);
            let [first, second, third] = one.replicas.as_slice() else { panic!("{one:?}") };
            assert!(first.digest.digest.is_ok() && first.digest == second.digest, "{one:?}");
            let silent = third.digest.digest.as_ref().unwrap_err();
            assert!(silent.message.contains("n3 was not done within 1.0 s"), "{silent}");
        }
        let is_whole = |one: &&VerifiedReplica| one.outcome.outcome.is_ok();
        assert_eq!(verified.iter().filter(is_whole).count(), 66);
        assert!(verified.iter().all(|one| is_whole(&one) || one.node == NodeId::new(3)));

        // However much time there is, it ends; and says what can be done.
        let compared: Vec<Comparison> = operators.compare(&[], None).unwrap().collect().await;
        let whys = compared.iter().map(|one| one.replicas[2].digest.digest.as_ref().unwrap_err());
        for why in whys {
            assert!(why.message.contains("give it up with `chronos cluster replace n3`"), "{why}");
        }
        world.net().heal_all();
        for server in servers {
            server.stop().await;
        }
    });
}

#[test]
fn whoever_is_asked_tells_of_a_node_that_hears_others_and_is_not_heard() {
    let world = World::new(1);
    world.run(async {
        let [first, second, third] = three(&world).await;
        third.stop().await;
        let servers = [first, second, member_at(&world, 3, "nowhere").await];
        let (clock, third) = (world.env().clock, NodeId::new(3));
        // Long enough to be missed by everybody who cannot reach it.
        clock.sleep(Duration::from_secs(10)).await;
        for asked in [0, 1] {
            let status = servers[asked].operators().status().await.unwrap();
            assert!(!status.node(third).unwrap().is_up, "{asked}: {:?}", status.nodes);
        }
        let status = servers[2].operators().status().await.unwrap();
        assert!(status.nodes.iter().all(|node| node.is_up), "it hears everybody: {:?}", status.nodes);
        let [first, second, third] = status.nodes.as_slice() else { panic!("{:?}", status.nodes) };
        assert_eq!(third.missed_by, [1, 2].map(NodeId::new), "and learns that nobody hears it");
        assert_eq!((&first.missed_by, &second.missed_by), (&Vec::new(), &Vec::new()));
        assert_eq!((&first.heard_by, &second.heard_by), (&vec![second.node], &vec![first.node]));
        for server in servers {
            server.stop().await;
        }
    });
}

#[test]
fn a_node_that_one_other_hears_is_not_dead() {
    let world = World::new(1);
    world.run(async {
        let servers = three(&world).await;
        let (clock, third) = (world.env().clock, NodeId::new(3));
        world.net().partition("n1", "n3");
        clock.sleep(Duration::from_secs(6)).await;
        let status = servers[0].operators().status().await.unwrap();
        let node = status.node(third).unwrap();
        assert_eq!((node.is_up, node.heard_by.as_slice()), (false, [NodeId::new(2)].as_slice()));
        world.net().isolate("n3");
        while servers[0].operators().status().await.unwrap().node(third).unwrap().heard_by.len() == 1 {
            clock.sleep(Duration::from_millis(100)).await;
        }
        let status = servers[1].operators().status().await.unwrap();
        assert!(status.node(third).unwrap().heard_by.is_empty(), "once nobody hears it nobody says so");
        world.net().heal_all();
        for server in servers {
            server.stop().await;
        }
    });
}

#[test]
fn a_partition_that_is_being_handed_over_is_not_told_to_have_no_leader() {
    let world = World::new(1);
    world.run(async {
        let servers = three(&world).await;
        let (operators, clock) = (servers[0].operators(), world.env().clock);
        operators.steer(Wish::Pause, clock.monotonic() + Duration::from_secs(10)).await.unwrap();
        let transfers = async {
            for _ in 0..8 {
                let view = servers[0].cluster().view();
                for of in view.partitions.iter().filter(|of| of.id != PartitionId::SYSTEM) {
                    let Some(leader) = of.leader else { continue };
                    let next = NodeId::new(leader.get() % 3 + 1);
                    let begun = servers[leader.get() as usize - 1].cluster().groups().transfer(of.id, next);
                    let _refused_while_the_last_one_goes_on = begun.await;
                }
                clock.sleep(Duration::from_secs(2)).await;
            }
        };
        let mut looked = 0;
        let looks = async {
            loop {
                let status = operators.status().await.unwrap();
                let without = status.partitions.iter().find(|of| of.leader.is_none());
                assert!(without.is_none(), "{without:?}");
                looked += 1;
                clock.sleep(Duration::from_millis(3)).await;
            }
        };
        tokio::select! {
            biased; // whoever looks looks until all are through
            () = transfers => {}
            () = looks => {}
        }
        assert!(looked > 100, "it was looked {looked} times");
        for server in servers {
            server.stop().await;
        }
    });
}
