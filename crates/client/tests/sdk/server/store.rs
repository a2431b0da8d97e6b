//! What the scripted server keeps: the real state machine over the plain model, so that duplicates, conflicts and
//! numbers are those of a real server.

use std::collections::BTreeMap;

use chronos_block::{Block, Recorded};
use chronos_domain::model::{Model, Stored};
use chronos_domain::{
    Append, Batch, EventId, ForkId, Invalid, PartitionId, PartitionState, Position, Receipt, Rejection,
    Space, TenantId, Timestamp, Token, Verdict,
};
use chronos_proto::{Appended, Failure};

const SPACE: Space<'static> = Space { tenant: "default", fork: ForkId::MAIN };

#[derive(Default)]
pub(crate) struct Store {
    partitions: BTreeMap<PartitionId, Partition>,
}

struct Partition {
    state: PartitionState,
    model: Model,
    events: Vec<Recorded>,
}

impl Store {
    /// Stores a block, or says why not. Events of the type `refused` are no good.
    pub(crate) fn append(&mut self, block: &Block) -> Result<Appended, Failure> {
        if (0..block.events()).any(|i| block.event(i).event_type == "refused") {
            return Err(Failure::from(&Rejection::Invalid(Invalid::new("payload", "is no good"))));
        }
        let number = block.placement(SPACE.tenant).map_err(|rejection| Failure::from(&rejection))?;
        let partition = self.partitions.entry(number).or_insert_with(|| Partition {
            state: PartitionState::new(number),
            model: Model::new(),
            events: Vec::new(),
        });
        let command = Append { space: SPACE, recorded_at: Timestamp::new(1), batch: block };
        let (receipt, deduplicated) = match partition.state.apply(&partition.model, &command).unwrap() {
            Verdict::Stored(receipt) => {
                partition.record(block, &receipt);
                (receipt, false)
            }
            Verdict::Duplicate(receipt) => (receipt, true),
            Verdict::Rejected(rejection) => return Err(Failure::from(&rejection)),
        };
        Ok(Appended {
            partition: number,
            first_position: receipt.first,
            versions: receipt.versions(block),
            recorded_at: receipt.recorded_at,
            deduplicated,
            token: Token::at(number, partition.state.head()),
            durability: "none, a test".to_owned(),
        })
    }

    /// The events of an entity, by version.
    pub(crate) fn entity(&self, entity: &str) -> Vec<Recorded> {
        self.all().filter(|recorded| recorded.event().entity_id == entity).cloned().collect()
    }

    pub(crate) fn by_id(&self, id: EventId) -> Option<Recorded> {
        self.all().find(|recorded| recorded.event().event_id == id).cloned()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Recorded> {
        self.partitions.values().flat_map(|partition| &partition.events)
    }
}

impl Partition {
    fn record(&mut self, block: &Block, receipt: &Receipt) {
        for (i, version) in receipt.versions(block).into_iter().enumerate() {
            let event = block.event(i);
            let position: Position = receipt.position(i);
            self.model.insert(Stored {
                tenant: SPACE.tenant.to_owned(),
                fork: SPACE.fork,
                entity: event.entity_id.to_owned(),
                version,
                position,
                recorded_at: receipt.recorded_at,
                id: event.event_id,
                content: block.content(i),
                event_type: event.event_type.to_owned(),
                tags: event.tags.map(str::to_owned).collect(),
            });
            self.events.push(Recorded {
                block: block.clone(),
                slot: u16::try_from(i).unwrap(),
                tenant: TenantId::default_tenant(),
                fork: SPACE.fork,
                partition: self.state.partition(),
                position,
                version,
                recorded_at: receipt.recorded_at,
                erased: false,
            });
        }
    }
}
