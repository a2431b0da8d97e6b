//! How fast it is over loopback. Small in the normal run, so that it cannot rot; for numbers:
//!
//! ```text
//! CHRONOS_SPEED=50 cargo test --release -p chronos-cluster --test peer speed -- --nocapture --test-threads 1
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_cluster::NodeId;
use chronos_cluster::peer::{
    BulkFile, BulkItem, BulkSource, Config, Handler, Limits, Message, NoBulk, NoRegistrar, Peers, Refusal,
};
use chronos_env::Env;
use futures::future::{BoxFuture, join_all};

use crate::doors::{local, patient, real};
use crate::node::{ECHO, LONG, message, n};

struct Echo;

impl Handler for Echo {
    fn handle(&self, _: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        Box::pin(async move { Ok(message.body) })
    }
}

/// As many zeros as the name says.
struct Zeros;

impl BulkSource for Zeros {
    fn open(&self, _: NodeId, item: &BulkItem) -> BoxFuture<'static, Result<Arc<dyn BulkFile>, Refusal>> {
        let bytes = item.name.parse().unwrap();
        Box::pin(async move { Ok(Arc::new(Nothing(bytes)) as Arc<dyn BulkFile>) })
    }
}

struct Nothing(u64);

impl BulkFile for Nothing {
    fn bytes(&self) -> u64 {
        self.0
    }

    fn read(&self, _: u64, len: usize) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        Box::pin(async move { Ok(vec![0; len].into()) })
    }
}

fn times() -> usize {
    std::env::var("CHRONOS_SPEED").map_or(1, |times| times.parse().unwrap())
}

async fn pair(limits: Limits) -> (Peers, Peers) {
    let env = Env::real();
    let (first, second) = (Config { limits: limits.clone(), ..local(1) }, Config { limits, ..local(2) });
    let first =
        Peers::start(&env, first, Arc::new(Echo), Arc::new(NoBulk), Arc::new(NoRegistrar)).await.unwrap();
    let second =
        Peers::start(&env, second, Arc::new(Echo), Arc::new(Zeros), Arc::new(NoRegistrar)).await.unwrap();
    first.set_peer(n(2), &second.address().to_string());
    crate::node::echo(&first, 2, "warm").await.unwrap();
    (first, second)
}

/// Calls one after the other; how long each took, ascending.
async fn one_by_one(env: &Env, peers: &Peers, count: usize, bytes: usize) -> Vec<Duration> {
    let body = Bytes::from(vec![7; bytes]);
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let began = env.clock.monotonic();
        peers.call(n(2), message(ECHO, body.clone()), LONG).await.unwrap();
        took.push(env.clock.monotonic() - began);
    }
    took.sort_unstable();
    took
}

fn quantile(sorted: &[Duration], permille: usize) -> Duration {
    sorted[(sorted.len() - 1) * permille / 1000]
}

#[test]
fn calls() {
    real(async {
        let env = Env::real();
        let (peers, _other) = pair(patient()).await;
        for (callers, bytes) in [(1, 256), (16, 256), (256, 256), (16, 64 << 10)] {
            let each = times() * 2000 / callers;
            let began = env.clock.monotonic();
            let calling = (0..callers).map(|_| {
                let (env, peers) = (env.clone(), peers.clone());
                env.tasks.clone().spawn("caller", async move { one_by_one(&env, &peers, each, bytes).await })
            });
            let calling: Vec<_> = calling.collect();
            let mut took: Vec<_> = join_all(calling).await.into_iter().flat_map(Result::unwrap).collect();
            let rate = took.len() as f64 / (env.clock.monotonic() - began).as_secs_f64();
            took.sort_unstable();
            let (p50, p99) = (quantile(&took, 500), quantile(&took, 990));
            println!("calls: {callers} callers, {bytes} bytes: {rate:.0}/s, p50 {p50:?}, p99 {p99:?}");
        }
    });
}

#[test]
fn stream() {
    real(async {
        let env = Env::real();
        let (peers, _other) = pair(patient()).await;
        let count = times() * 5000;
        let (mut sender, mut receiver) = peers.stream(n(2), 5, ECHO);
        let began = env.clock.monotonic();
        let sending = env.tasks.spawn("sender", async move {
            for _ in 0..count {
                sender.send(Bytes::from_static(&[7; 256]), LONG).await.unwrap();
            }
        });
        for _ in 0..count {
            receiver.next().await.unwrap().unwrap();
        }
        sending.await.unwrap();
        let rate = count as f64 / (env.clock.monotonic() - began).as_secs_f64();
        println!("stream: 256 bytes: {rate:.0}/s in {} frames", peers.stats().frames_sent);
    });
}

#[test]
fn calls_beside_files() {
    real(async {
        let env = Env::real();
        for rate in [64 << 20, 1 << 40] {
            let (peers, _other) = pair(Limits { bulk_bytes_per_second: rate, ..patient() }).await;
            let bytes = (times() * 8) << 20;
            let (env, fetching) = (env.clone(), peers.clone());
            let began = env.clock.monotonic();
            let fetched = env.tasks.spawn("fetch", async move {
                let mut bulk =
                    fetching.bulk(n(2), BulkItem { group: 5, name: bytes.to_string() }, 0).await.unwrap();
                while bulk.next().await.unwrap().is_some() {}
            });
            let mut took = Vec::new();
            while !fetched.is_finished() {
                took.extend(one_by_one(&env, &peers, 1, 256).await);
                env.clock.sleep(Duration::from_millis(1)).await;
            }
            fetched.await.unwrap();
            let mib = bytes as f64 / (env.clock.monotonic() - began).as_secs_f64() / f64::from(1 << 20);
            took.sort_unstable();
            let [p50, p99, max] = [500, 990, 1000].map(|permille| quantile(&took, permille));
            println!("calls beside a file at {mib:.0} MiB/s: p50 {p50:?}, p99 {p99:?}, longest {max:?}");
        }
    });
}
