//! The load that never stops, measured phase by phase.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::bench::report::Latencies;
use crate::bench::workload::{Population, pack};
use crate::connect::{ClientSink, Connection};
use crate::demo::dice::Dice;
use crate::failure::{Failure, Outcome};
use crate::ingest::settle::Sink as _;

/// Entities of the load, over all partitions.
const ENTITIES: usize = 1024;
/// Bytes of an event's payload.
pub(super) const PAYLOAD: usize = 256;

/// What goes on beside the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Nothing that is measured.
    Between,
    /// All nodes are there.
    AllThere,
    /// One is away.
    OneAway,
    /// It catches up.
    CatchingUp,
    /// It has.
    Afterwards,
}

/// What the callers of one phase saw.
pub(super) struct Seen {
    pub(super) latencies: Latencies,
    pub(super) seconds: f64,
}

struct State {
    phase: Phase,
    since: Instant,
    seen: BTreeMap<Phase, Seen>,
    failure: Option<Failure>,
}

/// The load. It ends when it is dropped.
pub(super) struct Load {
    state: Arc<Mutex<State>>,
    _callers: JoinSet<()>,
}

impl Load {
    /// Begins, with so many appends of one event a second over all callers; with 0, each caller appends again as soon as it
    /// is answered.
    pub(super) fn start(connection: &Connection, callers: u32, rate: u64, seed: u64) -> Self {
        let since = Instant::now();
        let state = State { phase: Phase::Between, since, seen: BTreeMap::new(), failure: None };
        let state = Arc::new(Mutex::new(state));
        let population = Population::new(seed, ENTITIES, PAYLOAD);
        let every = (rate > 0).then(|| Duration::from_secs_f64(f64::from(callers) / rate as f64));
        let mut tasks = JoinSet::new();
        for caller in 0..callers {
            let caller = Caller {
                sink: connection.sink(),
                population: population.clone(),
                dice: Dice::new(seed ^ (u64::from(caller + 1) << 32)),
                every,
                first: since + every.unwrap_or_default() * caller / callers,
                state: Arc::clone(&state),
            };
            tasks.spawn(caller.run());
        }
        Self { state, _callers: tasks }
    }

    /// From now on something else goes on.
    ///
    /// # Errors
    /// When an append of the load has failed: a load with failures in it measures nothing.
    pub(super) fn enter(&self, phase: Phase) -> Outcome {
        let mut state = lock(&self.state);
        let (before, since) = (state.phase, state.since);
        state.seen_of(before).seconds += since.elapsed().as_secs_f64();
        (state.phase, state.since) = (phase, Instant::now());
        state.failure.clone().map_or(Ok(()), |failure| {
            Err(Failure::failed(format!("an append of the load failed while {before:?}: {failure}")))
        })
    }

    /// Measures a phase for a while.
    pub(super) async fn measure(&self, phase: Phase, lasting: Duration) -> Outcome {
        self.enter(phase)?;
        tokio::time::sleep(lasting).await;
        self.enter(Phase::Between)
    }

    /// Appends a second in a phase, and its latencies.
    pub(super) fn of<T>(&self, phase: Phase, figure: impl FnOnce(f64, &Latencies) -> T) -> Option<T> {
        let state = lock(&self.state);
        let seen = state.seen.get(&phase).filter(|seen| seen.seconds > 0.0)?;
        Some(figure(seen.latencies.count() as f64 / seen.seconds, &seen.latencies))
    }
}

impl State {
    fn seen_of(&mut self, phase: Phase) -> &mut Seen {
        self.seen.entry(phase).or_insert_with(|| Seen { latencies: Latencies::new(), seconds: 0.0 })
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Caller {
    sink: ClientSink,
    population: Population,
    dice: Dice,
    every: Option<Duration>,
    first: Instant,
    state: Arc<Mutex<State>>,
}

impl Caller {
    async fn run(mut self) {
        let mut due = self.first;
        loop {
            if let Some(every) = self.every {
                sleep_until(due.into()).await;
                // Whoever is late begins at once, but does not make up for what was missed.
                due = (due + every).max(Instant::now());
            }
            let (phase, sent) = (lock(&self.state).phase, Instant::now());
            let drafts = self.population.batch(&mut self.dice, now_ms(), 1);
            let answered = match pack(drafts) {
                Ok(block) => self.sink.append(&block).await.map(drop),
                Err(rejection) => Err(Failure::from(&rejection)),
            };
            let mut state = lock(&self.state);
            match answered {
                Ok(()) => state.seen_of(phase).latencies.record(sent.elapsed()),
                Err(failure) => {
                    state.failure.get_or_insert(failure);
                    return;
                }
            }
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
