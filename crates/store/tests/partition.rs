//! A partition over a real log on a simulated disk, against the domain's referee.

#![allow(clippy::unwrap_used, reason = "a test says what must not fail by unwrapping it")]

mod support;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use chronos_block::{Compression, Draft, Packer};
use chronos_domain::{EventId, ForkId, Position, Space, TenantId, Timestamp, Verdict};
use chronos_env::sim::World;
use chronos_store::{
    AppendCommand, Command, CutCommand, Fault, Filter, Leftovers, Outcome, Partition, Range, Setback,
};
use proptest::prelude::*;
use support::commands::{Wish, entity, kind, sample, wish};
use support::node::{Node, USED};
use support::run::Run;

/// What happens to a node.
#[derive(Clone, Debug)]
enum Step {
    /// Commands that share an entry; none makes it a blank one.
    Entry { at: usize, wishes: Vec<Wish> },
    /// Some of the cuts that wait are taken in, and perhaps the log is purged.
    Compact { at: usize, cuts: usize, purge: bool },
    /// The node is closed and started again, perhaps with another budget of memory.
    Restart { cache_bytes: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let wishes = prop::collection::vec(wish(), 0..4);
    prop_oneof![
        8 => (0..2_usize, wishes).prop_map(|(at, wishes)| Step::Entry { at, wishes }),
        1 => (0..2_usize, 1..4_usize, any::<bool>())
            .prop_map(|(at, cuts, purge)| Step::Compact { at, cuts, purge }),
        1 => cache().prop_map(|cache_bytes| Step::Restart { cache_bytes }),
    ]
}

/// Nothing in memory, a few blocks, everything.
fn cache() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), Just(3_000), Just(64 << 20)]
}

async fn live(env: &chronos_env::Env, steps: &[Step], cache_bytes: usize) {
    let mut run = Run::new();
    let mut node = Node::open(env, cache_bytes).unwrap();
    for step in steps {
        match step {
            Step::Entry { at, wishes } => run.entry(&node, *at, wishes).await,
            Step::Compact { at, cuts, purge } => {
                node.compact(*at, *cuts, *purge).await.unwrap();
                run.oracles[*at].check(node.partition(*at));
            }
            Step::Restart { cache_bytes } => {
                node.close().await;
                node = Node::open(env, *cache_bytes).unwrap();
                run.check(&node);
            }
        }
    }
    run.check(&node);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_answer_is_the_referees(
        steps in prop::collection::vec(step(), 1..40), cache_bytes in cache(),
    ) {
        let world = World::new(7);
        world.run(live(&world.env(), &steps, cache_bytes));
    }
}

#[test]
fn the_random_commands_come_to_every_verdict() {
    let world = World::new(1);
    world.run(async {
        let node = Node::open(&world.env(), 0).unwrap();
        let mut run = Run::new();
        for wish in sample(400) {
            run.entry(&node, 0, &[wish]).await;
        }
        let stats = node.partition(0).stats();
        let counts =
            [stats.commands_stored, stats.commands_duplicate, stats.commands_rejected, stats.log_reads];
        assert!(counts[..3].iter().all(|count| *count >= 20), "{counts:?}");
        assert_eq!((stats.ids, stats.cached_blocks), (stats.events, 0));
        assert!(stats.generations > 3 && stats.tombstones > 3, "{stats:?}");
    });
}

