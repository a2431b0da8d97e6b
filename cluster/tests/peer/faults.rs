//! While links and processes break. In every case each request arrives at most once, and comes out as what it is.

use std::collections::BTreeSet;
use std::time::Duration;

use chronos_cluster::peer::{CallError, Cause};
use chronos_env::sim::World;
use futures::future::join_all;

use crate::node::{
    ECHO, LONG, NEVER, SECOND, SLOW, config, echo, echo_at_last, host, introduce, link, message, n, pair,
    start, until,
};

#[test]
fn a_partition_is_noticed_without_traffic_and_healing_brings_the_link_back() {
    for (seed, cut) in
        [(1, [("n1", "n2"), ("n2", "n1")].as_slice()), (2, &[("n1", "n2")]), (3, &[("n2", "n1")])]
    {
        let world = World::new(seed);
        world.run(async {
            let [(peers, _), (_other, scribe)] = pair(&world).await;
            let clock = world.env().clock;
            echo(&peers, 2, "before").await.unwrap();
            cut.iter().for_each(|(from, to)| world.net().partition_one_way(from, to));
            let cut_at = clock.monotonic();
            until(&clock, "the partition is noticed", || link(&peers, 2).state != Some(Ok(()))).await;
            let noticed = clock.monotonic() - cut_at;
            assert!(noticed <= Duration::from_millis(3100), "noticed after {noticed:?}");
            // Not a peer that is looked for: one that is known to be away, so there is nothing to wait for.
            until(&clock, "an attempt failed", || peers.stats().links_failed > 0).await;
            let began = clock.monotonic();
            let away = echo(&peers, 2, "during").await.unwrap_err();
            assert!(matches!(away, CallError::Unreachable { .. }), "{away}");
            assert_eq!(clock.monotonic(), began, "an unreachable node was waited for");
            world.net().heal_all();
            echo_at_last(&clock, &peers, 2).await;
            assert!(scribe.bodies().iter().all(|body| body != "during"));
        });
    }
}

#[test]
fn only_a_process_that_has_ended_is_counted_as_dead() {
    let world = World::new(14);
    world.run(async {
        let [(peers, _), other] = pair(&world).await;
        let clock = world.env().clock;
        let deaths = peers.watch_deaths();
        let lost = || peers.stats().links_lost;
        echo(&peers, 2, "before").await.unwrap();
        world.net().reset("n1", "n2");
        until(&clock, "the reset is noticed", || lost() == 1).await;
        echo_at_last(&clock, &peers, 2).await;
        world.net().partition_one_way("n1", "n2");
        until(&clock, "the partition is noticed", || lost() == 2).await;
        clock.sleep(LONG).await;
        world.net().heal_all();
        echo_at_last(&clock, &peers, 2).await;
        assert_eq!(deaths.borrow().get(&n(2)), None, "a node that lives was taken for dead");
        host(&world, 2).kill();
        drop(other);
        let killed = clock.monotonic();
        until(&clock, "its death is noticed", || deaths.borrow().get(&n(2)) == Some(&1)).await;
        let noticed = clock.monotonic() - killed;
        assert!(noticed < Duration::from_millis(200), "noticed after {noticed:?}");
        clock.sleep(LONG).await;
        assert_eq!(deaths.borrow().get(&n(2)), Some(&1), "it died once");
    });
}

#[test]
fn what_was_sent_into_a_partition_is_unknown_and_arrives_once_or_never() {
    let world = World::new(4);
    world.run(async {
        let [(peers, _), (_other, scribe)] = pair(&world).await;
        let clock = world.env().clock;
        echo(&peers, 2, "before").await.unwrap();
        world.net().partition_one_way("n1", "n2");
        let lost = peers.call(n(2), message(ECHO, "sent"), LONG).await.unwrap_err();
        assert!(matches!(lost, CallError::Unknown { cause: Cause::ConnectionLost(_), .. }), "{lost}");
        world.net().heal_all();
        echo_at_last(&clock, &peers, 2).await;
        clock.sleep(LONG).await;
        assert!(scribe.bodies().iter().filter(|body| *body == "sent").count() <= 1);
    });
}

#[test]
fn a_connection_that_went_silent_is_replaced_without_anybody_healing_it() {
    let world = World::new(5);
    world.run(async {
        let [(peers, _), _other] = pair(&world).await;
        let clock = world.env().clock;
        echo(&peers, 2, "before").await.unwrap();
        world.net().wedge("n1", "n2");
        let began = clock.monotonic();
        echo_at_last(&clock, &peers, 2).await;
        let took = clock.monotonic() - began;
        assert!(took < Duration::from_secs(5), "it took {took:?}");
    });
}

