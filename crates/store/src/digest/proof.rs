//! The proof that one event belongs to a partition's history.

use chronos_block::Recorded;
use chronos_domain::{EventId, Position, Space};
use chronos_proof::{Evidence, Fields, Leaves, Proof, audit_path};

use super::History;
use crate::fault::Fault;
use crate::load::Miss;
use crate::partition::Partition;

impl Partition {
    /// A proof that the event with this id belongs to the history up to a position, or to all that readers may see;
    /// `None` when it does not. Of an erased event only its hash is proven.
    ///
    /// # Errors
    /// A fault of storage.
    ///
    /// # Panics
    /// If the hashes that were stored contradict each other.
    pub fn prove(&self, space: Space<'_>, id: EventId, at: Option<Position>) -> Result<Option<Proof>, Fault> {
        let Some(event) = self.by_id(space, id)? else { return Ok(None) };
        self.until_it_stays(|| {
            self.with_history(at, |history| {
                if event.position > history.at {
                    return Ok(None);
                }
                Ok(Some(history.prove(&event)?))
            })
        })
    }
}

impl History<'_> {
    fn prove(&self, event: &Recorded) -> Result<Proof, Miss> {
        let number = event.position.get() - 1;
        let path = audit_path(self, number, self.at.get())?;
        let evidence = Evidence { size: self.at, chain: self.chain()?, path };
        if event.erased {
            let leaf = self.leaves(number, 1)?[0];
            return Ok(Proof::of_erased(event.partition, event.position, leaf, evidence));
        }
        let said = event.event();
        let tags: Vec<&str> = said.tags.clone().collect();
        let fields = Fields {
            partition: event.partition,
            position: event.position,
            version: event.version,
            recorded_at: event.recorded_at,
            tenant: event.tenant.as_str(),
            fork: event.fork,
            event_id: said.event_id,
            entity_id: said.entity_id,
            event_type: said.event_type,
            content_type: said.content_type,
            occurred_at: said.occurred_at,
            tags: &tags,
            metadata: said.metadata,
            payload: said.payload,
        };
        Ok(Proof::of_event(&fields, evidence))
    }
}
