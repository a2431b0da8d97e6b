//! A progress bar on standard error, when that is a terminal, and nothing otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use crate::table::grouped;

/// What fills the bar.
pub(crate) enum Measure {
    /// Events, of so many.
    Events(u64),
    /// Bytes taken from a file of that length; the counter is moved by whoever reads.
    Bytes { taken: Arc<AtomicU64>, length: Option<u64> },
}

/// Counts events as they are acknowledged and shows how fast that goes.
pub(crate) struct Progress {
    bar: ProgressBar,
    measure: Measure,
    events: AtomicU64,
    start: Instant,
}

impl Progress {
    pub(crate) fn new(measure: Measure) -> Self {
        let bar = match &measure {
            Measure::Events(total) => ProgressBar::new(*total),
            Measure::Bytes { length: Some(length), .. } => ProgressBar::new(*length),
            Measure::Bytes { length: None, .. } => ProgressBar::new_spinner(),
        };
        let template = match &measure {
            Measure::Bytes { length: None, .. } => "  {spinner} {msg}",
            _ => "  {bar:32} {percent:>3}%  {msg}",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the templates above are well-formed"));
        Self { bar, measure, events: AtomicU64::new(0), start: Instant::now() }
    }

    /// So many more events are safe.
    pub(crate) fn add(&self, events: u64) {
        let events = self.events.fetch_add(events, Ordering::Relaxed) + events;
        if self.bar.is_hidden() {
            return;
        }
        let position = match &self.measure {
            Measure::Events(_) => events,
            Measure::Bytes { taken, .. } => taken.load(Ordering::Relaxed),
        };
        self.bar.set_position(position);
        let rate = per_second(events, self.seconds());
        self.bar.set_message(format!("{} events  {} events/s", grouped(events), grouped(rate)));
    }

    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Prints a line without tearing the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Takes the bar out of the way of somebody else's output.
    pub(crate) fn pause(&self, output: impl FnOnce()) {
        self.bar.suspend(output);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Whole events per second; 0 when no time passed.
pub(crate) fn per_second(events: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (events as f64 / seconds) as u64 } else { 0 }
}
