//! Replicas are taken away and given back while they are read. A read is done in steps: a replica is made as fresh as it has
//! to be, then it is asked how far it reaches, then it is read. Whatever happens in between, a linearizable read gives every
//! event that was acknowledged before it began, and everything up to where it says that it reaches; or it is an error.
//!
//! `CHRONOS_FLIPS_ROUNDS=50 CHRONOS_FLIPS_FROM=100 cargo test --test sim flips` does it for other seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chronos_app::{App, Consistency, EntityRequest, Error, PartitionRequest, Principal, Reason, View};
use chronos_block::{Direction, Filter};
use chronos_cluster::{Leftovers, Order};
use chronos_domain::{EntityId, EventId, LogIndex, PartitionId};
use chronos_env::sim::World;
use chronos_env::{Clock, Entropy, Env};
use chronos_server::Node;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use crate::forwarding::{block, entity_of, start};
use crate::halting::Halting;

const NODES: u64 = 3;
const SECOND: Duration = Duration::from_secs(1);
/// Of virtual time; far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(240);
/// Events in each partition before anything happens, each in an entry of its own: what a replica that is new has to be sent.
const EVENTS: u64 = 500;
/// How long a disk takes for a sync meanwhile, so that this takes some time.
const SYNC: Duration = Duration::from_millis(40);
/// How long a reader is held up between two steps at most.
const HELD_UP: Duration = Duration::from_millis(1000);
/// Readers at each node.
const READERS: usize = 6;

/// The partitions that are written and read.
fn used() -> [PartitionId; 2] {
    [2, 30].map(|id| PartitionId::new(id).expect("below 32"))
}

/// What was acknowledged, by partition. Clones share it.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<BTreeMap<PartitionId, BTreeSet<EventId>>>>);

impl Ledger {
    fn acknowledged(&self, partition: PartitionId, event: u128) {
        self.0.lock().expect("nobody panics").entry(partition).or_default().insert(EventId::from_u128(event));
    }

    fn of(&self, partition: PartitionId) -> BTreeSet<EventId> {
        self.0.lock().expect("nobody panics").get(&partition).cloned().unwrap_or_default()
    }
}

/// Three nodes with all partitions on each of them, and events in some.
struct Three {
    world: World,
    env: Env,
    nodes: Vec<Node>,
    ledger: Ledger,
}

impl Three {
    async fn start(world: &World) -> Three {
        let mut nodes = Vec::new();
        for number in 1..=NODES {
            nodes.push(start(world, number).await);
        }
        let three = Three { world: world.clone(), env: world.env(), nodes, ledger: Ledger::default() };
        three.settle(3).await;
        join_all(used().map(|partition| three.fill(partition))).await;
        three
    }

    async fn fill(&self, partition: PartitionId) {
        for number in 0..EVENTS {
            insist(&self.env.clock, self.nodes[0].app(), &self.ledger, partition, number).await;
        }
    }

    /// Waits until the used partitions have so many replicas, and leaders.
    async fn settle(&self, replicas: usize) {
        let clock = &self.env.clock;
        let is_so = || {
            let view = self.nodes[0].cluster().view();
            let mut used = view.partitions.iter().filter(|group| used().contains(&group.id));
            used.all(|group| {
                group.voters.len() == replicas && group.learners.is_empty() && group.leader.is_some()
            })
        };
        let settling = clock.timeout(PATIENCE, async {
            while !is_so() {
                clock.sleep(SECOND / 10).await;
            }
        });
        settling.await.expect("the placement comes to what it was told");
    }

    async fn replicate(&self, replicas: u8) {
        let clock = &self.env.clock;
        while self.nodes[0]
            .cluster()
            .steer(Order::Replication(replicas), clock.monotonic() + 5 * SECOND)
            .await
            .is_err()
        {
            clock.sleep(SECOND / 4).await;
        }
    }

    /// How many replicas of the used partitions were discarded, and began anew.
    fn discarded(&self) -> u64 {
        let each = self.nodes.iter().flat_map(|node| used().map(|id| (node, id)));
        let lives = each.filter_map(|(node, id)| node.cluster().groups().partition(id).ok());
        lives.map(|partition| partition.life() / 2).sum()
    }

