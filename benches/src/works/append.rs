//! Durable appends over gRPC: so many callers, each with one request at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::clock::{Run, Series};
use crate::orders::{Orders, Stock};
use crate::process::Usage;
use crate::report::Line;
use crate::server::Server;
use crate::suite::Bench;
use crate::works::caller::{self, Caller, Door};

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let stock = Stock::new();
    let mut loads = Vec::new();
    for door in Door::ALL {
        for &clients in bench.clients() {
            loads.extend(bench.events().iter().map(|&events| Load { door, clients, events }));
        }
    }
    let mut all: Vec<Vec<Measured>> = loads.iter().map(|_| Vec::new()).collect();
    for seed in 0..bench.runs() {
        for (load, measured) in loads.iter().zip(&mut all) {
            let once = load.run(bench, &stock, u64::from(seed) << 32);
            measured.push(once.map_err(|failure| format!("{load:?}: {failure}"))?);
        }
    }
    Ok(loads.iter().zip(all).map(|(load, measured)| load.line(bench, measured)).collect())
}

#[derive(Clone, Copy, Debug)]
struct Load {
    door: Door,
    clients: usize,
    events: usize,
}

/// One run, and what it cost each side.
struct Measured {
    run: Run,
    server: Usage,
    load: Usage,
}

impl Load {
    /// One run against a server of its own.
    fn run(self, bench: &Bench<'_>, stock: &Arc<Stock>, seed: u64) -> Result<Measured, Failure> {
        let server = Server::start(bench)?;
        let runtime = caller::runtime(self.clients)?;
        runtime.block_on(async {
            let callers = self.callers(server.address()).await?;
            let warm_up = self.all(bench.time() / 10, &callers, stock, seed | 1 << 16).await?;
            let before = (server.usage(), Usage::of(std::process::id()));
            let run = self.all(bench.time(), &callers, stock, seed).await?;
            let after = (server.usage(), Usage::of(std::process::id()));
            caller::check_stored(server.address(), warm_up.events + run.events).await?;
            Ok(Measured { run, server: after.0.since(before.0), load: after.1.since(before.1) })
        })
    }

    async fn callers(self, address: SocketAddr) -> Result<Vec<Caller>, Failure> {
        let mut callers = Vec::new();
        for _ in 0..caller::connections(self.clients) {
            callers.push(self.door.open(address).await?);
        }
        Ok(callers)
    }

    /// All clients at once, each until the time is over.
    async fn all(
        self,
        time: Duration,
        callers: &[Caller],
        stock: &Arc<Stock>,
        seed: u64,
    ) -> Result<Run, Failure> {
        let start = Instant::now();
        let end = start + time;
        let spawn = |client: usize| {
            let caller = callers[client % callers.len()].clone();
            tokio::spawn(until(caller, Orders::new(stock, seed + client as u64), self.events, end))
        };
        let clients: Vec<_> = (0..self.clients).map(spawn).collect();
        let mut all = Run::new();
        for client in clients {
            all.merge(&client.await??);
        }
        all.elapsed = start.elapsed();
        Ok(all)
    }

    fn line(self, bench: &Bench<'_>, measured: Vec<Measured>) -> Line {
        let requests: u64 = measured.iter().map(|once| once.run.latencies.len()).sum();
        let events: u64 = measured.iter().map(|once| once.run.events).sum();
        let total = |figure: fn(&Measured) -> u64| measured.iter().map(figure).sum::<u64>() as f64;
        let figures = [
            ("connections", caller::connections(self.clients) as f64),
            ("server_sleeps_per_request", total(|once| once.server.sleeps) / requests as f64),
            ("load_sleeps_per_request", total(|once| once.load.sleeps) / requests as f64),
            ("server_cpu_us_per_event", total(|once| once.server.cpu_nanos) / events as f64 / 1000.0),
            ("load_cpu_us_per_event", total(|once| once.load.cpu_nanos) / events as f64 / 1000.0),
        ];
        let series = Series(measured.into_iter().map(|once| once.run).collect());
        let line = Line::rate("append", &series, &bench.conditions.with_server())
            .variant(self.door.name())
            .load(self.clients, self.events)
            .durable();
        figures.into_iter().fold(line, |line, (name, value)| line.figure(name, value))
    }
}

/// One client: the next request when the last one is acknowledged. At least one.
async fn until(mut caller: Caller, mut orders: Orders, events: usize, end: Instant) -> Result<Run, Failure> {
    let mut run = Run::new();
    loop {
        caller.append(&mut orders, events, &mut run).await?;
        if Instant::now() >= end {
            return Ok(run);
        }
    }
}
