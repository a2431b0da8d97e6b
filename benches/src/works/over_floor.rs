//! What a lone durable append costs above the bare write and sync, layer by layer.
//!
//! All layers and the floor take turns in short slices of the same run, so that a disk or a neighbour that changes its
//! mind changes all of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chronos_app::{App, Principal};
use chronos_env::Env;
use chronos_server::{Engine, Node};
use chronos_wal::{Entry, Log, LogId, Wal};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::Failure;
use crate::clock::{Run, Series, Spread};
use crate::floor::Floor;
use crate::orders::{Orders, Stock};
use crate::process::Usage;
use crate::report::Line;
use crate::server::{self, Server};
use crate::suite::Bench;
use crate::works::caller::{self, Caller, Door};

/// Slices of each layer in one run.
const SLICES: u32 = 16;

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let mut floor = Floor::new(bench.dir())?;
    let mut layers: Vec<Box<dyn Layer>> =
        vec![Box::new(LogAlone::open(bench)?), Box::new(InProcess::start(bench)?)];
    for door in Door::ALL {
        layers.push(Box::new(OverGrpc::start(bench, door)?));
    }
    let slice = bench.time() / SLICES;
    let mut floors = Series::default();
    let mut all: Vec<Series> = layers.iter().map(|_| Series::default()).collect();
    let mut sleeps: Vec<(u64, u64)> = vec![(0, 0); layers.len()];
    // The first one warms up and is forgotten.
    for round in 0..=bench.runs() {
        let mut floor_run = Run::new();
        let mut runs: Vec<Run> = layers.iter().map(|_| Run::new()).collect();
        for _ in 0..SLICES {
            floor.write_and_sync(&mut floor_run, Instant::now() + slice)?;
            for ((layer, run), sleeps) in layers.iter_mut().zip(&mut runs).zip(&mut sleeps) {
                let before = (run.events, layer.sleeps());
                layer.append(run, slice)?;
                *sleeps = (sleeps.0 + run.events - before.0, sleeps.1 + layer.sleeps() - before.1);
            }
        }
        if round > 0 {
            floors.0.push(floor_run);
            all.iter_mut().zip(runs).for_each(|(series, run)| series.0.push(run));
        }
    }
    for layer in &mut layers {
        layer.check()?;
    }
    let floor_p50 = floors.spread(Run::p50_micros);
    let lines = layers.iter().zip(&all).zip(sleeps);
    Ok(lines
        .map(|((layer, series), sleeps)| line(bench, layer.as_ref(), series, &floors, sleeps))
        .map(|line| line.figure("floor_p50_us", floor_p50.median))
        .collect())
}

fn line(bench: &Bench<'_>, layer: &dyn Layer, series: &Series, floors: &Series, sleeps: (u64, u64)) -> Line {
    let ratios = series.0.iter().zip(&floors.0).map(|(run, floor)| run.p50_micros() / floor.p50_micros());
    let conditions =
        if layer.is_remote() { bench.conditions.with_server() } else { bench.conditions.clone() };
    Line::new("append_over_floor", Spread::of(ratios), "x floor", series, &conditions)
        .variant(layer.name())
        .durable()
        .figure("sleeps_per_append", sleeps.1 as f64 / sleeps.0.max(1) as f64)
}

/// A part of the append path that can be asked to append by itself.
trait Layer {
    fn name(&self) -> &'static str;

    fn is_remote(&self) -> bool {
        false
    }

    /// Appends one event after the other for so long.
    fn append(&mut self, run: &mut Run, time: Duration) -> Result<(), Failure>;

    /// How often any thread of all processes that take part has gone to sleep so far.
    fn sleeps(&self) -> u64 {
        Usage::of(std::process::id()).sleeps
    }

    /// Fails unless everything that was acknowledged is there.
    fn check(&mut self) -> Result<(), Failure>;
}

/// The write-ahead log: a frame, a write, a sync, and back to the caller's thread.
struct LogAlone {
    runtime: Runtime,
    log: Log,
    orders: Orders,
    index: u64,
    _wal: Wal,
    _dir: TempDir,
}

impl LogAlone {
    fn open(bench: &Bench<'_>) -> Result<LogAlone, Failure> {
        let dir = bench.fresh_dir()?;
        let mut config = chronos_wal::Config::new(dir.path().join("wal"), 1);
        config.segment_bytes = bench.segment_bytes();
        let (wal, _) = Wal::open(&Env::real(), config)?;
        let log = wal.log(LogId::new(0));
        let orders = Orders::new(&Stock::new(), 1);
        Ok(LogAlone { runtime: caller::runtime(1)?, log, orders, index: 0, _wal: wal, _dir: dir })
    }
}

