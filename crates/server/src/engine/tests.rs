//! A replica that is discarded between two steps of one thing.

use std::time::Duration;

use bytes::Bytes;
use chronos_app::Principal;
use chronos_block::{Compression, Draft, Packer};
use chronos_cluster::Leftovers;
use chronos_domain::{EntityId, EventType, place};
use chronos_env::sim::World;
use chronos_wal::Mark;

use super::*;
use crate::backup::Step;
use crate::{Config, Node as Server};

const EVENTS: u64 = 5;

/// A node with some events in one partition.
async fn server(env: &Env) -> (Server, PartitionId) {
    let config = Config { data: "/data".into(), segment_bytes: 32 << 20, ..Config::default() };
    let server = Server::start(env.clone(), &config).await.unwrap();
    for number in 1..=EVENTS {
        append(env, &server, number).await;
    }
    (server, place(TenantId::default_tenant().as_str(), "e"))
}

async fn append(env: &Env, server: &Server, number: u64) {
    let (entity, kind) = (EntityId::parse("e").unwrap(), EventType::parse("seen").unwrap());
    let mut packer = Packer::new();
    packer
        .push(Draft::json(EventId::from_u128(u128::from(number)), entity, kind, Bytes::from_static(b"1")))
        .unwrap();
    let block = packer.finish(Compression::None).unwrap();
    server.app().append(&Principal::default(), block, soon(env)).await.unwrap();
}

fn soon(env: &Env) -> Duration {
    env.clock.monotonic() + Duration::from_secs(5)
}

#[test]
fn what_is_read_after_the_marks_were_told_reaches_up_to_them() {
    let world = World::new(1);
    world.run(async {
        let env = world.env();
        let (server, id) = server(&env).await;
        let engine = server.app().node();
        // Nobody asked for more than what is here.
        let bound = engine.marks(id).await.unwrap().applied;
        assert_eq!(bound.get(), EVENTS);
        engine.bounded(id, bound, soon(&env)).await.unwrap();
        let tenant = TenantId::default_tenant();
        let range = Range { bound, ..Range::forward() };
        let all = Filter::default();
        let scan = || engine.scan(id, (&tenant, ForkId::MAIN), range, &all);
        assert_eq!(scan().await.unwrap().events.len() as u64, EVENTS);

        engine.groups().reset(id, Leftovers::Remove).await.unwrap();
        assert!(scan().await.is_err(), "it has nothing any more");
        assert!(engine.bounded(id, bound, soon(&env)).await.is_err());
        assert!(engine.marks(id).await.is_err());
        server.stop().await;
    });
}

/// What a replica said that has diverged is of an earlier term than what its leader has, and may be of more entries.
#[test]
fn no_read_answers_from_before_what_was_said_unless_it_is_past_the_term_of_that() {
    let world = World::new(5);
    world.run(async {
        let env = world.env();
        let (server, id) = server(&env).await;
        let engine = server.app().node();
        let read = || engine.bound_at(id, Timestamp::MAX);
        let Mark { term, index } = engine.partition(id).unwrap().applied_mark();

        engine.floors.raise(id, Mark { term: term - 1, index: index + 1000 });
        assert_eq!(read().await.unwrap().get(), EVENTS);

        engine.floors.raise(id, Mark { term, index: index + 1 });
        assert_eq!(read().await.unwrap_err().reason, Reason::DeadlineExceeded);
        append(&env, &server, EVENTS + 1).await;
        assert_eq!(read().await.unwrap().get(), EVENTS + 1);

        engine.floors.raise(id, Mark { term: term + 1, index });
        let began = env.clock.monotonic();
        let refused = read().await.unwrap_err();
        assert_eq!(refused.reason, Reason::Unavailable, "{refused}");
        assert!(refused.message.contains("a history in which"), "{refused}");
        assert_eq!(env.clock.monotonic(), began, "it is of no use to wait");
        server.stop().await;
    });
}

/// What is shared of a partition, if its replica is discarded after so long; and how long that took.
async fn share(world: &World, reset_after: Option<Duration>) -> (Option<u64>, Duration) {
    let env = world.env();
    let (server, id) = server(&env).await;
    // So that it takes some time.
    world.disk().slow_syncs(Duration::from_millis(5));
    let engine = server.app().node();
    let began = env.clock.monotonic();
    let until = Timestamp::new(env.clock.wall_micros() - 1);
    let resetting = async {
        let Some(after) = reset_after else { return };
        env.clock.sleep(after).await;
        let _ = engine.groups().reset(id, Leftovers::Remove).await;
    };
    let sharing = async {
        let shared = engine.share(id, until, soon(&env), |_| {}).await;
        (shared, env.clock.monotonic() - began)
    };
    let ((), (shared, took)) = futures::future::join(resetting, sharing).await;
    let events = shared.ok().map(|shared| match shared {
        Shared::Here(shelf) => shelf.compacted().get(),
        Shared::There(_) => panic!("there is nobody else"),
    });
    server.stop().await;
    (events, took)
}

