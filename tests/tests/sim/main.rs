//! A whole node inside the deterministic simulation: the product's own code from the use cases down to the disk
//! calls; swapped are clock, randomness, disk and tasks. Power is cut, bits rot, syncs fail, the disk fills up; after
//! every restart a ledger of what was promised is held against what is there.
//!
//! Several nodes on hosts of their own, with a network between them, are in `forwarding`, `flips` and `clocks`.
//!
//! Not in here: sockets, gRPC and HTTP (tested over real connections in the server's own tests).

mod clocks;
mod compact;
mod crash;
mod determinism;
mod faults;
mod flips;
mod forwarding;
mod halting;
mod ledger;
mod life;
mod past;
mod requests;
