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
    let mut turns = Turns::new(layers.len());
    // The first run warms up and is forgotten.
    for run in 0..=bench.runs() {
        turns.take(&mut floor, &mut layers, bench.time() / SLICES, run == 0)?;
    }
    for layer in &mut layers {
        layer.check()?;
    }
    Ok(layers
        .iter()
        .zip(&turns.layers)
        .map(|(layer, measured)| turns.line(bench, layer.as_ref(), measured))
        .collect())
}

/// One thing over all runs.
#[derive(Default)]
struct Measured {
    series: Series,
    sleeps: u64,
}

impl Measured {
    fn sleeps_per_append(&self) -> f64 {
        self.sleeps as f64 / self.series.events() as f64
    }
}

/// The floor and the layers, measured in turns.
struct Turns {
    floor: Measured,
    layers: Vec<Measured>,
}

impl Turns {
    fn new(layers: usize) -> Turns {
        Turns { floor: Measured::default(), layers: (0..layers).map(|_| Measured::default()).collect() }
    }

    /// One run: slice after slice, the floor and every layer in each.
    fn take(
        &mut self,
        floor: &mut Floor,
        layers: &mut [Box<dyn Layer>],
        slice: Duration,
        forget: bool,
    ) -> Result<(), Failure> {
        let mut floor_run = (Run::new(), 0);
        let mut runs: Vec<(Run, u64)> = layers.iter().map(|_| (Run::new(), 0)).collect();
        for _ in 0..SLICES {
            let before = own_sleeps();
            floor.write_and_sync(&mut floor_run.0, Instant::now() + slice)?;
            floor_run.1 += own_sleeps() - before;
            for (layer, (run, sleeps)) in layers.iter_mut().zip(&mut runs) {
                let before = layer.sleeps();
                layer.append(run, slice)?;
                *sleeps += layer.sleeps() - before;
            }
        }
        if !forget {
            let all = std::iter::once(&mut self.floor).chain(&mut self.layers);
            for (measured, (run, sleeps)) in all.zip(std::iter::once(floor_run).chain(runs)) {
                measured.series.0.push(run);
                measured.sleeps += sleeps;
            }
        }
        Ok(())
    }

    fn line(&self, bench: &Bench<'_>, layer: &dyn Layer, measured: &Measured) -> Line {
        let pairs = measured.series.0.iter().zip(&self.floor.series.0);
        let ratios = Spread::of(pairs.map(|(run, floor)| run.p50_micros() / floor.p50_micros()));
        let conditions =
            if layer.is_remote() { bench.conditions.with_server() } else { bench.conditions.clone() };
        Line::new("append_over_floor", ratios, "x floor", &measured.series, &conditions)
            .variant(layer.name())
            .durable()
            .figure("floor_p50_us", self.floor.series.spread(Run::p50_micros).median)
            .figure("floor_sleeps", self.floor.sleeps_per_append())
            .figure("sleeps_per_append", measured.sleeps_per_append())
    }
}

fn own_sleeps() -> u64 {
    Usage::of(std::process::id()).sleeps
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
        own_sleeps()
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
        let runtime = server::runtime(bench.workers())?;
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
        for (_, marks) in self.runtime.block_on(self.app.watermarks(&Principal::default()))? {
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
        own_sleeps() + self.server.usage().sleeps
    }

    fn check(&mut self) -> Result<(), Failure> {
        self.runtime.block_on(caller::check_stored(self.address, self.appended))
    }
}
