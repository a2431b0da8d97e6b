//! Immutable, verified Parquet parts of a partition, their indexes, and the manifest that names them.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
