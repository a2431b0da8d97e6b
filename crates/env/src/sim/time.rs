//! Virtual time: what the clocks of a simulated world read.
//!
//! Invariant: it only moves forward, across all the lives of the world. Inside a run it is tokio's paused clock;
//! between runs it stands still.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// 2026-01-01T00:00:00Z, the wall time at which every simulated world begins.
const EPOCH_MICROS: i64 = 1_767_225_600_000_000;

/// The time of one world. Clones share it.
#[derive(Clone)]
pub(crate) struct VirtualTime(Arc<Mutex<State>>);

struct State {
    /// Time spent in finished runs.
    spent: Duration,
    /// When the present run began, on tokio's clock.
    run_began: Option<Instant>,
    wall_offset_micros: i64,
}

impl VirtualTime {
    pub(crate) fn new() -> VirtualTime {
        VirtualTime(Arc::new(Mutex::new(State {
            spent: Duration::ZERO,
            run_began: None,
            wall_offset_micros: 0,
        })))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.lock().elapsed()
    }

    pub(crate) fn wall_micros(&self) -> i64 {
        let state = self.0.lock();
        let elapsed =
            i64::try_from(state.elapsed().as_micros()).expect("a simulation spans less than 292,000 years");
        EPOCH_MICROS.saturating_add(elapsed).saturating_add(state.wall_offset_micros)
    }

    pub(crate) fn set_wall_offset(&self, micros: i64) {
        self.0.lock().wall_offset_micros = micros;
    }

    /// A run begins; must be called inside its runtime. Time is counted until the guard goes, which must be inside
    /// the runtime too.
    #[expect(clippy::disallowed_methods, reason = "inside the runtime of a world this is virtual time")]
    pub(crate) fn begin_run(&self) -> Running {
        let mut state = self.0.lock();
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
        let mut state = self.0.0.lock();
        state.spent = state.elapsed();
        state.run_began = None;
    }
}