/// What it holds in memory and what in parts makes no difference to any answer; nor does a log that starts late.
#[test]
fn a_history_that_is_compacted_and_purged_gives_every_answer_as_before() {
    let world = World::new(1);
    world.run(async {
        let mut node = Node::open(&world.env(), 3_000).unwrap();
        let mut run = Run::new();
        let wishes = sample(120);
        for (n, wishes) in wishes.chunks(12).enumerate() {
            for wish in wishes {
                run.entry(&node, 0, std::slice::from_ref(wish)).await;
            }
            if n % 3 == 2 {
                node.compact(0, usize::MAX, true).await.unwrap();
                node.close().await;
                node = Node::open(&world.env(), 0).unwrap();
            }
        }
        let all = Command::Cut(CutCommand { recorded_at: Timestamp::new(0), settle: true });
        node.append(0, &[all]).await.unwrap();
        node.compact(0, usize::MAX, true).await.unwrap();
        let (partition, oracle) = (node.partition(0), &run.oracles[0]);
        let (stats, marks) = (partition.stats(), partition.marks());
        assert_eq!((stats.ids, stats.blocks, stats.cached_bytes), (0, 0, 0), "something is left in memory");
        assert_eq!((marks.compacted, marks.purged), (oracle.head(), oracle.head()));
        oracle.check(partition);
        // The very first request of all, once more.
        let first = Command::from(oracle.commands[0].clone());
        let outcomes = node.append(0, &[first]).await.unwrap();
        let Outcome::Append(Verdict::Duplicate(receipt)) = &outcomes[0] else { panic!("{outcomes:?}") };
        assert_eq!(receipt.first.get(), 1);
    });
}

#[test]
fn no_command_leaves_a_partition_as_it_was_but_for_the_log_index() {
    let world = World::new(1);
    world.run(async {
        let node = Node::open(&world.env(), 0).unwrap();
        let mut run = Run::new();
        run.entry(&node, 0, &[]).await;
        run.entry(&node, 0, &[]).await;
        assert_eq!(node.partition(0).applied_index().get(), 2);
        run.check(&node);
    });
}

#[test]
fn a_waiter_is_woken_after_its_events_can_be_read() {
    let world = World::new(1);
    world.run(async {
        let node = Node::open(&world.env(), 0).unwrap();
        let mut run = Run::new();
        let mut applied = node.partition(0).watch();
        let reader = node.partition(0).clone();
        let waiter = world.env().tasks.spawn("waiter", async move {
            applied.changed().await.unwrap();
            let head = *applied.borrow();
            assert!(reader.at(head).unwrap().is_some());
            head
        });
        let wishes: Vec<Wish> = sample(20);
        while run.oracles[0].head().is_zero() {
            run.entry(&node, 0, &wishes).await;
        }
        assert_eq!(waiter.await.unwrap(), run.oracles[0].head());
    });
}

#[test]
fn an_entry_that_knew_more_than_replay_reaches_is_corruption() {
    let world = World::new(1);
    world.run(async {
        let env = world.env();
        let node = Node::open(&env, 0).unwrap();
        let mut run = Run::new();
        let commands = run.commands(0, &sample(3));
        let payload = chronos_store::entry::encode(&commands, Position::new(5));
        let (done, synced) = tokio::sync::oneshot::channel();
        let entry = chronos_wal::Entry { index: 1, term: 1, payload };
        let log = node.wal.log(chronos_wal::LogId::new(USED[0]));
        log.append(vec![entry], Box::new(move |result| drop(done.send(result))));
        synced.await.unwrap().unwrap();
        drop(log);
        node.close().await;
        let node = Node::open(&env, 0).unwrap();
        let refused = node.partitions[0].as_ref().unwrap_err();
        assert!(matches!(refused, Fault::Corrupt(what) if what.contains("position 5")), "{refused}");
        assert!(node.partitions[1].is_ok());
    });
}

/// A plain command for the `n`-th event of one entity.
fn plain(n: u64) -> Command {
    let mut packer = Packer::new();
    let id = EventId::from_u128(u128::from(n));
    packer.push(Draft::json(id, entity(0), kind(0), format!("{{\"n\":{n}}}"))).unwrap();
    let block = packer.finish(Compression::None).unwrap();
    let recorded_at = Timestamp::new(n as i64);
    AppendCommand { tenant: TenantId::default_tenant(), fork: ForkId::MAIN, recorded_at, block }.into()
}

