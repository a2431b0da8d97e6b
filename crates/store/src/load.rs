//! Getting at the block of a chunk without holding the partition's lock.

use std::sync::atomic::{AtomicU64, Ordering};

use chronos_block::{Block, Recorded};
use chronos_domain::{Batch, EventId, ForkId, LogIndex, PartitionId, Position, TenantId, Timestamp, Version};
use chronos_wal::{Log, ReadError};
use parking_lot::Mutex;

use crate::chunks::Origin;
use crate::entry::Packed;
use crate::fault::Fault;
use crate::recent::Recent;

/// A chunk as a reader carries it out of the lock.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) first: Position,
    pub(crate) events: u16,
    pub(crate) tenant: TenantId,
    pub(crate) fork: ForkId,
    pub(crate) recorded_at: Timestamp,
    pub(crate) source: Source,
}

/// Where a held chunk's block is.
#[derive(Debug)]
pub(crate) enum Source {
    Memory(Block),
    /// In the log; the id of its first event tells that the right block has come back.
    Log {
        origin: Origin,
        first_id: EventId,
    },
}

/// Why a block is not to be had.
#[derive(Debug)]
pub(crate) enum Miss {
    /// Its events have moved to a part since it was picked, and the log has let go of it: look again.
    Moved,
    /// A fault of storage.
    Fault(Fault),
}

impl From<Fault> for Miss {
    fn from(fault: Fault) -> Miss {
        Miss::Fault(fault)
    }
}

/// Reads evicted blocks from the log. Remembers the entry read last: neighbours often share one.
pub(crate) struct Loader<'a> {
    partition: PartitionId,
    log: &'a Log,
    recent: &'a Mutex<Recent>,
    log_reads: &'a AtomicU64,
    entry: Option<(LogIndex, Packed)>,
    loads: usize,
}

impl<'a> Loader<'a> {
    pub(crate) const fn new(
        partition: PartitionId,
        log: &'a Log,
        recent: &'a Mutex<Recent>,
        log_reads: &'a AtomicU64,
    ) -> Loader<'a> {
        Loader { partition, log, recent, log_reads, entry: None, loads: 0 }
    }

    /// How many entries have been read from the log.
    pub(crate) const fn loads(&self) -> usize {
        self.loads
    }

    /// The first event of a chunk, without its version: what all events of the chunk have in common. May read the disk.
    pub(crate) fn open(&mut self, partition: PartitionId, held: Held) -> Result<Recorded, Miss> {
        Ok(Recorded {
            slot: 0,
            partition,
            position: held.first,
            version: Version::ZERO,
            recorded_at: held.recorded_at,
            block: self.block(held.first, held.events, held.source)?,
            tenant: held.tenant,
            fork: held.fork,
            erased: false,
        })
    }

    /// The block of the chunk that starts at `first` and has so many events.
    fn block(&mut self, first: Position, events: u16, source: Source) -> Result<Block, Miss> {
        let (origin, first_id) = match source {
            Source::Memory(block) => return Ok(block),
            Source::Log { origin, first_id } => (origin, first_id),
        };
        if let Some(block) = self.recent.lock().get(first) {
            return Ok(block);
        }
        chronos_env::sometimes!("store.block_read_again");
        let block = self.read(origin)?;
        if block.events() != usize::from(events) || block.event_id(0) != first_id {
            let what = format!("log entry {} no longer holds the events from position {first}", origin.index);
            return Err(Fault::corrupt(self.partition, what).into());
        }
        self.recent.lock().put(first, block.clone());
        Ok(block)
    }

    fn read(&mut self, origin: Origin) -> Result<Block, Miss> {
        let Origin { index, ordinal } = origin;
        let corrupt = |what: String| Fault::corrupt(self.partition, format!("log entry {index}: {what}"));
        let entry = match self.entry.take() {
            Some((at, entry)) if at == index => entry,
            _ => {
                self.loads += 1;
                self.log_reads.fetch_add(1, Ordering::Relaxed);
                let entry = self.log.read_one(index.get()).map_err(|error| self.missed(index, error))?;
                Packed::open(entry.payload).map_err(|malformed| corrupt(malformed.to_string()))?
            }
        };
        let bytes =
            entry.block(ordinal).ok_or_else(|| corrupt(format!("no command {ordinal} with events")))?;
        // A small block must not keep a large entry in memory.
        let bytes = if bytes.len() * 2 < entry.len() { bytes::Bytes::copy_from_slice(&bytes) } else { bytes };
        self.entry = Some((index, entry));
        Ok(Block::reopen(bytes).map_err(|malformed| corrupt(malformed.to_string()))?)
    }

    fn missed(&self, index: LogIndex, error: ReadError) -> Miss {
        let purged = || self.log.state().purged.is_some_and(|mark| mark.index >= index.get());
        match error {
            ReadError::NotHere { .. } if purged() => Miss::Moved,
            error => Fault::read(self.partition, error).into(),
        }
    }
}
