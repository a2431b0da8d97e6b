//! Damaged replicas heal themselves from the others, and nothing that was acknowledged is lost meanwhile: three machines
//! with disks that rot, over the real transport, in a simulated world.

#![allow(clippy::unwrap_used, reason = "a test says what must not fail by unwrapping it")]

mod asking;
mod diverged;
mod full;
mod harm;
#[path = "../support/machine.rs"]
mod machine;
mod majority;
mod minority;
mod node;
mod set_back;
mod slow;
mod unread;
mod votes;
