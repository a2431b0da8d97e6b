//! What one question, and all of them together, may cost.

/// Bounds of an engine and of one question. A question may ask for less, or for more rows where its server lets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory for everything that sorts, groups and joins hold, in bytes, shared by all questions of one engine. What
    /// is on its way from file to operator is not counted: it is a few batches per table of a question.
    pub memory_bytes: usize,
    /// Rows of one answer.
    pub rows: u64,
    /// Questions answered at once; one more waits for its turn within its own time.
    pub questions: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_bytes: 256 << 20, rows: 100_000, questions: 4 }
    }
}

/// Rows handed from one operator to the next at once. Small, because a payload may have a mebibyte.
pub(crate) const BATCH_ROWS: usize = 1024;
/// Streams a table is read by at once, and threads that compute: appends keep the rest of the machine.
pub(crate) const STREAMS: usize = 2;
/// Batches that wait between two threads.
pub(crate) const BATCHES_WAITING: usize = 2;
/// Characters of one question.
pub(crate) const SQL_BYTES_MAX: usize = 256 << 10;
/// How deep expressions and queries may nest.
pub(crate) const DEPTH_MAX: usize = 50;
/// How often one question may read the events: each time has streams, and batches on their way, of its own.
pub(crate) const TABLES_MAX: usize = 32;
/// Bytes of all constants of a plan. The longest text fits, and what is worked out from it may be as long again.
pub(crate) const LITERAL_BYTES_MAX: usize = 2 << 20;
/// Stack of each thread that plans and computes. A plan is as deep as its text is long; what is not used of it is
/// only addresses.
pub(crate) const STACK_BYTES: usize = 256 << 20;
