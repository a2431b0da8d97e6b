//! Bits turn on the way between two nodes, and TCP does not notice: no node ever takes what it was not told.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chronos_cluster::peer::Peers;
use chronos_env::sim::World;
use chronos_env::{Connection, Entropy};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::node::{SECOND, Scribe, config, echo_at_last, host, link, message, n, start};

/// Between the nodes: takes connections for one of them, and passes every byte on, some of them damaged.
struct Relay {
    dice: Entropy,
    /// Bytes that pass sound before the next damage, in either direction; `None` while the way is sound.
    spared: Mutex<Option<u64>>,
    damages: Mutex<u64>,
}

/// Damage comes once in so many bytes, on average.
const RATE: u64 = 600;

impl Relay {
    /// Listens at `at`, on behalf of whoever is at `to`.
    fn start(world: &World, at: &str, to: &'static str) -> Arc<Relay> {
        let env = world.host(at).env();
        let relay = Arc::new(Relay {
            dice: env.entropy.child("damage"),
            spared: Mutex::new(None),
            damages: Mutex::new(0),
        });
        let (listening, tasks) = (Arc::clone(&relay), env.tasks.clone());
        drop(env.tasks.clone().spawn("relay", async move {
            let listener = env.net.listen("0.0.0.0:7000").await.unwrap();
            while let Ok(caller) = listener.accept().await {
                let Ok(called) = env.net.connect(to, SECOND).await else { continue };
                drop(tasks.spawn("relayed", Arc::clone(&listening).pass(caller, called)));
            }
        }));
        relay
    }

    async fn pass(self: Arc<Relay>, caller: Connection, called: Connection) {
        let ((from_caller, to_caller), (from_called, to_called)) =
            (tokio::io::split(caller), tokio::io::split(called));
        // When one side ends, both do.
        let _ = futures::future::select(
            Box::pin(self.one_way(from_caller, to_called)),
            Box::pin(self.one_way(from_called, to_caller)),
        )
        .await;
    }

    async fn one_way(
        &self,
        mut from: impl AsyncReadExt + Unpin,
        mut to: impl AsyncWriteExt + Unpin,
    ) -> io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            let count = from.read(&mut bytes).await?;
            if count == 0 {
                return Ok(());
            }
            bytes[..count].iter_mut().for_each(|byte| self.damage(byte));
            to.write_all(&bytes[..count]).await?;
        }
    }

    fn damage(&self, byte: &mut u8) {
        let mut spared = self.spared.lock();
        let Some(left) = spared.as_mut() else { return };
        if let Some(less) = left.checked_sub(1) {
            *left = less;
            return;
        }
        *byte ^= 1 << self.dice.below(8);
        *left = self.dice.below(2 * RATE);
        *self.damages.lock() += 1;
    }

    fn begin(&self) {
        *self.spared.lock() = Some(self.dice.below(2 * RATE));
    }

    fn end(&self) {
        *self.spared.lock() = None;
    }
}

/// n1 and n2, each of which calls the other through a relay of its own.
async fn pair(world: &World) -> ([(Peers, Arc<Scribe>); 2], [Arc<Relay>; 2]) {
    let hosts = [host(world, 1), host(world, 2)];
    let nodes =
        [start(&hosts[0].env(), config(1)).await.unwrap(), start(&hosts[1].env(), config(2)).await.unwrap()];
    let relays = [Relay::start(world, "way-to-1", "n1:7000"), Relay::start(world, "way-to-2", "n2:7000")];
    nodes[0].0.set_peer(n(2), "way-to-2:7000");
    nodes[1].0.set_peer(n(1), "way-to-1:7000");
    (nodes, relays)
}

/// A body that only `from` sends, for its request of that number.
fn body(from: u64, number: u64) -> Vec<u8> {
    let text = format!("request {number} of n{from}; ");
    text.repeat(1 + (number % 20) as usize).into_bytes()
}

#[test]
fn what_is_damaged_on_its_way_is_never_taken_and_the_link_comes_back() {
    for seed in 0..20 {
        let world = World::new(seed);
        world.run(async {
            let ([first, second], relays) = pair(&world).await;
            let clock = world.env().clock;
            echo_at_last(&clock, &first.0, 2).await;
            echo_at_last(&clock, &second.0, 1).await;
            relays.iter().for_each(|relay| relay.begin());
            let mut failed = 0;
            for number in 0..60 {
                for ((peers, _), from, to) in [(&first, 1, 2), (&second, 2, 1)] {
                    let sent = body(from, number);
                    match peers.call(n(to), message(0, sent.clone()), SECOND).await {
                        Ok(answer) => assert_eq!(answer, sent, "another answer was taken for this one"),
                        Err(_) => failed += 1,
                    }
                }
                clock.sleep(Duration::from_millis(20)).await;
            }
            relays.iter().for_each(|relay| relay.end());
            let damages: u64 = relays.iter().map(|relay| *relay.damages.lock()).sum();
            assert!(
                damages > 5 && failed > 0,
                "{damages} damages, and {failed} calls failed: too little happened"
            );
            for ((peers, scribe), from, to) in [(&first, 2, 1), (&second, 1, 2)] {
                let asked = scribe.asked.lock().clone();
                for (who, message) in asked {
                    let is_sent = (0..60).any(|number| message.body == body(from, number));
                    assert!(is_sent || message.body == "again", "{:?} was never sent", message.body);
                    assert_eq!((who, message.group, message.kind), (n(from), 5, 0));
                }
                // Nobody was taken for somebody else, either: both are still who they are to each other.
                echo_at_last(&clock, peers, from).await;
                assert_eq!(link(peers, from).state, Some(Ok(())), "n{to}");
                let stats = peers.stats();
                assert_eq!(stats.turned_away.iter().sum::<u64>(), 0, "{stats:?}");
                assert_eq!(stats.turned_away_by_others, 0, "{stats:?}");
                assert!(stats.links_lost > 0, "{stats:?}");
            }
        });
    }
}
