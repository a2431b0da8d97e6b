//! SQL over the events of a tenant: what lies in parts and what does not yet, of all partitions, as one table.
//!
//! A question sees one moment: each partition is bounded at a position before anything is planned, and a table that a
//! question names twice is the same table both times. Nothing that can be written here changes anything, reads a
//! file, or sees another tenant's events.
//!
//! ```text
//!   SQL ─► statement: is it a question? ─► session: one table, three views, functions ─► plan
//!                                                                                        │ conditions
//!            parts (pruned by the manifest, then by their indexes) ─┐                    ▼
//!            what is not in parts yet ──────────────────────────────┼─► source ─► scan, two streams
//!            pages of partitions that only other nodes hold ────────┘
//! ```
//!
//! Invariants:
//!
//! * what is read of one partition is read of one life of its replica: where that is discarded meanwhile there is an
//!   error and no answer;
//! * what is read is a superset of what is needed, and every condition is checked again on what was read, so that
//!   pruning can make an answer slow and never wrong;
//! * an answer ends with [`Ok(None)`](Answer::next) only when it is whole;
//! * memory, rows, time and turns are bounded ([`Limits`], and the expiry of each question);
//! * no question takes the process down, or keeps a thread for more than a moment after it was given up: `guard`
//!   says how, and what cannot be interrupted.
//!
//! Not offered, because a number, a type or a product of texts would decide what they cost: `repeat`, `lpad`, `rpad`,
//! `space`, `range`, `generate_series`, `array_repeat`, `array_resize`, `array_transform`, `levenshtein`, lists and
//! bytes of a fixed width, and window functions that give text, bytes or lists (but `lag` and `lead`). A text has at
//! most 8,192 words and signs, 1,024 of them operators; a join without an equality compares at most 500 million
//! pairs; the events are read at most 32 times over.
//!
//! This is the only room that may use DataFusion, which starts tasks and reads a clock of its own: questions are no
//! part of the deterministic simulation.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod answer;
mod columns;
mod elsewhere;
mod engine;
mod error;
mod explain;
mod guard;
mod json;
mod limits;
mod scan;
mod session;
mod source;
mod statement;
mod stats;
mod stored;
mod table;
mod views;
mod wanted;

pub use answer::Answer;
pub use elsewhere::Elsewhere;
pub use engine::{Engine, Question};
pub use error::Error;
pub use limits::Limits;
pub use stats::Stats;
pub use stored::Held;

#[cfg(test)]
mod tests;
