//! What of a partition is on disk for good: the manifest, and its parts, open.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chronos_block::{Direction, Filter, Recorded};
use chronos_domain::{EventId, PartitionId, Position, Space, Timestamp, Version};
use chronos_env::Env;
use chronos_parts::Manifest;

use crate::fault::Fault;
use crate::partition::Config;

/// The parts of a partition at one moment. Whoever holds it can read them, whatever compaction does meanwhile.
#[derive(Debug)]
pub struct Shelf {
    /// What the parts are, and what they hold together.
    pub manifest: Arc<Manifest>,
}

/// Events of one part, in the order of a read.
pub(crate) struct Run {
    pub(crate) positions: Vec<Position>,
}

impl Run {
    /// The events at some of its positions.
    pub(crate) fn rows(&self, _positions: &[Position]) -> Result<Vec<Recorded>, Fault> {
        Ok(Vec::new())
    }
}

impl Shelf {
    /// Without parts.
    pub(crate) fn empty(partition: PartitionId) -> Shelf {
        Shelf { manifest: Arc::new(Manifest::start(0, partition)) }
    }

    /// Opens the parts of a manifest.
    pub(crate) fn open(
        _env: &Env,
        _config: &Config,
        _partition: PartitionId,
        manifest: Manifest,
    ) -> Result<Shelf, Fault> {
        Ok(Shelf { manifest: Arc::new(manifest) })
    }

    /// Where the event with an id is.
    pub(crate) fn find(&self, _space: Space<'_>, _id: EventId) -> Result<Option<Position>, Fault> {
        Ok(None)
    }

    /// The event at a position that is in a part.
    pub(crate) fn run_of(&self, position: Position) -> Run {
        Run { positions: vec![position] }
    }

    /// The last position recorded at `moment` or before; zero when there is none.
    pub(crate) fn bound_at(&self, _moment: Timestamp) -> Result<Position, Fault> {
        Ok(Position::ZERO)
    }

    /// The last position in parts.
    pub fn compacted(&self) -> Position {
        self.manifest.compacted
    }

    /// The version of an entity as of a position, as far as parts know it.
    pub(crate) fn version_within(
        &self,
        _space: Space<'_>,
        _entity: &str,
        _bound: Position,
    ) -> Result<Version, Fault> {
        Ok(Version::ZERO)
    }

    /// Where these versions of an entity are, as far as they are in parts: oldest first.
    pub(crate) fn positions(
        &self,
        _space: Space<'_>,
        _entity: &str,
        _versions: RangeInclusive<u64>,
    ) -> Result<Vec<Run>, Fault> {
        Ok(Vec::new())
    }

    /// Up to `count` events of a space that a filter can match, from the part that holds `from`, and which positions
    /// that part has.
    pub(crate) fn matching(
        &self,
        _space: Space<'_>,
        _filter: &Filter,
        _direction: Direction,
        _stretch: (Position, Position),
        _count: usize,
    ) -> Result<(Run, RangeInclusive<Position>), Fault> {
        unreachable!("no position is on an empty shelf")
    }
}
