//! While nothing breaks.

use std::task::Poll;
use std::time::Duration;

use chronos_cluster::peer::{CallError, Cause, Limits, Refusal};
use chronos_env::sim::World;
use futures::future::join_all;

use crate::node::{
    ECHO, LONG, NEVER, PANIC, REFUSE, SECOND, SLOW, config, echo, host, introduce, message, n, pair, start,
    until,
};

#[test]
fn every_node_gets_an_answer_from_every_other() {
    let world = World::new(1);
    world.run(async {
        let hosts = [1, 2, 3].map(|number| host(&world, number));
        let mut nodes = Vec::new();
        for (host, number) in hosts.iter().zip(1..) {
            nodes.push(start(&host.env(), config(number)).await.unwrap());
        }
        for (peers, _) in &nodes {
            introduce(peers, &[1, 2, 3]);
        }
        for (at, (peers, _)) in nodes.iter().enumerate() {
            for to in (1..=3).filter(|to| *to != at as u64 + 1) {
                assert_eq!(echo(peers, to, "hello").await.unwrap(), "hello");
            }
        }
        for (at, (peers, scribe)) in nodes.iter().enumerate() {
            let mut callers: Vec<_> = scribe.asked.lock().iter().map(|(from, _)| from.get()).collect();
            callers.sort_unstable();
            let others: Vec<_> = (1..=3).filter(|number| *number != at as u64 + 1).collect();
            assert_eq!(callers, others);
            assert!(peers.status().iter().all(|link| link.state == Some(Ok(()))), "{:?}", peers.status());
        }
    });
}

#[test]
fn what_is_said_one_after_the_other_by_those_who_can_run_leaves_in_one_frame() {
    let world = World::new(1);
    world.run(async {
        let [(peers, _), (_other, scribe)] = pair(&world).await;
        echo(&peers, 2, "warm").await.unwrap();
        let before = peers.stats().frames_sent;
        let talker = peers.clone();
        let talk = async move {
            let mut calls = Vec::new();
            for _ in 0..8 {
                calls.push(talker.call(n(2), message(ECHO, "one of many"), SECOND));
                behind_all_others().await;
            }
            join_all(calls).await
        };
        let answers = world.env().tasks.spawn("talker", talk).await.unwrap();
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(peers.stats().frames_sent - before, 1, "a frame left while others had something to say");
        assert_eq!(scribe.bodies().len(), 9);
    });
}

