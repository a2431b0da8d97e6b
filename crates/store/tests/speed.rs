//! Measurements, not tests: `cargo test --release -p chronos-store --test speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a measurement that fails says so")]
#![expect(clippy::disallowed_methods, reason = "measures the machine, so it needs the machine's clock")]

use std::path::Path;
use std::time::Instant;

use chronos_block::{Compression, Draft, Packer};
use chronos_domain::{
    EntityId, EventId, EventType, ForkId, LogIndex, PartitionId, Space, TenantId, Timestamp,
};
use chronos_env::Env;
use chronos_store::{Command, Config, Filter, Partition, Range, entry};
use chronos_wal::{Entry, Log, LogId, Wal};

const BLOCKS: u64 = 1_000;
const EVENTS: u64 = 1_000;
const ENTITIES: u64 = 10_000;
const CACHE: Config = Config { cache_bytes: usize::MAX };

fn command(block: u64) -> Command {
    let mut packer = Packer::new();
    let event_type = EventType::parse("order.placed").unwrap();
    for event in 0..EVENTS {
        let n = block * EVENTS + event;
        let random = u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_0C3A_2F4B_11D7);
        let id = EventId::new_v7(1_700_000_000_000 + block, random);
        let entity =
            EntityId::parse(&format!("order-{:08}", n.wrapping_mul(2_654_435_761) % ENTITIES)).unwrap();
        packer.push(Draft::json(id, entity, event_type.clone(), vec![b'1'; 256])).unwrap();
    }
    let block = packer.finish(Compression::None).unwrap();
    Command { tenant: TenantId::default_tenant(), fork: ForkId::MAIN, recorded_at: Timestamp::new(1), block }
}

fn wal(env: &Env, dir: &Path) -> Wal {
    Wal::open(env, chronos_wal::Config::new(dir.to_path_buf(), 1)).unwrap().0
}

fn open(env: &Env, log: Log) -> Partition {
    Partition::open(PartitionId::new(0).unwrap(), log, env.crash.clone(), CACHE).unwrap()
}

async fn append(log: &Log, index: u64, partition: &Partition, command: &Command) {
    let payload = entry::encode(std::slice::from_ref(command), partition.head());
    let (done, synced) = tokio::sync::oneshot::channel();
    log.append(vec![Entry { index, term: 1, payload }], Box::new(move |result| drop(done.send(result))));
    synced.await.unwrap().unwrap();
}

fn reads(partition: &Partition, what: &str) {
    let space = Space { tenant: "default", fork: ForkId::MAIN };
    for (kind, entities) in [("any", ENTITIES), ("a hot", 10)] {
        let mut events = 0;
        let start = Instant::now();
        for n in 0..ENTITIES {
            let id = format!("order-{:08}", n % entities);
            events += partition.entity(space, &id, Range::forward()).unwrap().events.len();
        }
        let each = start.elapsed().as_secs_f64() * 1e6 / ENTITIES as f64;
        println!("{what}: {kind} entity of {} events: {each:.2} µs", events as u64 / ENTITIES);
    }
    let start = Instant::now();
    for n in 0..ENTITIES {
        let position = chronos_domain::Position::new(1 + n * 97 % (BLOCKS * EVENTS));
        assert!(partition.at(position).unwrap().is_some());
    }
    println!("{what}: event by position: {:.2} µs", start.elapsed().as_secs_f64() * 1e6 / ENTITIES as f64);
    let (mut next, mut events, start) = (Some(1), 0, Instant::now());
    while let Some(from) = next {
        let page = partition.scan(space, Range::forward().starting(from), &Filter::default()).unwrap();
        events += page.events.len();
        next = page.next;
    }
    println!("{what}: scan: {:.2} M events/s", events as f64 / start.elapsed().as_secs_f64() / 1e6);
}

#[test]
#[ignore = "a measurement"]
fn apply_read_recover() {
    let env = Env::real();
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let commands: Vec<Command> = (0..BLOCKS).map(command).collect();
        let log_files = wal(&env, dir.path());
        let log = log_files.log(LogId::new(0));
        let partition = open(&env, log.clone());
        let (mut applying, mut slowest, mut bytes) = (0.0, 0.0, 0);
        for (index, command) in (1..).zip(&commands) {
            append(&log, index, &partition, command).await;
            let start = Instant::now();
            partition.apply(LogIndex::new(index), &[command]).unwrap();
            let took = start.elapsed().as_secs_f64();
            applying += took;
            slowest = f64::max(slowest, took);
            bytes += command.block.bytes().len();
        }
        let rate = (BLOCKS * EVENTS) as f64 / applying / 1e6;
        println!("apply: {rate:.2} M events/s, slowest block {:.0} µs", slowest * 1e6);
        println!("{:?}", partition.stats());
        reads(&partition, "in memory");
        drop((partition, log));
        log_files.close().await;
        let start = Instant::now();
        let log_files = wal(&env, dir.path());
        println!("open the log: {:.2} s", start.elapsed().as_secs_f64());
        let start = Instant::now();
        let partition = open(&env, log_files.log(LogId::new(0)));
        let seconds = start.elapsed().as_secs_f64();
        let gib = bytes as f64 / f64::from(1 << 30);
        println!("replay: {seconds:.2} s, {:.2} s per GiB, {} events", seconds / gib, partition.head());
    });
}
