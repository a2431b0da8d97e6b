//! What a partition holds, by type.

use chronos_domain::{Invalid, PartitionId, Timestamp};

use crate::error::Failure;
use crate::v1;

/// What one partition holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Events.
    pub events: u64,
    /// Entities with at least one event.
    pub entities: u64,
    /// When the first and the last event were recorded.
    pub recorded: Option<(Timestamp, Timestamp)>,
    /// Parquet parts.
    pub parts: u64,
    /// Bytes of the parts.
    pub part_bytes: u64,
    /// Those of them that are bloom filters and page indexes.
    pub lookup_bytes: u64,
    /// Bytes of the parts' indexes.
    pub index_bytes: u64,
    /// Events that are in no part yet.
    pub uncompacted: u64,
    /// Entities that have been truncated.
    pub truncated_entities: u64,
    /// Events in parts whose content has been erased.
    pub erased: u64,
    /// The events by their type, by its name: those in parts, and the others while they are few.
    pub types: Vec<TypeHoldings>,
}

/// The events of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeHoldings {
    /// Which type.
    pub event_type: String,
    /// Events.
    pub events: u64,
    /// Bytes of the events as their writers gave them, before compression.
    pub raw_bytes: u64,
}

/// What one partition holds, or why it is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionHoldings {
    /// Which one.
    pub partition: PartitionId,
    /// What it holds.
    pub holdings: Result<Holdings, Failure>,
}

impl From<PartitionHoldings> for v1::PartitionHoldings {
    fn from(of: PartitionHoldings) -> Self {
        let partition = of.partition.get().into();
        match of.holdings {
            Err(failure) => Self { partition, failure: Some(failure.into()), ..Self::default() },
            Ok(held) => Self {
                partition,
                events: held.events,
                entities: held.entities,
                first_recorded_at: held.recorded.map(|(first, _)| first.get()),
                last_recorded_at: held.recorded.map(|(_, last)| last.get()),
                parts: held.parts,
                part_bytes: held.part_bytes,
                lookup_bytes: held.lookup_bytes,
                index_bytes: held.index_bytes,
                uncompacted: held.uncompacted,
                truncated_entities: held.truncated_entities,
                erased: held.erased,
                types: held.types.into_iter().map(Into::into).collect(),
                failure: None,
            },
        }
    }
}

impl TryFrom<v1::PartitionHoldings> for PartitionHoldings {
    type Error = Invalid;

    fn try_from(message: v1::PartitionHoldings) -> Result<Self, Invalid> {
        let partition = crate::partition(message.partition)?;
        if let Some(failure) = message.failure {
            return Ok(Self { partition, holdings: Err(Failure::try_from(failure)?) });
        }
        let first = message.first_recorded_at.map(Timestamp::new);
        let holdings = Holdings {
            events: message.events,
            entities: message.entities,
            recorded: first.zip(message.last_recorded_at.map(Timestamp::new)),
            parts: message.parts,
            part_bytes: message.part_bytes,
            lookup_bytes: message.lookup_bytes,
            index_bytes: message.index_bytes,
            uncompacted: message.uncompacted,
            truncated_entities: message.truncated_entities,
            erased: message.erased,
            types: message.types.into_iter().map(Into::into).collect(),
        };
        Ok(Self { partition, holdings: Ok(holdings) })
    }
}

impl From<TypeHoldings> for v1::TypeHoldings {
    fn from(of: TypeHoldings) -> Self {
        Self { event_type: of.event_type, events: of.events, raw_bytes: of.raw_bytes }
    }
}

impl From<v1::TypeHoldings> for TypeHoldings {
    fn from(message: v1::TypeHoldings) -> Self {
        Self { event_type: message.event_type, events: message.events, raw_bytes: message.raw_bytes }
    }
}
