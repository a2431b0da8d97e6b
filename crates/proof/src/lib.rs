//! Digests of a history, and proofs that an event belongs to it.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
