//! Bringing many events in: from lines, a git history or a generator, through batches that are the same every
//! time, to acknowledgements.
//!
//! ```text
//! file ─ chunks ─┬─ parse ─┐
//!                ├─ parse ─┼─ number, cut ─┬─ lane of partition 0  ─ one batch at a time ─┐
//!                └─ parse ─┘   (in order)  ├─ …                                           ├─ server
//!                                          └─ lane of partition 31 ─ one batch at a time ─┘
//! ```
//!
//! * **Order.** A partition's events arrive in the order of the source: its lane sends a batch only when the one
//!   before was acknowledged. Partitions overtake each other.
//! * **Idempotency.** Every event has an id that follows from the source alone, so a second run finds them all.
//! * **Resumption.** Batches are cut by the source alone, never by timing, so a second run repeats the requests of
//!   the first and each is wholly new or wholly a duplicate. Where that fails (the source grew, another tool wrote
//!   part of it), the conflicting batch is halved until what is stored and what is new lie apart. A single event that
//!   still conflicts is there already if an export of the stored one would bring the same.

pub(crate) mod chunks;
pub(crate) mod cloudevents;
pub(crate) mod cut;
pub(crate) mod derived;
pub(crate) mod intake;
pub(crate) mod lines;
pub(crate) mod ndjson;
pub(crate) mod parsed;
pub(crate) mod progress;
pub(crate) mod pump;
pub(crate) mod reading;
pub(crate) mod same;
pub(crate) mod settle;
pub(crate) mod tally;

use chronos_block::Draft;

/// One event on its way in, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) draft: Draft,
    /// Line of the file, or ordinal in any other source, from 1.
    pub(crate) line: u64,
}