    async fn await_discarded(&self, replicas: u64) {
        let clock = &self.env.clock;
        let discarding = clock.timeout(PATIENCE, async {
            while self.discarded() < replicas {
                clock.sleep(SECOND / 50).await;
            }
        });
        discarding.await.expect("who is no member any more discards what it has");
    }

    fn slow_disks(&self, sync: Duration) {
        (1..=NODES).for_each(|number| self.world.host(&format!("n{number}")).disk().slow_syncs(sync));
    }

    async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }
}

/// Appends one event until it is acknowledged.
async fn insist<N: chronos_app::Node>(
    clock: &Clock,
    app: &App<N>,
    ledger: &Ledger,
    partition: PartitionId,
    number: u64,
) {
    let id = u128::from(partition.get()) << 64 | u128::from(number + 1);
    let block = block(id, &entity_of(partition));
    let deadline = || clock.monotonic() + 5 * SECOND;
    while app.append(&Principal::default(), block.clone(), deadline()).await.is_err() {
        clock.sleep(SECOND / 10).await;
    }
    ledger.acknowledged(partition, id);
}

/// Reads everything of a partition, by entity or by position, as it is now at the least.
async fn read<N: chronos_app::Node>(
    clock: &Clock,
    app: &App<N>,
    partition: PartitionId,
    by_entity: bool,
) -> Result<BTreeSet<EventId>, Error> {
    let view = View {
        direction: Direction::Forward,
        limit: None,
        as_of: None,
        filter: Filter::default(),
        consistency: Consistency::Linearizable,
        deadline: clock.monotonic() + 20 * SECOND,
    };
    let mut reader = if by_entity {
        let entity = EntityId::parse(&entity_of(partition)).expect("valid");
        app.read_entity(&Principal::default(), EntityRequest { entity, from: None, to: None, view }).await?
    } else {
        app.read_partition(&Principal::default(), PartitionRequest { partition, from: None, view }).await?
    };
    let mut found = BTreeSet::new();
    while let Some(page) = reader.next().await? {
        found.extend(page.iter().map(|event| event.event().event_id));
    }
    // The only entity has all of its partition's events.
    let (events, bound) = (found.len() as u64, reader.bound().get());
    assert_eq!(events, bound, "partition {partition}: it says that it reaches to {bound}");
    Ok(found)
}

/// What all readers have seen.
#[derive(Default)]
struct Seen {
    reads: AtomicU64,
    errors: AtomicU64,
    over: AtomicBool,
}

