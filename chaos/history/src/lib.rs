//! What happened, as one file, and whether it kept the promises.
//!
//! A harness writes a history with [`Writer`] while clients, nodes and a nemesis are at work, and closes it with the
//! final logs of every replica. The format, `chronos-history/1`, is JSON lines in Jepsen's shape; FORMAT.md beside
//! this crate has all of it. Anybody can check such a file, on another machine, years later.
//!
//! Shares no code with the store it judges.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod answer;
mod append;
pub mod call;
mod check;
pub mod fact;
mod hash;
pub mod line;
mod micro;
mod names;
mod number;
mod read;
pub mod referee;
mod report;
mod rotate;
mod write;

pub use append::{Append, Condition, Event, Expect};
pub use check::{check, check_lines};
pub use hash::{Hash, RangeHash, Word};
pub use line::Line;
pub use micro::Micro;
pub use names::Names;
pub use number::{
    Decision, EntityId, EventId, Fork, Incarnation, Label, Node, Op, Partition, Position, Session, Tenant,
    Term, Version,
};
pub use read::{ReadError, histories, read, read_from};
pub use report::{Invariant, Report, Verdict, Violation};
pub use rotate::{LINES_PER_FILE, Rotating};
pub use write::{Client, Response, Ticket, Writer};
