//! Followers that are too far behind for entries take over parts: over the real transport, in a simulated world.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod catching_up;
mod crashes;
#[path = "../support/machine.rs"]
mod machine;
mod node;
mod resetting;
