//! A partition as a Raft group: openraft over the write-ahead log and the store.
//!
//! ```text
//!  proposals ─► proposer ─► openraft ─► LogStore ─► chronos_wal (one sync for many groups) ─► completion
//!                │  ▲           │ ▲                                                             │
//!                │  └─ answers ─┤ └────────────────────────────◄────────────────────────────────┘
//!                │              └─► Machine ─► chronos_store::Partition (apply)
//!                └─ refuses at once while the log is full
//!                               openraft ─► Wire ─► Link ═══ other nodes ═══ Post ─► openraft
//! ```
//!
//! openraft is named nowhere outside of this room. What it leaves to its user, and where that is:
//!
//! | | |
//! |---|---|
//! | the order of votes, entries, truncations and purges on disk; completions after the sync | [`log_store`] |
//! | what was appended is readable at once, and bounded in memory | [`tail`] |
//! | apply, and what a snapshot is | [`machine`] |
//! | randomness and time | [`runtime`] |
//! | bytes | [`codec`], with all layouts |
//! | messages, deadlines, what a dead peer looks like | [`network`] |
//! | entries that leave before earlier ones are answered | [`pipeline`] |
//! | whether this node leads, for readers | [`read_index`] |
//! | a leader whose process has certainly ended | [`bereft`] |
//! | a leader that may be gone, for whoever is told who leads | [`ear`] |
//! | what others have promised to this node, and answer for | [`promises`] |
//! | a replica that starts, or follows, and no longer has what it promised | [`asking`], [`lost`] |
//! | a replica that has applied what its leader does not have | [`diverged`] |
//! | a follower behind the log: what it is offered, and how it takes it over | [`offers`], [`intake`], [`anew`] |
//! | the lifetime of a group: election at start, a full disk, a core that died | `group` |
#![doc = include_str!("FORMAT.md")]

mod anew;
mod asking;
mod bereft;
mod changing;
mod codec;
mod diverged;
mod ear;
mod founding;
mod intake;
mod log_store;
mod lost;
mod machine;
mod network;
mod offers;
mod pipeline;
mod promises;
mod read_index;
mod runtime;
mod settings;
mod status;
mod tail;
mod trouble;
mod types;

#[cfg(test)]
mod tests;

pub(crate) use anew::Anew;
pub(crate) use bereft::bereave;
pub(crate) use changing::{Change as MembersChange, change as change_members};
pub(crate) use codec::encode_vote;
pub use codec::{Spoken, rewritten};
pub(crate) use ear::Ear;
pub(crate) use founding::found;
pub(crate) use intake::Intake;
pub(crate) use log_store::{LogStore, MESSAGE_BYTES_MAX};
pub(crate) use lost::{Losses, Replica};
pub(crate) use machine::{Known, Machine};
pub(crate) use network::Wire;
pub(crate) use network::{Alone, Member, Post, asks_for_a_vote};
pub use offers::TransferStats;
pub(crate) use offers::Transfers;
pub(crate) use openraft::async_runtime::WatchReceiver;
pub(crate) use promises::Promises;
pub(crate) use read_index::{Unconfirmed, confirm};
pub use runtime::BEAT;
pub(crate) use runtime::{Beat, Chance};
pub(crate) use settings::settings;
pub(crate) use status::{Membership as Members, is_heard_by_quorum, status_of};
pub(crate) use trouble::{Ill, Trouble};
pub(crate) use types::{Answer, Batch, Types, Vote, mark_of, outcome_of, theirs};

/// A running group.
pub(crate) type Raft = openraft::Raft<Types, Machine>;
/// The term of a vote as the log has it.
pub(crate) fn term_of(vote: &bytes::Bytes) -> Option<u64> {
    codec::decode_vote(vote).ok().map(|vote| vote.leader_id.term)
}

/// What a running group says about itself.
pub(crate) type Metrics = openraft::RaftMetrics<Types>;
