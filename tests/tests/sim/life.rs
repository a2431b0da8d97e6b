//! One life of a node under load, and what the next one finds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chronos_app::{Appended, Consistency, Error, PartitionRequest, Principal, View};
use chronos_block::{Block, Direction, Filter, Recorded};
use chronos_domain::PartitionId;
use chronos_env::sim::World;
use chronos_env::{Entropy, Env};
use chronos_server::{Config, Node, StartError};

use crate::ledger::Ledger;
use crate::requests;

pub(crate) const DATA: &str = "/data";
const CLIENTS: usize = 4;
/// Far beyond anything a healthy node needs of virtual time.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn config() -> Config {
    // Small files and little memory, so that a short life rolls segments and reads what was evicted.
    Config { data: DATA.into(), segment_bytes: 32 << 20, cache_bytes: 8 << 20, ..Config::default() }
}

/// Shared by the clients of all lives of one world.
pub(crate) type Shared = Arc<Mutex<Ledger>>;

/// Starts the node on what the last life left and lets clients work until each has sent `requests` or the power goes.
pub(crate) async fn under_load(world: &World, ledger: &Shared, requests: u64) -> Result<(), StartError> {
    let env = world.env();
    let node = Node::start(env.clone(), &config()).await?;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let entropy = env.entropy.child(&format!("client-{client}-{}", env.clock.monotonic().as_nanos()));
        let work = client_life(world.clone(), node.app().clone(), entropy, ledger.clone(), requests);
        clients.push(env.tasks.spawn("client", work));
    }
    for client in clients {
        client.await.expect("a client does not panic");
    }
    if !world.disk().is_off() {
        node.stop().await;
    }
    Ok(())
}

pub(crate) type App = chronos_app::App<chronos_server::Engine>;

async fn client_life(world: World, app: App, entropy: Entropy, ledger: Shared, requests: u64) {
    let env = world.env();
    for _ in 0..requests {
        if world.disk().is_off() {
            return;
        }
        let retry = entropy.below(8) == 0;
        let again = retry.then(|| lock(&ledger).acknowledged_request(entropy.u64())).flatten();
        let block = again.unwrap_or_else(|| requests::random(&entropy));
        lock(&ledger).sending(&block);
        let answer = send(&env, &app, &block).await;
        trace(&world, &answer);
        lock(&ledger).answered(&block, &answer);
        env.clock.sleep(Duration::from_micros(entropy.below(900))).await;
    }
}

pub(crate) async fn send(env: &Env, app: &App, block: &Block) -> Result<Appended, Error> {
    app.append(&Principal::default(), block.clone(), env.clock.monotonic() + PATIENCE).await
}

fn trace(world: &World, answer: &Result<Appended, Error>) {
    match answer {
        Ok(done) => {
            let at =
                [u64::from(done.partition.get()), done.first_position.get(), u64::from(done.deduplicated)];
            world.trace().record("ack", &at);
        }
        Err(error) => world.trace().record(error.reason.as_str(), &[]),
    }
}

/// Starts the node once more, resolves what is open by retries, reads everything back and holds it against the ledger.
pub(crate) fn aftermath(world: &World, ledger: &Shared) {
    world.run(async {
        let env = world.env();
        let node = Node::start(env.clone(), &config()).await.expect("a node starts after a power cut");
        one_by_one(&env, node.app(), ledger).await;
        let stored: Result<Vec<_>, _> = readable(&env, node.app()).await.into_iter().collect();
        let stored = stored.expect("every partition is served");
        for events in &stored {
            world.trace().record("head", &[events.len() as u64]);
        }
        lock(ledger).check(&stored);
        node.stop().await;
    });
}

/// Resolves every open outcome by sending the same request again.
pub(crate) async fn one_by_one(env: &Env, app: &App, ledger: &Shared) {
    let open = lock(ledger).open();
    for block in open {
        let answer = send(env, app, &block).await;
        lock(ledger).answered(&block, &answer);
    }
    assert!(lock(ledger).open().is_empty(), "a retry resolves every open outcome");
}

/// The events of each partition through the use cases, or why it does not give them.
pub(crate) async fn readable(env: &Env, app: &App) -> Vec<Result<Vec<Recorded>, Error>> {
    let mut all = Vec::new();
    for partition in PartitionId::all() {
        all.push(events_of(env, app, partition).await);
    }
    all
}

async fn events_of(env: &Env, app: &App, partition: PartitionId) -> Result<Vec<Recorded>, Error> {
    let request = PartitionRequest {
        partition,
        from: None,
        view: View {
            direction: Direction::Forward,
            limit: None,
            as_of: None,
            filter: Filter::default(),
            consistency: Consistency::Linearizable,
            deadline: env.clock.monotonic() + PATIENCE,
        },
    };
    let mut reader = app.read_partition(&Principal::default(), request).await?;
    let mut events = Vec::new();
    while let Some(page) = reader.next().await? {
        events.extend(page);
    }
    Ok(events)
}

pub(crate) fn lock(ledger: &Shared) -> std::sync::MutexGuard<'_, Ledger> {
    ledger.lock().expect("no client panics while it holds the ledger")
}
