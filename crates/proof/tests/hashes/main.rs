//! Hashes, trees and proofs, as anybody outside this crate sees them.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod events;
mod golden;
mod leaf;
mod proof_file;
mod tree;
