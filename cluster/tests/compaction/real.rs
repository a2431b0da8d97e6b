//! On real threads and a real disk: readers while their events move from memory into a part, from one part into another,
//! and out of the log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chronos_block::{Block, Compression, Filter, Packer, Range};
use chronos_cluster::{CompactionConfig, Config, Groups, Request};
use chronos_domain::{EventId, ForkId, PartitionId, Position, Space, TenantId, place};
use chronos_env::{Entropy, Env};
use chronos_store::{CutLimits, Partition};
use chronos_wal::Wal;

use crate::life::{draft, entity};
use crate::node::{PATIENCE, SEGMENT_BYTES, config};

const APPENDS: u64 = 400;
const SPACE: Space<'static> = Space { tenant: "default", fork: ForkId::MAIN };

/// Two events whose ids say where in the partition they are, given that nobody else appends to it.
fn pair(entropy: &Entropy, n: u64) -> Block {
    let mut packer = Packer::new();
    for position in [2 * n + 1, 2 * n + 2] {
        let mut draft = draft(entropy, entity(0, position % 3), 2000);
        draft.event_id = EventId::from_u128(u128::from(position));
        packer.push(draft).unwrap();
    }
    packer.finish(Compression::None).unwrap()
}

async fn write(groups: Groups, env: Env, id: PartitionId) {
    for n in 0..APPENDS {
        let (tenant, fork) = (TenantId::default_tenant(), ForkId::MAIN);
        let request = Request::Append { tenant, fork, block: pair(&env.entropy, n) };
        groups.propose(id, request, env.clock.monotonic() + PATIENCE).await.unwrap();
    }
}

/// Reads at random, each way there is, until it is told that all has been written.
fn read(partition: &Partition, entropy: &Entropy, done: &AtomicBool, reads: &AtomicU64) {
    while !done.load(Ordering::Acquire) {
        let head = partition.head().get();
        if head == 0 {
            continue;
        }
        let position = 1 + entropy.below(head);
        let id = EventId::from_u128(u128::from(position));
        let event = partition.at(Position::new(position)).unwrap().expect("it is below the head");
        assert_eq!((event.position.get(), event.event().event_id), (position, id));
        let found = partition.by_id(SPACE, id).unwrap().expect("it is stored");
        assert_eq!(found.position.get(), position);
        let range = Range { events_max: 50, ..Range::forward().starting(position) };
        let page = partition.scan(SPACE, range, &Filter::default()).unwrap();
        let positions: Vec<u64> = page.events.iter().map(|event| event.position.get()).collect();
        assert!(positions.iter().copied().eq((position..).take(positions.len())), "{positions:?}");
        assert!(!positions.is_empty(), "nothing from position {position} on, below {head}");
        let page = partition.entity(SPACE, event.event().entity_id, Range::backward()).unwrap();
        let versions: Vec<u64> = page.events.iter().map(|event| event.version.get()).collect();
        assert!(versions.windows(2).all(|pair| pair[0] == pair[1] + 1), "{versions:?}");
        assert!(versions.last() == Some(&1) || page.next.is_some(), "{versions:?}");
        reads.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn readers_see_every_event_while_it_moves_from_memory_to_disk() {
    let dir = tempfile::tempdir().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_time().build().unwrap();
    runtime.block_on(async {
        let env = Env::real();
        let (wal, groups) = start(&env, dir.path()).await;
        let id = place("default", entity(0, 0).as_str());
        let partition = groups.partition(id).unwrap();
        let (done, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let readers: Vec<_> = (0..2)
            .map(|reader| {
                let (partition, done, reads) = (partition.clone(), done.clone(), reads.clone());
                let (tasks, entropy) = (env.tasks.clone(), env.entropy.child(&format!("reader-{reader}")));
                let reading = async move {
                    tasks.blocking(move || read(&partition, &entropy, &done, &reads)).await;
                };
                env.tasks.spawn("reader", reading)
            })
            .collect();
        write(groups.clone(), env.clone(), id).await;
        groups.compact(&[id], env.clock.monotonic() + PATIENCE).await.unwrap();
        done.store(true, Ordering::Release);
        for reader in readers {
            reader.await.expect("a reader met what it should not");
        }
        assert!(reads.load(Ordering::Relaxed) > 10, "the readers hardly read");
        let stats = groups.compaction_stats();
        assert!(stats.cuts > 20 && stats.merged > 8, "{stats:?}");
        assert_eq!(partition.marks().purged.get(), 2 * APPENDS);
        groups.stop().await;
        drop((groups, partition));
        wal.close().await;
    });
}

async fn start(env: &Env, dir: &Path) -> (Wal, Groups) {
    let log =
        chronos_wal::Config { segment_bytes: SEGMENT_BYTES, ..chronos_wal::Config::new(dir.join("wal"), 7) };
    let (wal, _) = Wal::open(env, log).unwrap();
    let mut store = chronos_store::Config { dir: dir.join("parts"), ..config().store };
    store.cuts = CutLimits { events: 16, bytes: u64::MAX };
    // As fast as it can, so that as much as possible moves under the readers.
    let compaction = CompactionConfig { bytes_per_second: u64::MAX, ..CompactionConfig::default() };
    let groups = Groups::start(env, &wal, &Config { compaction, store, ..config() }).await;
    (wal, groups)
}
