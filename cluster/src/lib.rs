//! The replicated part of Chronos: how a command becomes a committed log entry and then numbers.
//!
//! Every partition is a *group*: one log, one state, one Raft. An entry is committed when a quorum of the group's voters
//! has it on disk; where this node is the only voter, when its own fdatasync covers it. A single node is a cluster of
//! one, on the same path: it elects itself when it starts and asks nobody.
//!
//! | question | module |
//! |---|---|
//! | what may a caller ask, and what is it told? | [`Groups`], [`Request`], [`ProposeError`] |
//! | how do commands become entries? | `proposer`, then `flight` |
//! | how does a group begin, end, and begin again? | `consensus` |
//! | what does openraft do, and with which bytes? | `raft` |
//! | how does the log become parts? | `compactor` |
//! | how do parts get to other nodes? | [`Parcels`], [`fetch_part`] |
//!
//! Invariants:
//!
//! * entries of one group are applied in log order, each exactly once, and only when they are committed;
//! * a proposal is answered exactly once, with one of three outcomes: what apply said, *certainly not done*, or
//!   *unknown*;
//! * after the first failed sync nothing is acknowledged any more.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod addresses;
mod backlog;
mod clocks;
mod cluster;
mod compacting;
mod compaction;
mod compactor;
mod consensus;
mod exchange;
mod flight;
mod freshness;
mod group;
mod groups;
mod members;
mod node;
mod order;
mod parcel;
mod past;
pub mod peer;
mod placement;
mod proposal;
mod proposer;
mod quarantine;
mod raft;
mod rate;
mod repair;
mod request;
mod retained;
mod rounds;
mod scrubber;
mod slow;
mod status;
mod system;
mod view;
mod wish;

pub use addresses::Addresses;
pub use chronos_store::entry::Outcome;
pub use chronos_store::{Leftovers, Neighbour};
pub use cluster::{Cluster, Standing};
pub use compaction::{CompactionConfig, CompactionStats};
pub use exchange::Exchange;
pub use freshness::ReadError;
pub use groups::{Among, Config, Groups, ResetError};
pub use members::MembersError;
pub use node::NodeId;
pub use order::{Order, OrderError, Plan, Planned};
pub use parcel::{FetchError, Parcels, fetch_part};
pub use proposal::ProposeError;
pub use raft::{BEAT, Spoken, TransferStats, rewritten};
pub use repair::{RepairError, RepairStats, Repaired, Stage, Ward};
pub use request::Request;
pub use scrubber::{ScrubConfig, ScrubPass, ScrubProgress, ScrubStats};
pub use status::DOWN_AFTER;
pub use view::{Health, Member, MemberState, NodeView, PartitionView, ReplicaView, Role, View};
pub use wish::CompactError;

/// Every crash point of this crate, in the order a node first passes them.
pub const CRASH_POINTS: &[&str] = &[compactor::PURGE_BEFORE, compactor::PURGE_DONE];
