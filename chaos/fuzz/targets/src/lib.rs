//! Whatever bytes come, nothing breaks: a target for each decoder of the product, and one for what a store does as a whole.
//!
//! ```text
//!  seeds (made by the product itself, and inputs that once broke something)
//!    │
//!    ├─ a test: the seeds and some thousand mutations, always the same ones ─┐
//!    └─ libFuzzer: mutations led by what they reach of the product's code ───┴─ Target::execute
//! ```
//!
//! * **One function per target**, for both ways: what the campaign found, the test replays.
//! * **No target asks for "no panic" alone.** What is accepted is written anew and is the same, or the target says why not;
//!   what was harmed is refused or serves what was written; what an answer says is what was stored.
//! * **Memory is bounded.** Every execution runs under a limit on what it may allocate ([`memory`]), so that a length that is
//!   claimed and not there ends the process at once.
//! * **The same input does the same**, but for what a target names as its own exception.
//!
//! `cargo fuzz-all --help` says how to run a campaign.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![expect(
    clippy::disallowed_methods,
    reason = "who attacks the product is not part of it: simulations run on threads of their own, and real ones ask real \
              clocks"
)]

pub mod campaign;
pub mod executing;
mod harm;
mod input;
pub mod memory;
pub mod mutations;
pub mod seeds;
mod target;

pub use target::{ALL, Target, named, operations};