/// Reads everything while it grows: always a gapless prefix, never less than before.
fn follow(partition: &Partition, done: &AtomicBool) -> u64 {
    let space = Space { tenant: "default", fork: ForkId::MAIN };
    let mut seen = 0;
    loop {
        let last_round = done.load(Ordering::Acquire);
        let limit = Range { events_max: 7, ..Range::forward() };
        let (mut next, mut expected) = (Some(1), 1);
        while let Some(from) = next {
            let scan = partition.scan(space, limit.starting(from), &Filter::default()).unwrap();
            let entity = partition.entity(space, entity(0).as_str(), limit.starting(from)).unwrap();
            for (event, n) in scan.events.iter().zip(expected..) {
                assert_eq!((event.position.get(), event.version.get()), (n, n));
                assert_eq!(event.payload(), format!("{{\"n\":{n}}}"));
            }
            assert!(scan.events.iter().zip(&entity.events).all(|(a, b)| a.position == b.position));
            expected += scan.events.len() as u64;
            next = scan.next;
        }
        assert!(expected > seen, "{seen} events were there, now {}", expected - 1);
        seen = expected - 1;
        if last_round {
            return seen;
        }
    }
}

/// Takes in every cut as soon as it is there, and purges the log behind it, until all is done.
fn compact_beside(partition: &Partition, log: &chronos_wal::Log, done: &AtomicBool) -> usize {
    let mut cuts = 0;
    loop {
        let last_round = done.load(Ordering::Acquire);
        while let Some(compacted) = partition.compact_step(|_| {}).unwrap() {
            // Unreadable at once; gone for good when the lane gets to it, which needs this test's other thread.
            log.purge(compacted.purge_to.get(), Box::new(drop));
            partition.raise_purged(compacted.purge_to);
            cuts += 1;
        }
        if last_round {
            return cuts;
        }
        std::thread::yield_now();
    }
}

#[test]
fn readers_beside_the_applier_and_the_compactor_see_a_gapless_prefix() {
    const EVENTS: u64 = 300;
    let world = World::new(1);
    world.run(async {
        let node = Node::open(&world.env(), 0).unwrap();
        let done = AtomicBool::new(false);
        let partition = node.partition(0).clone();
        let log = node.wal.log(chronos_wal::LogId::new(USED[0]));
        append_plain(&log, EVENTS).await;
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| follow(&partition, &done))).collect();
            let compactor = scope.spawn(|| compact_beside(&partition, &log, &done));
            for n in 1..=EVENTS {
                partition.apply(chronos_wal::Mark { index: n, term: 1 }, &[plain(n)]).unwrap();
                if n % 10 == 0 {
                    partition.digest(None).unwrap();
                }
            }
            done.store(true, Ordering::Release);
            assert!(compactor.join().unwrap() > 5, "too little was compacted while it was read");
            for reader in readers {
                assert_eq!(reader.join().unwrap(), EVENTS);
            }
        });
        let before = partition.digest(None).unwrap();
        drop((partition, log));
        node.close().await;
        let node = Node::open(&world.env(), 0).unwrap();
        assert_eq!(node.partition(0).digest(None).unwrap(), before);
    });
}

/// Makes plain events durable, one to an entry.
async fn append_plain(log: &chronos_wal::Log, events: u64) {
    for n in 1..=events {
        let payload = chronos_store::entry::encode(&[plain(n)], Position::ZERO);
        let (told, synced) = tokio::sync::oneshot::channel();
        let entry = chronos_wal::Entry { index: n, term: 1, payload };
        log.append(vec![entry], Box::new(move |result| drop(told.send(result))));
        synced.await.unwrap().unwrap();
    }
}

