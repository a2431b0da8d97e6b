//! SQL over events.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
