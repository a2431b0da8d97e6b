//! Nodes that do as each message says and write down what they were asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chronos_cluster::NodeId;
use chronos_cluster::peer::{
    BulkSource, CallError, Config, Handler, LinkStatus, Message, NoBulk, NoRegistrar, Peers, Refusal,
    Registrar, Security, StartError,
};
use chronos_env::sim::{Host, World};
use chronos_env::{Clock, Env};
use futures::future::BoxFuture;
use parking_lot::Mutex;

pub(crate) const CLUSTER: u128 = 0xC0FFEE;
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What a message asks for.
pub(crate) const ECHO: u8 = 0;
/// Echo after as many milliseconds as the body's first byte says.
pub(crate) const SLOW: u8 = 1;
pub(crate) const NEVER: u8 = 2;
pub(crate) const PANIC: u8 = 3;
pub(crate) const REFUSE: u8 = 4;

/// Does what messages ask for.
pub(crate) struct Scribe {
    clock: Clock,
    pub(crate) asked: Mutex<Vec<(NodeId, Message)>>,
    /// Handlers that are running or waiting now.
    pub(crate) running: Arc<AtomicUsize>,
}

impl Scribe {
    pub(crate) fn new(env: &Env) -> Arc<Scribe> {
        Arc::new(Scribe { clock: env.clock.clone(), asked: Mutex::default(), running: Arc::default() })
    }

    pub(crate) fn bodies(&self) -> Vec<Bytes> {
        self.asked.lock().iter().map(|(_, message)| message.body.clone()).collect()
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }
}

/// Counts a handler while it lives.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Handler for Scribe {
    fn handle(&self, from: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(Arc::clone(&self.running));
        let clock = self.clock.clone();
        self.asked.lock().push((from, message.clone()));
        Box::pin(async move {
            let _alive = alive;
            match message.kind {
                ECHO => Ok(message.body),
                SLOW => {
                    clock.sleep(Duration::from_millis(message.body[0].into())).await;
                    Ok(message.body)
                }
                NEVER => std::future::pending().await,
                PANIC => panic!("as the message asked"),
                _ => Err(Refusal::new(7, "not today")),
            }
        })
    }
}

pub(crate) fn n(number: u64) -> NodeId {
    NodeId::new(number)
}

pub(crate) fn message(kind: u8, body: impl Into<Bytes>) -> Message {
    Message { group: 5, kind, body: body.into() }
}

/// A node in a simulated world, on the host `n1`, `n2` and so on, at port 7000.
pub(crate) fn config(number: u64) -> Config {
    Config::new(n(number), CLUSTER, 1, "0.0.0.0:7000", Security::PlaintextAnywhere)
}

pub(crate) async fn start(env: &Env, config: Config) -> Result<(Peers, Arc<Scribe>), StartError> {
    start_with(env, config, Arc::new(NoBulk)).await
}

pub(crate) async fn start_with(
    env: &Env,
    config: Config,
    source: Arc<dyn BulkSource>,
) -> Result<(Peers, Arc<Scribe>), StartError> {
    let scribe = Scribe::new(env);
    let peers =
        Peers::start(env, config, Arc::<Scribe>::clone(&scribe), source, Arc::new(NoRegistrar)).await?;
    Ok((peers, scribe))
}

/// A node that admits whom its registrar admits.
pub(crate) async fn start_office(
    env: &Env,
    config: Config,
    registrar: Arc<dyn Registrar>,
) -> Result<Peers, StartError> {
    Peers::start(env, config, Scribe::new(env), Arc::new(NoBulk), registrar).await
}

pub(crate) fn host(world: &World, number: u64) -> Host {
    world.host(&format!("n{number}"))
}

pub(crate) fn introduce(peers: &Peers, to: &[u64]) {
    for number in to {
        peers.set_peer(n(*number), &format!("n{number}:7000"));
    }
}

/// Two nodes of a world that know each other.
pub(crate) async fn pair(world: &World) -> [(Peers, Arc<Scribe>); 2] {
    // Hosts exist before anybody looks for them.
    let hosts = [host(world, 1), host(world, 2)];
    let first = start(&hosts[0].env(), config(1)).await.unwrap();
    let second = start(&hosts[1].env(), config(2)).await.unwrap();
    introduce(&first.0, &[2]);
    introduce(&second.0, &[1]);
    [first, second]
}

pub(crate) async fn echo(peers: &Peers, to: u64, body: &'static str) -> Result<Bytes, CallError> {
    peers.call(n(to), message(ECHO, body), LONG).await
}

/// Asks again until there is an answer.
pub(crate) async fn echo_at_last(clock: &Clock, peers: &Peers, to: u64) {
    let asked = clock.timeout(LONG, async {
        while peers.call(n(to), message(ECHO, "again"), SECOND).await.is_err() {
            clock.sleep(Duration::from_millis(20)).await;
        }
    });
    asked.await.unwrap_or_else(|_| panic!("n{to} stays unreachable: {:?}", peers.status()));
}

pub(crate) fn link(peers: &Peers, to: u64) -> LinkStatus {
    peers.status().into_iter().find(|link| link.node == n(to)).unwrap()
}

/// Waits until `is_so`, as long as it takes, within reason.
pub(crate) async fn until(clock: &Clock, what: &str, is_so: impl Fn() -> bool) {
    let waiting = clock.timeout(LONG, async {
        while !is_so() {
            clock.sleep(Duration::from_millis(5)).await;
        }
    });
    waiting.await.unwrap_or_else(|_| panic!("it never came to this: {what}"));
}
