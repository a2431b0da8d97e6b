//! Rows of a part as stored events.
//!
//! Readers know events as places in blocks, so the wanted rows, and only they, are packed into new blocks.

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, GenericByteArray};
use arrow::buffer::Buffer;
use arrow::datatypes::ByteArrayType;
use bytes::Bytes;
use chronos_block::{Compression, Draft, Packer, Recorded};
use chronos_domain::{
    ContentType, EntityId, EventId, EventType, ForkId, Invalid, PartitionId, Position, Rejection, Tag,
    TenantId, Timestamp, Version,
};

use crate::columns::event_id;
use crate::index::RowFields;

/// The three columns of one page that the index does not hold.
pub(crate) struct Contents {
    event_id: FixedSizeBinaryArray,
    payload: Slices,
    metadata: Slices,
}

impl Contents {
    pub(crate) fn new(ids: &ArrayRef, payload: &ArrayRef, metadata: &ArrayRef) -> Contents {
        Contents {
            event_id: ids.as_fixed_size_binary().clone(),
            payload: Slices::of(payload.as_binary::<i32>()),
            metadata: Slices::of(metadata.as_string::<i32>()),
        }
    }

    /// The id, payload and metadata of the page's `row`.
    fn row(&self, row: usize) -> (EventId, Bytes, Bytes) {
        (event_id(&self.event_id, row), self.payload.get(row), self.metadata.get(row))
    }
}

/// Byte strings that share one allocation.
struct Slices {
    bytes: Bytes,
    offsets: arrow::buffer::OffsetBuffer<i32>,
}

impl Slices {
    fn of<T: ByteArrayType<Offset = i32>>(array: &GenericByteArray<T>) -> Slices {
        let bytes = Bytes::from_owner(Shared(array.values().clone()));
        Slices { bytes, offsets: array.offsets().clone() }
    }

    fn get(&self, row: usize) -> Bytes {
        self.bytes.slice(self.offsets[row] as usize..self.offsets[row + 1] as usize)
    }
}

/// An Arrow buffer as the owner of bytes.
struct Shared(Buffer);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// Packs events into as few blocks as the bounds of a block allow.
pub(crate) struct Packing {
    partition: PartitionId,
    packer: Packer,
    waiting: Vec<Numbers>,
    done: Vec<Recorded>,
}

/// What a stored event has besides what its block holds.
struct Numbers {
    tenant: TenantId,
    fork: ForkId,
    position: Position,
    version: Version,
    recorded_at: Timestamp,
    erased: bool,
}

impl Packing {
    pub(crate) fn new(partition: PartitionId, events: usize) -> Packing {
        Packing { partition, packer: Packer::new(), waiting: Vec::new(), done: Vec::with_capacity(events) }
    }

    /// Adds the event that lies in `row` of a page.
    ///
    /// # Errors
    /// [`Rejection`] when the event breaks a rule of requests, which no stored event does.
    pub(crate) fn push(
        &mut self,
        position: Position,
        fields: &RowFields,
        contents: &Contents,
        row: usize,
    ) -> Result<(), Rejection> {
        let tenant = self.tenant(&fields.tenant)?;
        // A block holds so many events and bytes, and no id twice, which two spaces may share.
        if self.packer.push(draft(fields, contents.row(row))?).is_err() {
            self.close();
            self.packer.push(draft(fields, contents.row(row))?)?;
        }
        self.waiting.push(Numbers {
            tenant,
            fork: fields.fork,
            position,
            version: fields.version,
            recorded_at: fields.recorded_at,
            erased: fields.erased,
        });
        Ok(())
    }

    /// The events in the order in which they were added.
    pub(crate) fn finish(mut self) -> Vec<Recorded> {
        self.close();
        self.done
    }

    /// The tenant of this name; neighbours mostly share one.
    fn tenant(&self, name: &str) -> Result<TenantId, Invalid> {
        match self.waiting.last() {
            Some(last) if last.tenant.as_str() == name => Ok(last.tenant.clone()),
            _ => TenantId::parse(name),
        }
    }

    fn close(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let packer = std::mem::take(&mut self.packer);
        let block = packer.finish(Compression::None).expect("a block with an event asks for something");
        let partition = self.partition;
        let recorded = self.waiting.drain(..).zip(0..).map(|(numbers, slot)| Recorded {
            block: block.clone(),
            slot,
            tenant: numbers.tenant,
            fork: numbers.fork,
            partition,
            position: numbers.position,
            version: numbers.version,
            recorded_at: numbers.recorded_at,
            erased: numbers.erased,
        });
        self.done.extend(recorded);
    }
}

fn draft(
    fields: &RowFields,
    (event_id, payload, metadata): (EventId, Bytes, Bytes),
) -> Result<Draft, Invalid> {
    Ok(Draft {
        event_id,
        entity_id: EntityId::parse(fields.entity.as_str())?,
        event_type: EventType::parse(fields.event_type.as_str())?,
        content_type: ContentType::parse(fields.content_type.as_str())?,
        payload,
        metadata,
        tags: fields.tags.iter().map(|tag| Tag::parse(tag.as_str())).collect::<Result<_, _>>()?,
        occurred_at: fields.occurred_at,
    })
}