#[test]
fn a_reset_tells_everybody_at_once_and_costs_a_moment() {
    let world = World::new(6);
    world.run(async {
        let [(peers, _), (_other, scribe)] = pair(&world).await;
        let clock = world.env().clock;
        echo(&peers, 2, "before").await.unwrap();
        let calls = (0..10).map(|_| peers.call(n(2), message(NEVER, ""), LONG));
        let reset = async {
            until(&clock, "all are begun", || scribe.running() == 10).await;
            world.net().reset("n1", "n2");
            clock.monotonic()
        };
        let (calls, at) = tokio::join!(join_all(calls), reset);
        for call in calls {
            let lost = call.unwrap_err();
            assert!(matches!(lost, CallError::Unknown { cause: Cause::ConnectionLost(_), .. }), "{lost}");
        }
        // Does not fail although there is no link at the moment: the next attempt is waited for.
        echo(&peers, 2, "after").await.unwrap();
        let took = clock.monotonic() - at;
        assert!(took < Duration::from_millis(100), "it took {took:?}");
        assert_eq!(scribe.running(), 0, "a handler outlived its link");
    });
}

#[test]
fn a_stream_ends_with_its_link_and_nothing_is_begun_behind_a_gap() {
    let world = World::new(7);
    world.run(async {
        let [(peers, _), (_other, scribe)] = pair(&world).await;
        let clock = world.env().clock;
        for round in 0..20u8 {
            echo_at_last(&clock, &peers, 2).await;
            scribe.asked.lock().clear();
            let (mut sender, mut receiver) = peers.stream(n(2), 5, ECHO);
            let sending = async {
                for number in 0..=255u8 {
                    if sender.send(vec![number; 5000].into(), LONG).await.is_err() {
                        break;
                    }
                    clock.sleep(Duration::from_millis(1)).await;
                }
                drop(sender);
            };
            let breaking = async {
                clock.sleep(Duration::from_millis(u64::from(round) * 10)).await;
                world.net().reset("n1", "n2");
            };
            let receiving = async {
                let (mut answered, mut failed) = (0u8, 0);
                while let Some(answer) = receiver.next().await {
                    // So slow that the sender goes on for a while after the break.
                    clock.sleep(Duration::from_millis(2)).await;
                    match answer {
                        Ok(body) => {
                            assert_eq!(body[0], answered, "answers out of order");
                            answered += 1;
                        }
                        Err(CallError::Unknown { .. } | CallError::Unreachable { .. }) => failed += 1,
                        Err(refused) => panic!("{refused}"),
                    }
                }
                assert!(failed <= 1, "a stream failed {failed} times");
                answered
            };
            let ((), (), answered) = tokio::join!(sending, breaking, receiving);
            let begun: Vec<u8> = scribe.bodies().iter().map(|body| body[0]).collect();
            let has_gap = begun.iter().enumerate().any(|(at, number)| at != usize::from(*number));
            assert!(!has_gap, "begun behind a gap: {begun:?}");
            assert!(begun.len() >= answered.into(), "{answered} answers to {} requests", begun.len());
        }
    });
}

#[test]
fn a_killed_node_is_noticed_at_once_and_found_again_in_its_next_incarnation() {
    let world = World::new(8);
    world.run(async {
        let [(peers, _), (_other, scribe)] = pair(&world).await;
        let clock = world.env().clock;
        echo(&peers, 2, "before").await.unwrap();
        let call = peers.call(n(2), message(NEVER, ""), LONG);
        let kill = async {
            until(&clock, "it is begun", || scribe.running() == 1).await;
            host(&world, 2).kill();
        };
        let (lost, ()) = tokio::join!(call, kill);
        assert!(matches!(lost, Err(CallError::Unknown { .. })), "{lost:?}");
        until(&clock, "an attempt failed", || peers.stats().links_failed > 0).await;
        let away = echo(&peers, 2, "during").await.unwrap_err();
        assert!(away.to_string().contains("connection refused"), "{away}");
        let mut again = config(2);
        again.incarnation = 2;
        let (second, scribe) = start(&host(&world, 2).env(), again).await.unwrap();
        introduce(&second, &[1]);
        echo_at_last(&clock, &peers, 2).await;
        echo_at_last(&clock, &second, 1).await;
        assert!(scribe.bodies().iter().all(|body| body == "again"), "a request outlived the node it was for");
    });
}

#[test]
fn a_node_that_comes_back_with_an_old_incarnation_is_turned_away_for_good() {
    let world = World::new(9);
    world.run(async {
        let hosts = [host(&world, 1), host(&world, 2)];
        let clock = world.env().clock;
        let (peers, _) = start(&hosts[0].env(), config(1)).await.unwrap();
        introduce(&peers, &[2]);
        let mut second = config(2);
        second.incarnation = 5;
        let (_second, _) = start(&hosts[1].env(), second.clone()).await.unwrap();
        echo_at_last(&clock, &peers, 2).await;
        hosts[1].kill();
        second.incarnation = 4;
        let (wiped, _) = start(&hosts[1].env(), second).await.unwrap();
        introduce(&wiped, &[1]);
        let away = echo(&wiped, 1, "").await.unwrap_err();
        let text = "n1 was not reached: turned away by n1 (outdated): n2 comes in incarnation 4, but 5 was seen: this \
                    directory is an old copy or was set back, or the other one is a copy that took its place; before you \
                    remove either, see which of them has everything, and join as a new node with an empty one";
        assert_eq!(away.to_string(), text);
        // Nor do we believe it when we call.
        until(&clock, "it is called", || {
            link(&peers, 2).state.is_some_and(|state| state.is_err_and(|text| text.contains("outdated")))
        })
        .await;
    });
}

