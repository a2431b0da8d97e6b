//! A slow peer costs bounded memory and nobody else's time.

use std::time::Duration;

use chronos_cluster::peer::{CallError, Config, Limits};
use chronos_env::sim::{Link, World};
use futures::future::join_all;

use crate::node::{ECHO, NEVER, SECOND, config, echo, host, introduce, link, message, n, start, until};

fn tight(number: u64, requests_max: usize) -> Config {
    let limits = Limits {
        requests_max,
        message_bytes_max: 64 << 10,
        waiting_bytes_max: 256 << 10,
        bulk_chunk_bytes: 32 << 10,
        ..Limits::default()
    };
    Config { limits, ..config(number) }
}

#[test]
fn a_peer_that_does_not_answer_holds_no_more_than_its_share() {
    let world = World::new(1);
    world.run(async {
        let hosts = [host(&world, 1), host(&world, 2)];
        let (peers, _) = start(&hosts[0].env(), tight(1, 16)).await.unwrap();
        let (other, scribe) = start(&hosts[1].env(), tight(2, 16)).await.unwrap();
        introduce(&peers, &[2]);
        let clock = world.env().clock;
        let calls = (0..500).map(|_| peers.call(n(2), message(NEVER, vec![7; 1000]), SECOND));
        let watching = async {
            let mut most = (0, 0);
            for _ in 0..90 {
                clock.sleep(Duration::from_millis(10)).await;
                let link = link(&peers, 2);
                most = (most.0.max(link.waiting + link.unanswered), most.1.max(scribe.running()));
            }
            most
        };
        let (answers, most) = tokio::join!(join_all(calls), watching);
        assert_eq!(most, (16, 16), "requests held here and running there");
        let unknown =
            answers.iter().filter(|answer| matches!(answer, Err(CallError::Unknown { .. }))).count();
        let unreachable =
            answers.iter().filter(|answer| matches!(answer, Err(CallError::Unreachable { .. })));
        assert_eq!((unknown, unreachable.count()), (16, 484));
        until(&clock, "everything is forgotten", || scribe.running() == 0 && link(&peers, 2).unanswered == 0)
            .await;
        echo(&peers, 2, "fine").await.unwrap();
        assert_eq!(other.stats().requests_abandoned, 16);
    });
}

#[test]
fn bytes_for_a_slow_link_wait_outside_when_enough_wait_inside() {
    let world = World::new(2);
    world.run(async {
        let hosts = [host(&world, 1), host(&world, 2), host(&world, 3)];
        let (peers, _) = start(&hosts[0].env(), tight(1, 64)).await.unwrap();
        let (_second, _) = start(&hosts[1].env(), tight(2, 64)).await.unwrap();
        let (_third, _) = start(&hosts[2].env(), tight(3, 64)).await.unwrap();
        introduce(&peers, &[2, 3]);
        let clock = world.env().clock;
        echo(&peers, 2, "warm").await.unwrap();
        world.net().set_link("n1", "n2", Link { bytes_per_second: Some(400_000), ..Link::default() });
        let calls = (0..100).map(|_| peers.call(n(2), message(ECHO, vec![7; 60_000]), SECOND * 60));
        let watching = async {
            let (mut most, mut longest) = (0, Duration::ZERO);
            for _ in 0..100 {
                clock.sleep(Duration::from_millis(100)).await;
                most = most.max(link(&peers, 2).waiting);
                let began = clock.monotonic();
                echo(&peers, 3, "aside").await.unwrap();
                longest = longest.max(clock.monotonic() - began);
            }
            (most, longest)
        };
        let (answers, (most, longest)) = tokio::join!(join_all(calls), watching);
        assert!(answers.iter().all(Result::is_ok), "slow is not broken");
        assert!((1..=4).contains(&most), "{most} requests of 60 kB waited where 256 KiB may");
        assert!(longest < Duration::from_millis(20), "another node was late: {longest:?}");
    });
}

#[test]
fn handlers_that_hang_make_room_when_their_callers_leave() {
    let world = World::new(3);
    world.run(async {
        let hosts = [host(&world, 1), host(&world, 2)];
        let (peers, _) = start(&hosts[0].env(), tight(1, 16)).await.unwrap();
        let (_other, scribe) = start(&hosts[1].env(), tight(2, 16)).await.unwrap();
        introduce(&peers, &[2]);
        let clock = world.env().clock;
        echo(&peers, 2, "warm").await.unwrap();
        // They would wait for an hour, but are not waited for.
        let calls = (0..16).map(|_| peers.call(n(2), message(NEVER, "hang"), SECOND * 3600));
        assert!(clock.timeout(SECOND, join_all(calls)).await.is_err());
        let answer = clock.timeout(SECOND, echo(&peers, 2, "next")).await;
        assert_eq!(answer.expect("the next one has to wait for those before").unwrap(), "next");
        assert_eq!(scribe.running(), 0);
    });
}

#[test]
fn a_caller_that_takes_no_answers_is_not_worked_for() {
    let world = World::new(4);
    world.run(async {
        let hosts = [host(&world, 1), host(&world, 2)];
        let (peers, _) = start(&hosts[0].env(), tight(1, 256)).await.unwrap();
        let (_other, scribe) = start(&hosts[1].env(), tight(2, 256)).await.unwrap();
        introduce(&peers, &[2]);
        let clock = world.env().clock;
        echo(&peers, 2, "warm").await.unwrap();
        // Questions come in at once, answers go out at a crawl.
        world.net().set_link("n2", "n1", Link { bytes_per_second: Some(200_000), ..Link::default() });
        let calls = (0..200).map(|_| peers.call(n(2), message(ECHO, vec![7; 60_000]), SECOND * 120));
        let watching = async {
            clock.sleep(SECOND * 5).await;
            scribe.bodies().len()
        };
        let (answers, begun) = tokio::join!(join_all(calls), watching);
        let lost = answers.iter().find_map(|answer| answer.as_ref().err());
        assert_eq!(lost, None, "slow is not broken");
        assert!(begun < 100, "{begun} of 200 were begun while hardly an answer was taken");
    });
}