/// Gives every task that can run now its turn, without a pause that would let the world go on.
async fn behind_all_others() {
    let mut had_theirs = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut had_theirs, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn concurrent_requests_share_frames() {
    let world = World::new(2);
    world.run(async {
        let [(peers, _), (_other, scribe)] = pair(&world).await;
        echo(&peers, 2, "warm").await.unwrap();
        let before = peers.stats();
        let calls =
            (0..1000u32).map(|number| peers.call(n(2), message(ECHO, number.to_be_bytes().to_vec()), LONG));
        let answers = join_all(calls).await;
        for (answer, number) in answers.into_iter().zip(0u32..) {
            assert_eq!(answer.unwrap(), number.to_be_bytes()[..]);
        }
        let frames = peers.stats().frames_sent - before.frames_sent;
        assert_eq!(peers.stats().requests_sent - before.requests_sent, 1000);
        assert!(frames < 20, "1000 requests that waited together took {frames} frames");
        let begun: Vec<_> = scribe.bodies()[1..]
            .iter()
            .map(|body| u32::from_be_bytes(body[..].try_into().unwrap()))
            .collect();
        assert!(begun.is_sorted(), "requests were begun out of order");
    });
}

#[test]
fn a_stream_is_begun_in_order_and_answered_in_order_while_handlers_overlap() {
    let world = World::new(3);
    world.run(async {
        let [(peers, _), (_other, scribe)] = pair(&world).await;
        let clock = world.env().clock;
        let (mut sender, mut receiver) = peers.stream(n(2), 5, SLOW);
        // Later ones are faster.
        let delays: Vec<u8> = (0..200u8).rev().collect();
        let began = clock.monotonic();
        for delay in &delays {
            sender.send(vec![*delay].into(), LONG).await.unwrap();
        }
        drop(sender);
        let mut answers = Vec::new();
        while let Some(answer) = receiver.next().await {
            answers.push(answer.unwrap()[0]);
        }
        assert_eq!(answers, delays);
        assert_eq!(scribe.bodies().iter().map(|body| body[0]).collect::<Vec<_>>(), delays);
        let took = clock.monotonic() - began;
        assert!(took < SECOND, "the handlers did not overlap: {took:?}");
    });
}

#[test]
fn a_refusal_and_a_panic_answer_their_own_request_only() {
    let world = World::new(4);
    world.run(async {
        let [(peers, _), (other, _)] = pair(&world).await;
        let refused = peers.call(n(2), message(REFUSE, ""), LONG).await.unwrap_err();
        assert_eq!(refused, CallError::Refused { from: n(2), refusal: Refusal::new(7, "not today") });
        assert_eq!(refused.to_string(), "n2 refused: not today (code 7)");
        let calls = [PANIC, ECHO].map(|kind| peers.call(n(2), message(kind, "both"), LONG));
        let answers = join_all(calls).await;
        let Err(CallError::Refused { refusal, .. }) = &answers[0] else { panic!("{answers:?}") };
        assert_eq!(refusal.code, Refusal::PANICKED);
        assert_eq!(answers[1].as_ref().unwrap(), "both");
        assert_eq!(other.stats().handlers_panicked, 1);
        assert_eq!(other.stats().connections_accepted, 1, "the link did not survive");
    });
}

#[test]
fn a_refusal_does_not_end_a_stream() {
    let world = World::new(5);
    world.run(async {
        let [(peers, _), _other] = pair(&world).await;
        let (mut sender, mut receiver) = peers.stream(n(2), 5, REFUSE);
        for _ in 0..3 {
            sender.send("x".into(), LONG).await.unwrap();
            assert!(matches!(receiver.next().await, Some(Err(CallError::Refused { .. }))));
        }
        drop(sender);
        assert!(receiver.next().await.is_none());
    });
}

#[test]
fn a_deadline_ends_the_wait_and_the_handler() {
    let world = World::new(6);
    world.run(async {
        let [(peers, _), (other, scribe)] = pair(&world).await;
        let clock = world.env().clock;
        echo(&peers, 2, "warm").await.unwrap();
        let began = clock.monotonic();
        let late = peers.call(n(2), message(NEVER, ""), SECOND).await.unwrap_err();
        assert_eq!(late, CallError::Unknown { to: n(2), cause: Cause::Deadline(SECOND) });
        assert_eq!(clock.monotonic() - began, SECOND);
        until(&clock, "the handler is told", || scribe.running() == 0).await;
        assert_eq!(other.stats().requests_abandoned, 1);
        assert_eq!(echo(&peers, 2, "still there").await.unwrap(), "still there");
    });
}

#[test]
fn a_caller_that_leaves_takes_its_handler_along() {
    let world = World::new(7);
    world.run(async {
        let [(peers, _), (_other, scribe)] = pair(&world).await;
        let clock = world.env().clock;
        echo(&peers, 2, "warm").await.unwrap();
        let leaving =
            clock.timeout(Duration::from_millis(50), peers.call(n(2), message(NEVER, ""), LONG)).await;
        assert!(leaving.is_err());
        let gone =
            clock.timeout(SECOND, until(&clock, "the handler is told", || scribe.running() == 0)).await;
        assert!(gone.is_ok(), "the handler ran until its own deadline");
        assert_eq!(peers.status()[0].unanswered, 0);
    });
}

#[test]
fn a_late_answer_on_a_stream_ends_it_and_what_waits_behind_is_not_sent() {
    let world = World::new(8);
    world.run(async {
        let [(peers, _), (_other, scribe)] = pair(&world).await;
        let clock = world.env().clock;
        let (mut sender, mut receiver) = peers.stream(n(2), 5, NEVER);
        for _ in 0..3 {
            sender.send("x".into(), SECOND).await.unwrap();
        }
        let late = receiver.next().await.unwrap().unwrap_err();
        assert!(matches!(late, CallError::Unknown { cause: Cause::Deadline(_), .. }), "{late}");
        assert!(receiver.next().await.is_none());
        let over = sender.send("x".into(), SECOND).await.unwrap_err();
        assert_eq!(over, CallError::Unreachable { to: n(2), cause: Cause::StreamOver });
        until(&clock, "all handlers are told", || scribe.running() == 0).await;
        assert_eq!(scribe.bodies().len(), 3);
    });
}

#[test]
fn nobody_is_reached_who_was_not_introduced_or_was_removed() {
    let world = World::new(9);
    world.run(async {
        let [(peers, _), _other] = pair(&world).await;
        let unknown = echo(&peers, 9, "").await.unwrap_err();
        assert_eq!(unknown, CallError::Unreachable { to: n(9), cause: Cause::NotAPeer });
        let (mut sender, _receiver) = peers.stream(n(9), 5, ECHO);
        assert_eq!(sender.send("x".into(), LONG).await.unwrap_err(), unknown);
        let leaving = peers.call(n(2), message(NEVER, ""), LONG);
        let remove = async {
            world.env().clock.sleep(SECOND).await;
            peers.remove_peer(n(2));
        };
        let (left, ()) = tokio::join!(leaving, remove);
        assert_eq!(left.unwrap_err(), CallError::Unknown { to: n(2), cause: Cause::Stopping });
        assert!(echo(&peers, 2, "").await.is_err());
    });
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let world = World::new(10);
    world.run(async {
        let limits = Limits { waiting_bytes_max: 1, ..Limits::default() };
        let mut config = config(1);
        config.limits = limits;
        let error = start(&host(&world, 1).env(), config).await.err().unwrap();
        assert!(error.to_string().contains("waiting_bytes_max must not be below"), "{error}");
    });
}
