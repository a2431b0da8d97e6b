//! Whole clusters in a simulated world: nodes join, data and leaders spread, nodes leave and die, and nothing that was
//! acknowledged is lost.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod life;
mod restarts;
mod town;
