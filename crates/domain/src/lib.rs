//! What an event store *means*, with nothing of how it is built.
//!
//! This crate decides which append is allowed and gives every event its numbers. It is the domain layer, the
//! replicated state machine and the oracle of simulations at once, so it must answer alike on every replica and
//! on every replay: no clock, no randomness, no I/O, no allocation order that could differ. Time and ids come in
//! as arguments. `no_std` and the absence of dependencies keep it so.
//!
//! Where to look:
//!
//! | question | module |
//! |---|---|
//! | how big may it be? | [`limits`] |
//! | what is a valid name or number? | [`id`], [`number`], [`time`] |
//! | which partition owns an entity? | [`placement`] |
//! | what does an append ask? | [`batch`], [`expect`], [`condition`] |
//! | may it happen, and with which numbers? | [`partition`] |
//! | what may be forgotten? | [`truncation`] |
//! | what may that decision look up? | [`index`] |
//! | why was it refused? | [`rejection`] |
//! | how far has a replica come? | [`marks`], [`token`] |
//! | what must always hold? | [`invariants`] |
//! | a plain referee for tests and offline checks | [`model`] |
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod base64url;
pub mod batch;
pub mod condition;
pub mod expect;
pub mod id;
pub mod index;
pub mod invariants;
pub mod limits;
pub mod marks;
pub mod model;
pub mod number;
pub mod partition;
pub mod placement;
pub mod rejection;
pub mod time;
pub mod token;
pub mod truncation;
pub mod xxh64;

pub use batch::{Append, Batch, Space};
pub use condition::{Condition, QueryItem};
pub use expect::Expectation;
pub use id::{
    ContentType, EntityId, EventId, EventType, Invalid, Tag, TenantId, check_content_type, check_entity_id,
    check_event_type, check_tag, check_tenant_id, is_json,
};
pub use index::{Found, Index};
pub use marks::Marks;
pub use number::{ContentHash, ForkId, LogIndex, NodeId, PartitionId, Position, Version};
pub use partition::{PartitionState, Receipt, Verdict};
pub use placement::{place, routing_key};
pub use rejection::Rejection;
pub use time::Timestamp;
pub use token::Token;
pub use truncation::{Truncate, Truncated, truncate};
