//! A packed append request and O(1) access to its fields.
//!
//! Invariant: a `Block` exists only over bytes whose structure has been checked, so every offset in it points inside
//! it, on a character boundary where it points at text, and every number into a table is below that table's length.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chronos_domain::{
    Batch, Condition, ContentHash, EventId, Expectation, Invalid, PartitionId, Rejection, Timestamp, place,
};

use crate::compression::Compression;
use crate::event::{EventRef, Tags};
use crate::layout::{EventRecord, OCCURRED_AT_ABSENT, Sections, Text, decode_expectation};
use crate::malformed::Malformed;
use crate::{structure, validate};

/// One append request, packed. Cheap to clone: clones share everything.
///
/// An uncompressed block is its wire bytes and a copy of its names; a compressed one also holds its body unpacked,
/// which is done once, when it is opened.
#[derive(Clone)]
pub struct Block(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) wire: Bytes,
    pub(crate) sections: Sections,
    pub(crate) compression: Compression,
    /// The names of the wire bytes once more, known to be UTF-8: unsafe code aside, the way to check that only once.
    pub(crate) strings: Box<str>,
    /// Payloads and metadata, not compressed; a slice of `wire` where that is not compressed either.
    pub(crate) body: Bytes,
    pub(crate) condition: Option<Condition>,
}

impl Block {
    pub(crate) fn new(inner: Inner) -> Block {
        Block(Arc::new(inner))
    }

    /// Takes bytes from outside, believing nothing: checksum, structure, names, bounds, distinct ids and entities and
    /// content hashes are all verified. Costs about one pass of hashing over the block and one over its events.
    /// Never allocates more than a legal request needs.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong; the request is certainly not done.
    pub fn open(bytes: Bytes) -> Result<Block, Malformed> {
        let block = structure::parse(bytes)?;
        validate::request(&block)?;
        Ok(block)
    }

    /// Takes bytes that [`open`](Self::open) or a [`Packer`](crate::Packer) has accepted before and that were kept in a
    /// log or a cache: verifies the checksum and what safe access needs, not the rules of a request.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong; whoever kept the bytes has lost them.
    pub fn reopen(bytes: Bytes) -> Result<Block, Malformed> {
        structure::parse(bytes)
    }

    /// The wire form: what is sent, logged, and opened again.
    pub fn bytes(&self) -> &Bytes {
        &self.0.wire
    }

    /// How the body is stored in the wire form.
    pub fn compression(&self) -> Compression {
        self.0.compression
    }

    /// The `i`-th event.
    ///
    /// # Panics
    /// When `i` is not below [`events`](Batch::events).
    pub fn event(&self, i: usize) -> EventRef<'_> {
        let record = self.record(i);
        EventRef {
            event_id: record.event_id,
            entity_id: self.entity(usize::from(record.entity)),
            event_type: self
                .text(&self.0.sections.type_records(&self.0.wire)[usize::from(record.event_type)]),
            content_type: self
                .text(&self.0.sections.content_type_records(&self.0.wire)[usize::from(record.content_type)]),
            payload: &self.0.body[record.payload()],
            metadata: &self.0.body[record.metadata()],
            tags: Tags::new(self, &self.0.sections.tag_numbers(&self.0.wire)[record.tags()]),
            occurred_at: (record.occurred_at != OCCURRED_AT_ABSENT)
                .then(|| Timestamp::new(record.occurred_at)),
        }
    }

    /// The payload of the `i`-th event, sharing this block's memory.
    ///
    /// # Panics
    /// When `i` is not below [`events`](Batch::events).
    pub fn payload(&self, i: usize) -> Bytes {
        self.0.body.slice(self.record(i).payload())
    }

    /// Bytes of memory the block keeps alive by itself. What its wire bytes were sliced from, if anything, is not
    /// counted.
    pub fn memory(&self) -> usize {
        let inner = &*self.0;
        let unpacked = match inner.compression {
            Compression::None => 0,
            Compression::Lz4 => inner.body.len(),
        };
        size_of::<Inner>() + inner.wire.len() + inner.strings.len() + unpacked
    }

    /// The one partition all of the request's entities, written or only checked, live in.
    ///
    /// # Errors
    /// [`Rejection::CrossPartition`] when there are several, [`Rejection::Invalid`] when the request names no entity.
    pub fn placement(&self, tenant: &str) -> Result<PartitionId, Rejection> {
        let mut partitions = (0..self.entities()).map(|e| place(tenant, self.entity(e)));
        let Some(first) = partitions.next() else {
            let reason = "names no entity and so belongs to no partition; add an event or an expectation";
            return Err(Invalid::new("request", reason).into());
        };
        let mut elsewhere: Vec<PartitionId> = partitions.filter(|p| *p != first).collect();
        if elsewhere.is_empty() {
            return Ok(first);
        }
        elsewhere.push(first);
        elsewhere.sort_unstable();
        elsewhere.dedup();
        Err(Rejection::CrossPartition { partitions: elsewhere })
    }

    pub(crate) fn tag(&self, number: u16) -> &str {
        self.text(&self.0.sections.tag_records(&self.0.wire)[usize::from(number)])
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    #[inline]
    pub(crate) fn record(&self, i: usize) -> EventRecord {
        EventRecord::decode(&self.0.sections.event_records(&self.0.wire)[i])
    }

    #[inline]
    pub(crate) fn text(&self, record: &[u8]) -> &str {
        &self.0.strings[Text::decode(record).range()]
    }
}

impl Batch for Block {
    fn entities(&self) -> usize {
        self.0.sections.entity_records(&self.0.wire).len()
    }

    fn entity(&self, e: usize) -> &str {
        self.text(&self.0.sections.entity_records(&self.0.wire)[e])
    }

    fn expectation(&self, e: usize) -> Expectation {
        decode_expectation(&self.0.sections.entity_records(&self.0.wire)[e])
            .expect("expectations are checked when a block is opened")
    }

    fn condition(&self) -> Option<&Condition> {
        self.0.condition.as_ref()
    }

    fn events(&self) -> usize {
        self.0.sections.event_records(&self.0.wire).len()
    }

    fn event_entity(&self, i: usize) -> usize {
        usize::from(self.record(i).entity)
    }

    fn event_id(&self, i: usize) -> EventId {
        self.record(i).event_id
    }

    fn content(&self, i: usize) -> ContentHash {
        self.record(i).content
    }
}

/// Equal when their wire bytes are.
impl PartialEq for Block {
    fn eq(&self, other: &Block) -> bool {
        self.0.wire == other.0.wire
    }
}

impl Eq for Block {}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("events", &self.events())
            .field("entities", &self.entities())
            .field("bytes", &self.0.wire.len())
            .field("compression", &self.0.compression)
            .finish_non_exhaustive()
    }
}
