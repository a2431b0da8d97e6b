//! Old parts on their way into a new one: merged, or freed of what was truncated.

use std::collections::VecDeque;
use std::sync::Arc;

use chronos_domain::PartitionId;
use chronos_parts::{Part, PartMeta, Scan, Scanned, Tombstones, Writer, erase};

use super::setback::Setback;

/// Bytes of events, before encoding, that one slice goes through, about.
const SLICE_RAW_BYTES: u64 = 4 << 20;
/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 2048;

/// A new part that takes the place of neighbours.
pub(super) struct Copy {
    partition: PartitionId,
    tombstones: Tombstones,
    waiting: VecDeque<Arc<Part>>,
    open: Option<Open>,
    writer: Writer,
    /// Rows that have gone through.
    rows: u64,
    /// What the new part must be.
    wanted: Wanted,
}

/// A part that is being read.
struct Open {
    batches: Scanned,
    raw_bytes_per_row: u64,
}

/// What the parts that go in say about the one that comes out.
struct Wanted {
    rows: u64,
    chain_after: chronos_proof::Hash,
}

impl Copy {
    /// Neighbours, from the first to the last, that `writer` makes one part of.
    pub(super) fn new(
        partition: PartitionId,
        parts: Vec<Arc<Part>>,
        tombstones: Tombstones,
        writer: Writer,
    ) -> Copy {
        let rows = parts.iter().map(|part| part.meta().rows()).sum();
        let wanted = Wanted { rows, chain_after: parts[parts.len() - 1].meta().chain_after };
        Copy { partition, tombstones, waiting: parts.into(), open: None, writer, rows: 0, wanted }
    }

    /// Goes through some more rows; returns how many bytes they say. Zero: all rows are through.
    pub(super) fn step(&mut self) -> Result<u64, Setback> {
        let failed = Setback::of_parts(self.partition);
        let mut bytes = 0;
        while bytes < SLICE_RAW_BYTES {
            if self.open.is_none() {
                let Some(part) = self.waiting.pop_front() else { break };
                self.open = Some(Open::new(&part).map_err(&failed)?);
            }
            let open = self.open.as_mut().expect("it was opened just now or before");
            let Some(batch) = open.batches.next() else {
                self.open = None;
                continue;
            };
            let batch = erase(&batch.map_err(&failed)?, self.partition, &self.tombstones);
            self.writer.push(&batch).map_err(&failed)?;
            self.rows += batch.num_rows() as u64;
            bytes += (batch.num_rows() as u64 * open.raw_bytes_per_row).max(1);
        }
        Ok(bytes)
    }

    /// Completes the part.
    pub(super) fn finish(self) -> Result<PartMeta, Setback> {
        let Copy { writer, wanted, rows, partition, .. } = self;
        if rows != wanted.rows {
            writer.abandon();
            let what = format!("parts of {} events gave {rows}", wanted.rows);
            return Err(Setback::Damaged(crate::Fault::corrupt(partition, what)));
        }
        let meta = writer.finish().map_err(Setback::of_parts(partition))?;
        if meta.chain_after != wanted.chain_after {
            let what =
                format!("part {} ends the hash chain elsewhere than the parts it was made of", meta.stem());
            return Err(Setback::Damaged(crate::Fault::corrupt(partition, what)));
        }
        Ok(meta)
    }

    /// Gives the new part up.
    pub(super) fn abandon(self) {
        self.writer.abandon();
    }
}

impl Open {
    fn new(part: &Part) -> Result<Open, chronos_parts::Fault> {
        let batches = part.scan(Scan { batch_rows: BATCH_ROWS, ..Scan::whole() })?;
        Ok(Open { batches, raw_bytes_per_row: part.meta().raw_bytes / part.meta().rows() })
    }
}
