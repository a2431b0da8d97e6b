//! The Parquet half of a part, read through checked bytes.
//!
//! ```text
//!   disk ──blocks──► CheckedFile ──checked ranges──► Source ──pages──► Parquet reader ──► arrays
//! ```
//!
//! Point reads decode one page of one column at a time and keep it in the node's cache. Scans decode what they select
//! and keep nothing.

mod batches;
mod events;
mod parquet;
mod scan;
mod source;

pub(crate) use batches::Batches;
pub(crate) use events::{Contents, Packing};
pub(crate) use parquet::ParquetFile;
pub(crate) use scan::projection;
pub use scan::{Scan, ScanCounters, Scanned};
