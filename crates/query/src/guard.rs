//! What stands between a question and the process: no question can take the server down, and none can outlive its
//! time by more than a moment.
//!
//! The operators count what they hold and give up when they are dropped, but not everywhere. What they leave open is
//! closed here, each by one rule:
//!
//! ```text
//!   text      length      at most so many tokens and operators, read and planned on threads with a large stack
//!   uses      WITH        at most so many tables once every name is replaced by its query
//!   asked     plan        at most so many steps and parts of expressions, no widths that a number decides
//!   windows   plan        a value is not repeated over the rows of a window
//!   growth    functions   what makes long values from short ones reserves them before it makes them
//!   placed    operators   streams around joins, below windows and below unnest: rest, stop, count, reserve
//! ```
//!
//! Invariants:
//!
//! * whatever grows with the answer's own size is reserved in the engine's memory before it is made, or is at most
//!   a few dozen mebibytes per stream;
//! * whatever runs without reading looks at [`Watch`] at least once per [`PAIRS_AT_ONCE`] pairs of rows, so that a
//!   question that was given up leaves its thread within about a second.
//!
//! Not interruptible, and therefore bounded by its input only: planning (bounded by the text), one call of a function
//! over one batch, such as a regular expression over large payloads, and what a window function computes over one
//! whole partition of its window once that has been read (bounded by memory).

pub(crate) mod asked;
pub(crate) mod growth;
pub(crate) mod placed;
pub(crate) mod text;
pub(crate) mod uses;

mod bytes;
mod grown;
mod held;
mod joined;
mod pairs;
mod stream;
mod unnest;
mod widths;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Pairs of rows compared, or rows made, before a thread looks whether it is still wanted.
pub(crate) const PAIRS_AT_ONCE: u64 = 4 << 20;
/// Pairs of rows that a join without an equality may compare.
///
/// Fewer in tests, which compare a hundred times slower.
pub(crate) const PAIRS_MAX: u64 = if cfg!(test) { 10_000_000 } else { 500_000_000 };
/// Bytes that one row may become in one step, and that a step may make at once without reserving them.
pub(crate) const ROW_BYTES_MAX: usize = 64 << 20;

/// Whether anyone still waits for an answer. Clones look at the same question.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<AtomicBool>);

impl Watch {
    /// Nobody waits any more: its time is up, or its asker has gone.
    pub(crate) fn give_up(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
