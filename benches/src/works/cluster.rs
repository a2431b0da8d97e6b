//! Durable appends to three nodes, next to puts of the same payload into three nodes of etcd, in turns.
//!
//! All callers of a load share one SDK client, which has one connection to each node, or one connection to etcd's leader,
//! as the tasks of one program do. Both systems acknowledge more so than over several.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chronos_client::Client;

use crate::Failure;
use crate::clock::{Run, Series, Spread, note};
use crate::cluster::Cluster;
use crate::etcd::{self, Etcd, Kv};
use crate::orders::{Orders, Stock};
use crate::report::Line;
use crate::suite::Bench;
use crate::works::caller::{self, Caller};

/// Of either.
const NODES: usize = 3;

/// Clients, and events in each of their requests.
const LOADS: [(usize, usize); 4] = [(1, 1), (32, 1), (256, 1), (8, 1000)];

/// How long followers may take to have what a quorum acknowledged.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let stock = Stock::new();
    let version = etcd::version();
    match &version {
        Some(version) => eprintln!("chronos-benches: {version}"),
        None => eprintln!("chronos-benches: etcd is ABSENT here, so nothing is compared with it"),
    }
    let (mut ours, mut theirs): (Vec<Series>, Vec<Series>) =
        LOADS.iter().map(|_| (Series::default(), Series::default())).unzip();
    for seed in 0..bench.runs() {
        let seed = u64::from(seed) << 32;
        all_loads(bench, &stock, seed, &mut ours)?;
        if version.is_some() {
            etcd_loads(bench, &stock, seed, &mut theirs)?;
        }
    }
    let mut lines = Vec::new();
    for ((load, ours), theirs) in LOADS.into_iter().zip(&ours).zip(&theirs) {
        lines.extend(compared(bench, load, ours, theirs));
    }
    Ok(lines)
}

/// Our line, with the ratio, and theirs, as far as it is there.
fn compared(
    bench: &Bench<'_>,
    (clients, events): (usize, usize),
    ours: &Series,
    theirs: &Series,
) -> Vec<Line> {
    let line = |variant, series| {
        let line = Line::rate("cluster.append", series, &bench.conditions.with_server());
        line.variant(variant).load(clients, events).nodes(NODES).durable()
    };
    if theirs.0.is_empty() {
        return vec![line("chronos, SDK", ours)];
    }
    // Run by run, because they were measured in turns.
    let ratios = Spread::of(ours.0.iter().zip(&theirs.0).map(|(ours, theirs)| ours.rate() / theirs.rate()));
    let ours = line("chronos, SDK", ours)
        .figure("times_etcd", ratios.median)
        .figure("times_etcd_min", ratios.min)
        .figure("times_etcd_max", ratios.max);
    vec![ours, line("etcd, at its leader", theirs)]
}

/// All loads against one new cluster of ours.
fn all_loads(bench: &Bench<'_>, stock: &Arc<Stock>, seed: u64, into: &mut [Series]) -> Result<(), Failure> {
    let cluster = Cluster::start(bench, NODES)?;
    let addresses = cluster.addresses();
    caller::runtime(2)?.block_on(async {
        cluster.settled().await?;
        let mut acknowledged = 0;
        for (number, ((clients, events), series)) in LOADS.into_iter().zip(into).enumerate() {
            let sdk = Client::connect_with(&addresses, caller::patient())?;
            let load = Load { clients, events, seed: seed | (number as u64) << 20 };
            let (warm_up, run) = load.run(bench, &Member::Chronos(Caller::Sdk(sdk)), stock).await?;
            acknowledged += warm_up.events + run.events;
            series.0.push(run);
        }
        all_have(&cluster, acknowledged).await
    })
}

/// Fails unless every node comes to hold exactly what was acknowledged.
async fn all_have(cluster: &Cluster, acknowledged: u64) -> Result<(), Failure> {
    let start = Instant::now();
    for address in cluster.clients() {
        while let Err(failure) = caller::check_stored(address, acknowledged).await {
            if start.elapsed() > CATCH_UP_MAX {
                return Err(format!("{address}: {failure}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// All loads against one new cluster of theirs.
fn etcd_loads(bench: &Bench<'_>, stock: &Arc<Stock>, seed: u64, into: &mut [Series]) -> Result<(), Failure> {
    let etcd = Etcd::start(bench, NODES)?;
    caller::runtime(2)?.block_on(async {
        let mut leader = etcd.leader().await?;
        let mut acknowledged = 0;
        for (number, ((clients, events), series)) in LOADS.into_iter().zip(into).enumerate() {
            let member = Member::Etcd(leader.another().await?);
            let load = Load { clients, events, seed: seed | (number as u64) << 20 };
            let (warm_up, run) = load.run(bench, &member, stock).await?;
            acknowledged += warm_up.events + run.events;
            series.0.push(run);
        }
        let stored = leader.count().await?;
        if stored == acknowledged {
            return Ok(());
        }
        Err(format!("etcd acknowledged {acknowledged} events and holds {stored}").into())
    })
}

#[derive(Clone, Copy)]
struct Load {
    clients: usize,
    events: usize,
    seed: u64,
}

impl Load {
    /// A short run that is thrown away, and one that counts.
    async fn run(
        self,
        bench: &Bench<'_>,
        member: &Member,
        stock: &Arc<Stock>,
    ) -> Result<(Run, Run), Failure> {
        let warm_up = Load { seed: self.seed | 1 << 16, ..self }.all(bench.time() / 4, member, stock).await?;
        Ok((warm_up, self.all(bench.time(), member, stock).await?))
    }

    /// All clients at once, each until the time is over.
    async fn all(self, time: Duration, member: &Member, stock: &Arc<Stock>) -> Result<Run, Failure> {
        let start = Instant::now();
        let spawn = |client: usize| {
            let member = member.clone();
            tokio::spawn(until(
                member,
                Orders::new(stock, self.seed + client as u64),
                self.events,
                start + time,
            ))
        };
        let clients: Vec<_> = (0..self.clients).map(spawn).collect();
        let mut all = Run::new();
        for client in clients {
            all.merge(&client.await??);
        }
        all.elapsed = start.elapsed();
        Ok(all)
    }
}

/// Who is asked.
#[derive(Clone)]
enum Member {
    Chronos(Caller),
    Etcd(Kv),
}

/// One client: the next request when the last one is acknowledged. At least one.
async fn until(mut member: Member, mut orders: Orders, events: usize, end: Instant) -> Result<Run, Failure> {
    let mut run = Run::new();
    loop {
        match &mut member {
            Member::Chronos(caller) => caller.append(&mut orders, events, &mut run).await?,
            Member::Etcd(kv) => {
                let drafts = orders.next_batch(events);
                let start = Instant::now();
                kv.put(&drafts).await?;
                note(&mut run.latencies, start.elapsed());
                run.events += events as u64;
            }
        }
        if Instant::now() >= end {
            return Ok(run);
        }
    }
}