#[test]
fn what_is_waited_for_is_noted_while_a_partition_is_shared() {
    let world = World::new(5);
    world.run(async {
        let env = world.env();
        let (server, id) = server(&env).await;
        let noted = parking_lot::Mutex::new(Vec::new());
        let until = Timestamp::new(env.clock.wall_micros() - 1);
        let note = |step| noted.lock().push(step);
        assert!(server.app().node().share(id, until, soon(&env), note).await.is_ok());
        let me = Some(chronos_cluster::NodeId::FIRST);
        assert_eq!(noted.into_inner(), [Step::Confirmed(me), Step::IntoParts, Step::Ready]);
        server.stop().await;
    });
}

#[test]
fn whoever_has_others_asked_is_told_to_ask_again_and_not_whom() {
    let not_leader = || Error::new(Class::NotApplied, Reason::NotLeader, "n2 leads");
    let sent_away = routing::passed_on_in_vain(not_leader().with("leader_node", 2));
    assert_eq!((sent_away.class, sent_away.reason), (Class::NotApplied, Reason::Unavailable));
    assert!(sent_away.retry_after_ms.is_some());
    assert_eq!(routing::passed_on_in_vain(not_leader()), not_leader(), "that nobody leads says no more");
    let other = || Error::new(Class::Failed, Reason::NotCaughtUp, "soon").with("leader_node", 2);
    assert_eq!(routing::passed_on_in_vain(other()), other());
}

/// Between the last step that settles a share and the look at its parts nothing is waited for, so that this is done by hand.
#[test]
fn parts_of_a_replica_that_was_discarded_after_they_were_settled_are_no_share() {
    let world = World::new(4);
    world.run(async {
        let env = world.env();
        let (server, id) = server(&env).await;
        let engine = server.app().node();
        let until = Timestamp::new(env.clock.wall_micros() - 1);
        let settled = engine.settle_into_parts(id, until, soon(&env), &|_| {}).await.unwrap();
        assert_eq!(lending::shelf_of(id, &settled).unwrap().compacted().get(), EVENTS);
        engine.groups().reset(id, Leftovers::Remove).await.unwrap();
        assert_eq!(settled.0.shelf().compacted().get(), 0, "it would look like all of it");
        assert!(lending::shelf_of(id, &settled).is_err());
        server.stop().await;
    });
}

/// A node on its own does not come back from that, so that mostly the group says no; what is only known by the life of the
/// replica is tested above.
#[test]
fn a_backup_of_a_replica_that_is_discarded_meanwhile_is_everything_or_nothing() {
    let world = World::new(2);
    let (events, took) = world.run(share(&world, None));
    assert_eq!(events, Some(EVENTS));
    assert!(!took.is_zero());
    let mut refused = 0;
    for step in 0..16 {
        let world = World::new(2);
        match world.run(share(&world, Some(took * step / 14))).0 {
            Some(events) => assert_eq!(events, EVENTS, "step {step}"),
            None => refused += 1,
        }
    }
    assert!((1..16).contains(&refused), "{refused} of 16 were refused");
}

#[test]
fn a_replica_is_waited_for_as_long_as_it_gets_on_and_no_longer() {
    let world = World::new(3);
    world.run(async {
        let env = world.env();
        let (server, id) = server(&env).await;
        let engine = server.app().node();
        let second = Duration::from_secs(1);
        let began = env.clock.monotonic();
        let times = (began + 60 * second, 3 * second);
        let appending = async {
            for number in EVENTS + 1..=EVENTS + 4 {
                env.clock.sleep(2 * second).await;
                append(&env, &server, number).await;
            }
        };
        let behind = engine.approach(id, Position::new(EVENTS + 4), times);
        let ((), reached) = futures::future::join(appending, behind).await;
        reached.expect("it was never still for three seconds");
        assert!(env.clock.monotonic() - began >= 8 * second);

        let began = env.clock.monotonic();
        let times = (began + 60 * second, 3 * second);
        let error = engine.approach(id, Position::new(EVENTS + 5), times).await.unwrap_err();
        let took = env.clock.monotonic() - began;
        assert!(error.message.contains("has not got on for 3 s"), "{}", error.message);
        assert!(took >= 3 * second && took < 4 * second, "{took:?}");
        server.stop().await;
    });
}
