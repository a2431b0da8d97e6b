//! Many threads at once, over real loopback.

use std::time::Duration;

use bytes::Bytes;
use chronos_cluster::peer::CallError;
use chronos_env::Env;
use futures::future::join_all;

use crate::doors::{begin, local, real};
use crate::node::{ECHO, LONG, message, n};

#[test]
fn streams_keep_their_order_beside_each_other_and_beside_calls() {
    real(async {
        let env = Env::real();
        let ((peers, _), (other, scribe)) = (begin(local(1)).await, begin(local(2)).await);
        peers.set_peer(n(2), &other.address().to_string());
        let streams = (0..8u8).map(|group| {
            let (mut sender, mut receiver) = peers.stream(n(2), group + 10, ECHO);
            let sending = env.tasks.spawn("sending", async move {
                for number in 0..2000u32 {
                    sender.send(number.to_be_bytes().to_vec().into(), LONG).await.unwrap();
                }
            });
            let receiving = env.tasks.spawn("receiving", async move {
                for number in 0..2000u32 {
                    assert_eq!(receiver.next().await.unwrap().unwrap(), number.to_be_bytes()[..]);
                }
                assert!(receiver.next().await.is_none());
            });
            async move { (sending.await.unwrap(), receiving.await.unwrap()) }
        });
        let callers = (0..8u32).map(|caller| {
            let peers = peers.clone();
            let calling = env.tasks.spawn("calling", async move {
                for number in 0..500u32 {
                    let body = Bytes::from(vec![caller as u8; 1 + (number as usize * 37) % 9000]);
                    let answer = peers.call(n(2), message(ECHO, body.clone()), LONG).await.unwrap();
                    assert_eq!(answer, body);
                }
            });
            async move { calling.await.unwrap() }
        });
        let (streams, callers): (Vec<_>, Vec<_>) = (streams.collect(), callers.collect());
        tokio::join!(join_all(streams), join_all(callers));
        let asked = scribe.asked.lock();
        for group in 0..8u8 {
            let of_group = asked.iter().filter(|(_, message)| message.group == group + 10);
            let begun: Vec<u32> = of_group
                .map(|(_, message)| u32::from_be_bytes(message.body[..].try_into().unwrap()))
                .collect();
            assert!(begun.into_iter().eq(0..2000), "group {group} was begun out of order");
        }
        assert_eq!(asked.len(), 8 * 2000 + 8 * 500, "a request got lost or came twice");
    });
}

#[test]
fn callers_that_leave_all_the_time_do_no_harm() {
    real(async {
        let env = Env::real();
        let ((peers, _), (other, scribe)) = (begin(local(1)).await, begin(local(2)).await);
        peers.set_peer(n(2), &other.address().to_string());
        let callers = (0..16u64).map(|caller| {
            let peers = peers.clone();
            env.tasks.spawn("leaving", async move {
                let (mut answered, mut left) = (0u32, 0u32);
                for round in 0..200 {
                    let patience = Duration::from_micros((caller * 31 + round * 17) % 400);
                    match peers.call(n(2), message(ECHO, "x"), patience).await {
                        Ok(_) => answered += 1,
                        Err(CallError::Unknown { .. } | CallError::Unreachable { .. }) => left += 1,
                        Err(refused) => panic!("{refused}"),
                    }
                }
                assert_eq!(answered + left, 200);
            })
        });
        let callers: Vec<_> = callers.collect();
        for caller in callers {
            caller.await.unwrap();
        }
        let clock = &env.clock;
        crate::node::until(clock, "nothing is left over", || {
            let link = crate::node::link(&peers, 2);
            (link.waiting, link.unanswered, scribe.running()) == (0, 0, 0)
        })
        .await;
        crate::node::echo(&peers, 2, "fine").await.unwrap();
    });
}

#[test]
fn nothing_is_begun_again_after_the_end() {
    real(async {
        let ((peers, _), (other, _)) = (begin(local(1)).await, begin(local(2)).await);
        peers.stop();
        peers.set_peer(n(2), &other.address().to_string());
        assert!(peers.status().is_empty());
    });
}