#[test]
fn readers_beside_the_applier_see_a_gapless_prefix() {
    const EVENTS: u64 = 300;
    let world = World::new(1);
    world.run(async {
        let node = Node::open(&world.env(), 2_000).unwrap();
        let done = AtomicBool::new(false);
        let partition = node.partition(0).clone();
        let mut verdicts = Vec::new();
        // Appended first: the log belongs to this thread alone.
        append_plain(&node.wal.log(chronos_wal::LogId::new(USED[0])), EVENTS).await;
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3).map(|_| scope.spawn(|| follow(&partition, &done))).collect();
            for n in 1..=EVENTS {
                verdicts
                    .extend(partition.apply(chronos_wal::Mark { index: n, term: 1 }, &[plain(n)]).unwrap());
            }
            done.store(true, Ordering::Release);
            for reader in readers {
                assert_eq!(reader.join().unwrap(), EVENTS);
            }
        });
        assert_eq!(verdicts.len() as u64, EVENTS);
        assert!(partition.stats().log_reads > 0, "nothing was evicted, so nothing was read back");
    });
}

/// The log goes first, the state follows: in between nothing fits together, and nothing of it is damaged.
#[test]
fn what_is_read_of_a_replica_while_it_is_discarded_is_refused_and_taken_for_no_damage() {
    let world = World::new(3);
    world.run(async {
        let node = Node::open(&world.env(), 0).unwrap();
        let mut run = Run::new();
        for wish in sample(300) {
            run.entry(&node, 0, &[wish]).await;
        }
        let (partition, tenant) = (node.partition(0), TenantId::default_tenant());
        let space = Space { tenant: tenant.as_str(), fork: ForkId::MAIN };
        let read = || partition.scan(space, Range::forward(), &Filter::default());
        assert!(!read().unwrap().events.is_empty());
        let (life, mut scrub) = (partition.life(), partition.scrub());
        let mut compaction = partition.begin_compaction().expect("cuts wait");

        let mut resetting = Box::pin(partition.reset(Leftovers::Remove));
        std::future::poll_fn(|cx| {
            assert!(resetting.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        for _ in 0..3 {
            assert!(matches!(read(), Err(Fault::Stopped(_))), "{:?}", read());
            assert!(matches!(partition.at(Position::new(1)), Err(Fault::Stopped(_))));
            assert_ne!(partition.life(), life);
        }
        assert!(matches!(compaction.step(), Err(Setback::Superseded(_))));
        resetting.await.unwrap();

        assert!(read().unwrap().events.is_empty(), "it begins with nothing");
        assert_ne!(partition.life(), life);
        assert_eq!(scrub.step(&mut |_| {}), None, "nothing is left of what this pass was to read");
        partition.retire();
        assert!(matches!(read(), Err(Fault::Stopped(_))), "another handle is going to be opened");
        node.close().await;
    });
}

/// What other nodes have committed and this one's log had no room for is in memory only.
#[test]
fn memory_goes_back_to_what_the_disk_holds_and_what_comes_again_makes_it_whole() {
    let world = World::new(4);
    world.run(async {
        let node = Node::open(&world.env(), 64 << 20).unwrap();
        let mut run = Run::new();
        for wish in sample(300) {
            run.entry(&node, 0, &[wish]).await;
        }
        node.compact(0, 1, true).await.unwrap();
        let partition = node.partition(0);
        let on_disk = (partition.applied_mark(), partition.marks(), partition.digest(None).unwrap());
        let last = on_disk.0.index;
        let ahead = |n: u64| {
            let mark = chronos_wal::Mark { index: last + n, term: 1 };
            partition.apply(mark, &[plain(1000 + n)]).unwrap()
        };
        let before: Vec<Vec<Outcome>> = (1..=40).map(ahead).collect();
        let (whole, life) = (partition.digest(None).unwrap(), partition.life());
        let mut compaction = partition.begin_compaction().expect("cuts wait");

        partition.go_back().unwrap();
        let now = (partition.applied_mark(), partition.marks(), partition.digest(None).unwrap());
        assert_eq!(now, on_disk);
        run.oracles[0].check(partition);
        assert_ne!(partition.life(), life, "what was begun to be read belongs to another moment");
        assert!(matches!(compaction.step(), Err(Setback::Superseded(_))));

        let again: Vec<Vec<Outcome>> = (1..=40).map(ahead).collect();
        assert_eq!(again, before);
        assert_eq!(partition.digest(None).unwrap(), whole);
        node.close().await;
    });
}
