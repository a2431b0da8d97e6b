//! Virtual time: what the clocks of a simulated world read.
//!
//! Invariant: it only moves forward, across all the lives of the world. Inside a run it is tokio's paused clock;
//! between runs it stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z, the wall time at which every simulated world begins.
const EPOCH_MICROS: i64 = 1_767_225_600_000_000;

/// The time of one world, as one wall clock in it shows it. Clones share both.
#[derive(Clone)]
pub(crate) struct VirtualTime {
    world: Arc<Mutex<State>>,
    /// By how much this wall clock differs from the world's, in microseconds.
    wrong_by: Arc<AtomicI64>,
}

struct State {
    /// Time spent in finished runs.
    spent: Duration,
    /// When the present run began, on tokio's clock.
    run_began: Option<Instant>,
    wall_offset_micros: i64,
}

impl VirtualTime {
    pub(crate) fn new() -> VirtualTime {
        let state = State { spent: Duration::ZERO, run_began: None, wall_offset_micros: 0 };
        VirtualTime { world: Arc::new(Mutex::new(state)), wrong_by: Arc::default() }
    }

    /// The same time, with a wall clock of its own.
    pub(crate) fn on_another_wall(&self) -> VirtualTime {
        VirtualTime { world: Arc::clone(&self.world), wrong_by: Arc::default() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.world.lock().elapsed()
    }

    pub(crate) fn wall_micros(&self) -> i64 {
        let state = self.world.lock();
        let elapsed =
            i64::try_from(state.elapsed().as_micros()).expect("a simulation spans less than 292,000 years");
        let shown = EPOCH_MICROS.saturating_add(elapsed).saturating_add(state.wall_offset_micros);
        shown.saturating_add(self.wrong_by.load(Ordering::Relaxed))
    }

    pub(crate) fn set_wall_offset(&self, micros: i64) {
        self.world.lock().wall_offset_micros = micros;
    }

    /// Makes this wall clock alone differ from the world's.
    pub(crate) fn set_wrong_by(&self, micros: i64) {
        self.wrong_by.store(micros, Ordering::Relaxed);
    }

    /// A run begins; must be called inside its runtime. Time is counted until the guard goes, which must be inside
    /// the runtime too.
    #[expect(clippy::disallowed_methods, reason = "inside the runtime of a world this is virtual time")]
    pub(crate) fn begin_run(&self) -> Running {
        let mut state = self.world.lock();
        assert!(
            state.run_began.is_none(),
            "a world lives one life at a time: the previous run has not ended"
        );
        state.run_began = Some(Instant::now());
        Running(self.clone())
    }
}

impl State {
    fn elapsed(&self) -> Duration {
        // On a thread outside the runtime `Instant::elapsed` would read the real clock.
        self.spent + self.run_began.map_or(Duration::ZERO, |began| began.elapsed())
    }
}

/// A run in progress.
pub(crate) struct Running(VirtualTime);

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.world.lock();
        state.spent = state.elapsed();
        state.run_began = None;
    }
}
