//! The room against openraft's own suite, and several nodes of it in one simulated world.

mod conformance;
mod nodes;
mod quorums;
mod reads;
mod scenarios;
