//! The Rust SDK of AllSource Chronos.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use chronos_client::{Append, AppendError, Client, Expectation, Read};
//! use futures::TryStreamExt;
//!
//! let client = Client::connect("127.0.0.1:7400")?;
//!
//! // Create an order once. A retry inside the SDK keeps the event's id, so it cannot be stored twice.
//! let order = Append::to("order-1").event("order.placed", r#"{"qty":2}"#).expect(Expectation::NoEntity);
//! match client.append(order).await {
//!     Ok(stored) => println!("version {} at position {}", stored.versions[0], stored.first_position),
//!     Err(AppendError::Rejected(no)) => println!("a rule said no: {no}"),
//!     Err(AppendError::NotApplied(no)) => println!("certainly not done: {no}"),
//!     Err(AppendError::Unknown(maybe)) => println!("append {:?} again to find out", maybe.event_ids),
//! }
//!
//! let mut events = client.read(Read::entity("order-1")).await?;
//! while let Some(event) = events.try_next().await? {
//!     println!("{} {}", event.version, event.event_type);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | I want to | use |
//! |---|---|
//! | append one request, atomically | [`Client::append`], or [`Client::append_block`] for one that is packed already |
//! | append a long sequence, fast | [`Client::session`] |
//! | append a list that spans partitions | [`Client::append_many`] |
//! | read | [`Client::read`], [`Client::get`], [`Client::state`] |
//! | see my own writes wherever I read | [`Client::token`], or [`Options::read_your_writes`] |
//! | ask in SQL | [`Client::query`] |
//! | ask about whole histories, compact, prove | [`Client::admin`] |
//! | look at the node | [`Client::watermarks`], [`Client::info`] |
//! | look at the cluster | [`Client::placement`] |
//! | watch what the client itself does | [`Options::observer`] |
//! | copy all of it | [`Client::backup`] |
//! | see and steer the cluster | [`ClusterAdmin`] |
//!
//! Invariants:
//!
//! * an append ends in exactly one of four ways: stored, [`AppendError::Rejected`], [`AppendError::NotApplied`],
//!   [`AppendError::Unknown`]. Once one attempt may have happened, only a later answer that settles it for good can
//!   move the outcome out of `Unknown`;
//! * every retry sends the same bytes, hence the same event ids;
//! * each request goes to the node that can answer it: the client learns which that is from whichever server it reaches,
//!   and from every node that says it is another one by now. No node passes on yet what it cannot answer itself: a client
//!   that reaches only some of the nodes can append only to what those lead;
//! * every queue is bounded, and whoever fills it waits.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod address;
mod admin;
mod append;
mod attempt;
mod backup;
mod call;
mod client;
mod cluster_admin;
mod connections;
mod ids;
mod many;
mod observe;
mod options;
mod outcome;
mod pace;
mod pipe;
mod query;
mod read;
mod routing;
mod session;
mod state;

pub use admin::{Admin, Digests, Sample, Truncation, Verification};
pub use append::{Append, Payload};
pub use backup::{Backup, Fetched};
pub use client::{Appended, Client, Watermarks};
pub use cluster_admin::{Answers, ClusterAdmin, Replicas};
pub use ids::Ids;
pub use many::{ManyReport, Part};
pub use observe::{Counters, Counts, Observer, Operation};
pub use options::Options;
pub use outcome::{AppendError, NotDone, ReadError, Rejected, Rule};
pub use query::{Answer, Query, QueryStats};
pub use read::{Events, Read};
pub use session::{Session, SessionOptions, Stored, Ticket};
pub use state::{EntityState, State};

pub use chronos_block::{Block, Compression, Draft, Filter, Packer};
pub use chronos_domain::{
    Condition, EntityId, EventId, EventType, Expectation, PartitionId, Position, QueryItem, Rejection, Tag,
    Timestamp, Token, Version,
};
pub use chronos_proof::{Hash, Proof};
pub use chronos_proto::admin::{
    CompactedPartition, Digest, Holdings, PartitionDigest, PartitionHoldings, TypeHoldings, Verified,
    VerifiedPartition,
};
pub use chronos_proto::{
    Class, Consistency, Event, Failure, Info, LogStats, Moment, NodeId, PartitionMarks, PartitionStats,
    PlacedNode, PlacedPartition, Placement, Reducer, Stats,
};
/// What operators see of a cluster, and what comes of what they do to it.
pub mod cluster {
    pub use chronos_proto::cluster::{
        Addresses, Change, ChangeKind, Compacted, Comparison, Health, Node, NodeConfig, NodeId, NodeState,
        Partition, Plan, PlannedStep, Repaired, Replica, ReplicaDigest, Role, ScrubBegun, Setting,
        SettingChanged, Status, Verdict, VerifiedReplica,
    };
}