/// Reads again and again, held up between the steps, and checks what comes.
async fn keep_reading(env: Env, dice: Entropy, app: App<Halting>, ledger: Ledger, seen: Arc<Seen>) {
    while !seen.over.load(Ordering::Relaxed) {
        let partition = used()[dice.below(2) as usize];
        let acknowledged = ledger.of(partition);
        match read(&env.clock, &app, partition, dice.below(2) == 0).await {
            Ok(found) => {
                let missed = acknowledged.difference(&found).count();
                let of = acknowledged.len();
                assert_eq!(
                    missed, 0,
                    "partition {partition}: a read misses {missed} of {of} acknowledged events"
                );
                seen.reads.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                assert_ne!(error.reason, Reason::NotFound, "partition {partition}: {error}");
                seen.errors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Appends to all used partitions, one after the other.
async fn keep_writing(env: Env, app: App<chronos_server::Engine>, ledger: Ledger, seen: Arc<Seen>) {
    for number in EVENTS.. {
        for partition in used() {
            insist(&env.clock, &app, &ledger, partition, number).await;
        }
        // Where the only replicas are on this node an append takes no time, and there would be no end of them.
        env.clock.sleep(SECOND / 1000).await;
        if seen.over.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Replication goes from three to one and back, before all replicas are gone. Gives back how many reads gave an answer.
fn flip(seed: u64) -> u64 {
    let world = World::new(seed);
    world.run(async {
        let three = Three::start(&world).await;
        let (env, dice, seen) = (&three.env, three.env.entropy.child("flips"), Arc::new(Seen::default()));
        let mut tasks = Vec::new();
        for (at, node) in three.nodes.iter().enumerate() {
            for reader in 0..READERS {
                let dice = env.entropy.child(&format!("reader {at} {reader}"));
                let (clock, held_up) = (env.clock.clone(), dice.child("held up"));
                let halting = Halting::new(node.app().node().clone(), move || pause(&clock, &held_up));
                let reading = keep_reading(
                    env.clone(),
                    dice,
                    App::new(halting),
                    three.ledger.clone(),
                    Arc::clone(&seen),
                );
                tasks.push(env.tasks.spawn("reader", reading));
            }
        }
        let app = three.nodes[0].app().clone();
        let writing = keep_writing(env.clone(), app, three.ledger.clone(), Arc::clone(&seen));
        tasks.push(env.tasks.spawn("writer", writing));
        three.replicate(1).await;
        three.await_discarded(1 + dice.below(4)).await;
        three.slow_disks(SYNC);
        three.replicate(3).await;
        three.settle(3).await;
        seen.over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("nobody was told less than the truth");
        }
        let (reads, errors) = (seen.reads.load(Ordering::Relaxed), seen.errors.load(Ordering::Relaxed));
        assert!(reads > errors, "seed {seed}: {errors} errors, {reads} answers");
        three.stop().await;
        reads
    })
}

fn pause(clock: &Clock, dice: &Entropy) -> BoxFuture<'static, ()> {
    // Most of the time nothing is in the way.
    let micros = if dice.below(2) == 0 { dice.below(HELD_UP.as_micros() as u64) } else { dice.below(2000) };
    let clock = clock.clone();
    async move { clock.sleep(Duration::from_micros(micros)).await }.boxed()
}

#[test]
fn no_linearizable_read_misses_what_was_acknowledged_while_replicas_come_and_go() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let from: u64 = number("CHRONOS_FLIPS_FROM").unwrap_or(2);
    let rounds = number("CHRONOS_FLIPS_ROUNDS").unwrap_or(1);
    for seed in from..from + rounds {
        assert!(flip(seed) > 50, "seed {seed}: hardly anything was read");
    }
}

/// Between the first step of a read and the second one its replica is discarded, and has part of its history again.
#[test]
fn a_replica_that_has_only_begun_again_is_not_read() {
    for by_entity in [false, true] {
        let world = World::new(5);
        world.run(async {
            let three = Three::start(&world).await;
            let partition = used()[0];
            let leader = three.nodes[0].cluster().leader(partition).expect("it is known");
            let follower = three.nodes.iter().find(|node| node.id() != leader).expect("there are two");
            let (clock, name) = (three.env.clock.clone(), format!("{}", follower.id()));
            let (steps, cluster) = (Arc::new(AtomicU64::new(0)), follower.cluster().clone());
            let (this, world_of_it) = (world.clone(), name.clone());
            let between = move || {
                let step = steps.fetch_add(1, Ordering::Relaxed);
                let (cluster, clock, world, name) =
                    (cluster.clone(), clock.clone(), this.clone(), world_of_it.clone());
                async move {
                    if step != 1 {
                        return;
                    }
                    world.host(&name).disk().slow_syncs(SYNC);
                    cluster.groups().reset(partition, Leftovers::Remove).await.expect("it is discarded");
                    let replica = cluster.groups().partition(partition).expect("it is served");
                    while replica.head().get() < EVENTS / 3 {
                        clock.sleep(Duration::from_millis(1)).await;
                    }
                    world.net().isolate(&name);
                    assert!(replica.head().get() < EVENTS && replica.applied_index() > LogIndex::ZERO);
                }
                .boxed()
            };
            // The node alone: nobody else could help.
            let app = App::new(Halting::new(follower.app_here().node().clone(), between));
            let reading = read(&three.env.clock, &app, partition, by_entity).await;
            let error = reading.expect_err("it answers from what it has again");
            assert_ne!(error.reason, Reason::NotFound, "{error}");
            world.net().heal_all();
            three.env.clock.sleep(5 * SECOND).await;
            let found = read(&three.env.clock, &app, partition, by_entity).await.expect("it is whole again");
            assert_eq!(found, three.ledger.of(partition));
            three.stop().await;
        });
    }
}