#[test]
fn a_second_process_with_the_same_node_id_is_turned_away_while_the_first_lives() {
    let world = World::new(10);
    world.run(async {
        let [(first, scribe), (second, _)] = pair(&world).await;
        let clock = world.env().clock;
        echo(&second, 1, "").await.unwrap();
        echo(&first, 2, "").await.unwrap();
        let mut clone = config(2);
        clone.incarnation = 2;
        let (clone, _) = start(&world.host("clone").env(), clone).await.unwrap();
        introduce(&clone, &[1]);
        let away = echo(&clone, 1, "clone").await.unwrap_err();
        assert!(
            away.to_string().contains("(duplicate): n2 comes in incarnation 2 while 1 is still connected"),
            "{away}"
        );
        echo(&second, 1, "still welcome").await.unwrap();
        assert!(scribe.bodies().iter().all(|body| body != "clone"));
        host(&world, 2).kill();
        echo_at_last(&clock, &clone, 1).await;
    });
}

#[test]
fn each_request_arrives_at_most_once_whatever_breaks() {
    let world = World::new(11);
    world.run(async {
        let [(peers, _), (_other, scribe)] = pair(&world).await;
        let env = world.env();
        let calls = (0..1200u32).map(|number| {
            let (peers, clock) = (peers.clone(), env.clock.clone());
            let wait = Duration::from_millis(env.entropy.below(60_000));
            async move {
                clock.sleep(wait).await;
                // Handlers take their time, so that much is under way whenever something breaks.
                let mut body = vec![200];
                body.extend(number.to_be_bytes());
                (number, peers.call(n(2), message(SLOW, body), SECOND * 5).await)
            }
        });
        let breaking = async {
            for _ in 0..15 {
                env.clock.sleep(Duration::from_millis(env.entropy.below(2000))).await;
                match env.entropy.below(5) {
                    0 => world.net().partition("n1", "n2"),
                    1 => world.net().partition_one_way("n1", "n2"),
                    2 => world.net().reset("n1", "n2"),
                    3 => world.net().wedge("n1", "n2"),
                    _ => {}
                }
                env.clock.sleep(Duration::from_millis(env.entropy.below(6000))).await;
                world.net().heal_all();
            }
        };
        let (answers, ()) = tokio::join!(join_all(calls), breaking);
        let arrived: Vec<u32> =
            scribe.bodies().iter().map(|body| u32::from_be_bytes(body[1..].try_into().unwrap())).collect();
        let once: BTreeSet<u32> = arrived.iter().copied().collect();
        assert_eq!(once.len(), arrived.len(), "a request arrived twice");
        let (mut answered, mut unknown, mut unreachable) = (0, 0, 0);
        for (number, answer) in answers {
            match answer {
                Ok(_) => {
                    answered += 1;
                    assert!(once.contains(&number), "{number} was answered and never arrived");
                }
                Err(CallError::Unknown { .. }) => unknown += 1,
                Err(CallError::Unreachable { .. }) => {
                    unreachable += 1;
                    assert!(!once.contains(&number), "{number} was unreachable and arrived");
                }
                Err(refused) => panic!("{refused}"),
            }
        }
        assert!(answered > 100, "{answered} answered, {unknown} unknown, {unreachable} unreachable");
        assert!(
            unknown > 0 && unreachable > 0,
            "{answered} answered, {unknown} unknown, {unreachable} unreachable"
        );
    });
}

#[test]
fn a_node_that_lost_its_power_and_came_back_waits_until_its_end_is_noticed() {
    let world = World::new(12);
    world.run(async {
        let [(first, _), (second, _)] = pair(&world).await;
        let clock = world.env().clock;
        echo(&second, 1, "").await.unwrap();
        echo(&first, 2, "").await.unwrap();
        // No word of its end reaches anybody.
        world.net().wedge("n1", "n2");
        host(&world, 2).kill();
        let mut again = config(2);
        again.incarnation = 2;
        let (again, _) = start(&host(&world, 2).env(), again).await.unwrap();
        introduce(&again, &[1]);
        let early = echo(&again, 1, "").await.unwrap_err();
        assert!(early.to_string().contains("(duplicate)"), "{early}");
        let began = clock.monotonic();
        echo_at_last(&clock, &again, 1).await;
        echo_at_last(&clock, &first, 2).await;
        let took = clock.monotonic() - began;
        assert!(took < Duration::from_secs(7), "it took {took:?}");
    });
}
