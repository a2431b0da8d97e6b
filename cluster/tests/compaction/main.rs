//! Groups that compact while they serve, inside the deterministic simulation: small cuts, so that a short life has many
//! parts, merges and erasures; power cuts at every named step, full and failing disks; and after every restart a ledger
//! of what was promised is held against what is there.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod crash;
mod faults;
mod ledger;
mod life;
mod node;
mod pressure;
mod real;
mod scrubbing;
