//! What consensus costs on a node that is alone: single appends through a group, next to the bare minimum of the same
//! work on the same disk in the same run (append to the log, wait for its sync, apply).
//!
//! `cargo run --release -p chronos-cluster --example append_cost [appends]`
#![allow(clippy::unwrap_used, reason = "a measurement may fail anywhere")]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, Packer};
use chronos_cluster::{Config, Groups, Request};
use chronos_domain::{EntityId, EventId, EventType, ForkId, PartitionId, TenantId, Timestamp, place};
use chronos_env::Env;
use chronos_store::entry::{self, AppendCommand};
use chronos_store::{Command, Partition};
use chronos_wal::{Entry, LogId, Mark, Wal};

const ENTITY: &str = "thing-1";

fn block(env: &Env) -> Block {
    let id = u128::from(env.entropy.u64()) << 64 | u128::from(env.entropy.u64());
    let kind = EventType::parse("thing.changed").unwrap();
    let payload = Bytes::from(format!("{{\"pad\":\"{}\"}}", "x".repeat(200)));
    let mut packer = Packer::new();
    let entity = EntityId::parse(ENTITY).unwrap();
    packer.push(Draft::json(EventId::from_u128(id), entity, kind, payload)).unwrap();
    packer.finish(Compression::None).unwrap()
}

fn wal(env: &Env, dir: &Path) -> Wal {
    Wal::open(env, chronos_wal::Config::new(dir.join("wal"), 7)).unwrap().0
}

fn say(what: &str, mut took: Vec<Duration>) -> Duration {
    took.sort();
    let at = |permille: usize| took[(took.len() - 1) * permille / 1000];
    let (p50, p99) = (at(500), at(990));
    println!("{what:<28} p50 {:>7} us   p99 {:>7} us", p50.as_micros(), p99.as_micros());
    p50
}

async fn bare(env: &Env, id: PartitionId, dir: &Path, appends: usize) -> Duration {
    let wal = wal(env, dir);
    let log = wal.log(LogId::new(id.get()));
    let store = chronos_store::Config::new(dir.join("parts"), 7).of(id);
    let partition = Partition::open(env, id, log.clone(), store).unwrap();
    let mut took = Vec::new();
    for index in 1..=appends as u64 {
        let (tenant, block) = (TenantId::default_tenant(), block(env));
        let began = env.clock.monotonic();
        let recorded_at = Timestamp::new(env.clock.wall_micros());
        let command = Command::Append(AppendCommand { tenant, fork: ForkId::MAIN, recorded_at, block });
        let payload = entry::encode(&[&command], partition.head());
        let (tell, told) = tokio::sync::oneshot::channel();
        let done = Box::new(move |done| drop(tell.send(done)));
        log.append(vec![Entry { index, term: 1, payload }], done);
        told.await.unwrap().unwrap();
        partition.apply(Mark { index, term: 1 }, &[command]).unwrap();
        took.push(env.clock.monotonic() - began);
    }
    drop(partition);
    wal.close().await;
    say("log and apply", took)
}

async fn through_groups(env: &Env, id: PartitionId, dir: &Path, appends: usize) -> Duration {
    let wal = wal(env, dir);
    let config = Config::new(chronos_store::Config::new(dir.join("parts"), 7));
    let groups = Groups::start(env, &wal, &config).await;
    let mut took = Vec::new();
    for _ in 0..appends {
        let (tenant, block) = (TenantId::default_tenant(), block(env));
        let began = env.clock.monotonic();
        let request = Request::Append { tenant, fork: ForkId::MAIN, block };
        groups.propose(id, request, began + Duration::from_secs(60)).await.unwrap();
        took.push(env.clock.monotonic() - began);
    }
    groups.stop().await;
    drop(groups);
    wal.close().await;
    say("through a group of one", took)
}

fn main() {
    let appends = std::env::args().nth(1).map_or(2000, |n| n.parse().unwrap());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    runtime.block_on(async {
        let (env, id) = (Env::real(), place("default", ENTITY));
        for round in 1..=3 {
            let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
            let bare = bare(&env, id, dirs[0].path(), appends).await;
            let group = through_groups(&env, id, dirs[1].path(), appends).await;
            println!("round {round}: {:.2} times as long", group.as_secs_f64() / bare.as_secs_f64());
        }
    });
}
