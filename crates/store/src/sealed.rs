//! A generation that waits to become a part, as the compactor holds it.

use std::sync::Arc;

use bytes::Bytes;
use chronos_block::Recorded;
use chronos_domain::{Batch, Position};
use chronos_parts::Tombstones;

use crate::cut::Cut;
use crate::fault::Fault;
use crate::layers::SealedGeneration;
use crate::load::Miss;
use crate::partition::Partition;
use crate::read;

/// A generation between two cuts. It stays readable until it has been installed as a part.
pub(crate) struct Sealed {
    partition: Partition,
    generation: Arc<SealedGeneration>,
}

impl Sealed {
    pub(crate) fn new(partition: Partition, generation: Arc<SealedGeneration>) -> Sealed {
        Sealed { partition, generation }
    }

    /// Where it ends.
    pub(crate) fn cut(&self) -> &Cut {
        &self.generation.cut
    }

    /// Every truncation up to the cut.
    pub(crate) fn tombstones(&self) -> &Tombstones {
        &self.generation.tombstones
    }

    /// Who the members of the group were at the cut, as the manifest keeps it.
    pub(crate) fn members(&self) -> &Bytes {
        &self.generation.members
    }

    /// The position of its first event; behind the cut's head when it has none.
    pub(crate) fn first(&self) -> Position {
        self.generation.events.base().next()
    }

    /// How many events it has.
    pub(crate) fn events(&self) -> u64 {
        self.generation.events.events()
    }

    /// Gives all of its events in order, block by block, as they were written: truncations are not applied, and `erased`
    /// is false. Blocks that are no longer in memory are read from the log, and no longer than needed kept.
    ///
    /// # Errors
    /// A fault of storage, or what `f` says; the first one ends it.
    pub(crate) fn for_each_batch(
        &self,
        mut f: impl FnMut(&[Recorded]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let generation = &self.generation.events;
        let mut loader = self.partition.loader();
        let mut batch = Vec::new();
        for chunk in 0..generation.chunks.len() {
            let held = read::hold(&self.partition.readable()?.layers, generation, chunk);
            let first = held.first;
            let shared = loader.open(self.partition.id(), held).map_err(|miss| match miss {
                Miss::Fault(fault) => fault,
                Miss::Moved => {
                    let what = format!(
                        "the log was purged of the events from position {first} before they were in a part"
                    );
                    Fault::corrupt(self.partition.id(), what)
                }
            })?;
            batch.clear();
            for slot in 0..shared.block.events() {
                let position = first.plus(slot as u64);
                let version = generation.stored(position).version;
                let slot = u16::try_from(slot).expect("a block holds at most 4096 events");
                batch.push(Recorded { slot, position, version, ..shared.clone() });
            }
            f(&batch)?;
        }
        Ok(())
    }
}