impl Layer for LogAlone {
    fn name(&self) -> &'static str {
        "log alone"
    }

    fn append(&mut self, run: &mut Run, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let payload = self.orders.next_block(1).bytes().clone();
            self.index += 1;
            let entry = Entry { index: self.index, term: 1, payload };
            let log = &self.log;
            run.time(1, || {
                self.runtime.block_on(async {
                    let (told, done) = oneshot::channel();
                    log.append(vec![entry], Box::new(move |result| drop(told.send(result))));
                    done.await
                })
            })??;
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Failure> {
        let flushed = self.log.state().flushed;
        if flushed == self.index {
            Ok(())
        } else {
            Err(format!("{} of {} entries", flushed, self.index).into())
        }
    }
}

/// A whole node in this process, without a wire: placement, proposal, entry, log, apply, answer.
struct InProcess {
    runtime: Runtime,
    app: App<Engine>,
    orders: Option<Orders>,
    appended: u64,
    _node: Node,
    _dir: TempDir,
}

impl InProcess {
    fn start(bench: &Bench<'_>) -> Result<InProcess, Failure> {
        let dir = bench.fresh_dir()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let config = server::config(dir.path().join("node"), bench.lanes(), bench.segment_bytes());
        let node = runtime.block_on(Node::start(Env::real(), &config))?;
        let app = node.app().clone();
        let orders = Some(Orders::new(&Stock::new(), 1));
        Ok(InProcess { runtime, app, orders, appended: 0, _node: node, _dir: dir })
    }
}

impl Layer for InProcess {
    fn name(&self) -> &'static str {
        "node in process"
    }

    fn append(&mut self, run: &mut Run, time: Duration) -> Result<(), Failure> {
        let (app, mut orders) = (self.app.clone(), self.orders.take().ok_or("an earlier slice failed")?);
        // On a worker thread of the runtime, as a connection would be.
        let slice = self.runtime.spawn(async move {
            let (mut run, principal) = (Run::new(), Principal::default());
            let end = Instant::now() + time;
            while Instant::now() < end {
                let block = orders.next_block(1);
                let start = Instant::now();
                app.append(&principal, block, Duration::MAX).await?;
                run.add(1, start.elapsed());
            }
            Ok::<_, Failure>((run, orders))
        });
        let (slice, orders) = self.runtime.block_on(slice)??;
        self.orders = Some(orders);
        self.appended += slice.events;
        run.merge(&slice);
        Ok(())
    }

    fn check(&mut self) -> Result<(), Failure> {
        let mut stored = 0;
        for (_, marks) in self.app.watermarks(&Principal::default())? {
            stored += marks?.applied.get();
        }
        if stored == self.appended {
            Ok(())
        } else {
            Err(format!("{stored} of {} events", self.appended).into())
        }
    }
}

/// A server process and a caller over loopback.
struct OverGrpc {
    door: Door,
    runtime: Runtime,
    caller: Caller,
    address: SocketAddr,
    orders: Orders,
    appended: u64,
    server: Server,
}

impl OverGrpc {
    fn start(bench: &Bench<'_>, door: Door) -> Result<OverGrpc, Failure> {
        let server = Server::start(bench)?;
        let (runtime, address) = (caller::runtime(1)?, server.address());
        let caller = runtime.block_on(door.open(address))?;
        let orders = Orders::new(&Stock::new(), 1);
        Ok(OverGrpc { door, runtime, caller, address, orders, appended: 0, server })
    }
}

impl Layer for OverGrpc {
    fn name(&self) -> &'static str {
        match self.door {
            Door::Unary => "over gRPC, unary call",
            Door::Sdk => "over gRPC, SDK",
        }
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn append(&mut self, run: &mut Run, time: Duration) -> Result<(), Failure> {
        let before = run.events;
        let end = Instant::now() + time;
        self.runtime.block_on(async {
            while Instant::now() < end {
                self.caller.append(&mut self.orders, 1, run).await?;
            }
            Ok::<_, Failure>(())
        })?;
        self.appended += run.events - before;
        Ok(())
    }

    fn sleeps(&self) -> u64 {
        Usage::of(std::process::id()).sleeps + self.server.usage().sleeps
    }

    fn check(&mut self) -> Result<(), Failure> {
        self.runtime.block_on(caller::check_stored(self.address, self.appended))
    }
}
