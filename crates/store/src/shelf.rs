//! What of a partition is on disk for good: the manifest, and its parts, open.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chronos_block::{Direction, Filter, Recorded};
use chronos_bugs::{Bug, is_seeded};
use chronos_domain::{EventId, PartitionId, Position, Space, Timestamp, Version};
use chronos_env::Env;
use chronos_parts::{Manifest, Part, PartFile};
use chronos_proof::Hash;
use chronos_wal::Mark;

use crate::backup::SourceFile;
use crate::fault::Fault;
use crate::members::Members;
use crate::partition::Config;

/// The parts of a partition at one moment. Whoever holds it can read them, whatever compaction does meanwhile.
pub struct Shelf {
    /// What the parts are, and what they hold together.
    pub manifest: Arc<Manifest>,
    /// The parts, open, in the order of positions.
    pub parts: Vec<Arc<Part>>,
}

/// Events of one part, in the order of a read.
pub(crate) struct Run {
    part: Arc<Part>,
    pub(crate) positions: Vec<Position>,
}

impl Run {
    /// The events at some of its positions.
    /// What an event of the part says, in bytes, on average.
    pub(crate) fn bytes_of_an_event(&self) -> usize {
        let meta = self.part.meta();
        usize::try_from(meta.raw_bytes / meta.rows().max(1)).unwrap_or(usize::MAX)
    }

    pub(crate) fn rows(&self, positions: &[Position]) -> Result<Vec<Recorded>, Fault> {
        self.part.rows(positions).map_err(Fault::of_parts(self.part.partition()))
    }
}

impl Shelf {
    /// Without parts.
    pub(crate) fn empty(cluster: u128, partition: PartitionId) -> Shelf {
        Shelf { manifest: Arc::new(Manifest::start(cluster, partition)), parts: Vec::new() }
    }

    /// Opens the parts of a manifest.
    pub(crate) fn open(env: &Env, config: &Config, manifest: Manifest) -> Result<Shelf, Fault> {
        let id = manifest.partition;
        let open = |meta: &chronos_parts::PartMeta| {
            Part::open(env.disk.clone(), &config.dir, meta.clone(), id, &config.parts_cache).map(Arc::new)
        };
        let parts = manifest.parts.iter().map(open).collect::<Result<_, _>>();
        Ok(Shelf { parts: parts.map_err(Fault::of_parts(id))?, manifest: Arc::new(manifest) })
    }

    /// The same, but parts that another shelf has open are not opened again.
    pub(crate) fn open_beside(
        env: &Env,
        config: &Config,
        manifest: Manifest,
        other: &Shelf,
    ) -> Result<Shelf, Fault> {
        let id = manifest.partition;
        let open = |meta: &chronos_parts::PartMeta| {
            if let Some(part) = other.parts.iter().find(|part| part.meta() == meta) {
                return Ok(Arc::clone(part));
            }
            Part::open(env.disk.clone(), &config.dir, meta.clone(), id, &config.parts_cache).map(Arc::new)
        };
        let parts = manifest.parts.iter().map(open).collect::<Result<_, _>>();
        Ok(Shelf { parts: parts.map_err(Fault::of_parts(id))?, manifest: Arc::new(manifest) })
    }

    /// The last position in parts.
    pub fn compacted(&self) -> Position {
        self.manifest.compacted
    }

    fn fault(&self) -> impl Fn(chronos_parts::Fault) -> Fault + use<> {
        Fault::of_parts(self.manifest.partition)
    }

    /// The part that holds a position, which must not lie beyond the last one.
    pub(crate) fn part_at(&self, position: Position) -> &Arc<Part> {
        let at = self.parts.partition_point(|part| part.meta().last < position);
        self.parts.get(at).expect("a manifest's parts hold every position up to its last one")
    }

    /// The event at a position that is in a part.
    pub(crate) fn run_of(&self, position: Position) -> Run {
        Run { part: self.part_at(position).clone(), positions: vec![position] }
    }

    /// Where the event with an id is.
    pub(crate) fn find(&self, space: Space<'_>, id: EventId) -> Result<Option<Position>, Fault> {
        if is_seeded(Bug::M6) {
            return Ok(None);
        }
        // Who asks for an id asks for a young one more often than for an old one.
        for part in self.parts.iter().rev() {
            if let Some(position) = part.find(space, id).map_err(self.fault())? {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// The version of an entity as of a position, as far as parts know it.
    pub(crate) fn version_within(
        &self,
        space: Space<'_>,
        entity: &str,
        bound: Position,
    ) -> Result<Version, Fault> {
        for part in self.parts.iter().rev().filter(|part| part.meta().first <= bound) {
            let Some(versions) = part.versions(space, entity).map_err(self.fault())? else { continue };
            if part.meta().last <= bound {
                return Ok(*versions.end());
            }
            let within = part.versions_at(space, entity, bound).map_err(self.fault())?;
            if within > 0 {
                return Ok(Version::new(versions.start().get() + within - 1));
            }
        }
        Ok(Version::ZERO)
    }

    /// Where these versions of an entity are, as far as they are in parts: oldest first.
    pub(crate) fn positions(
        &self,
        space: Space<'_>,
        entity: &str,
        versions: RangeInclusive<u64>,
    ) -> Result<Vec<Run>, Fault> {
        let mut runs = Vec::new();
        if versions.is_empty() {
            return Ok(runs);
        }
        for part in self.parts.iter().rev() {
            let Some(held) = part.versions(space, entity).map_err(self.fault())? else { continue };
            let first = (*held.start()).max(Version::new(*versions.start()));
            let last = (*held.end()).min(Version::new(*versions.end()));
            if first <= last {
                let positions = part.positions(space, entity, first..=last).map_err(self.fault())?;
                runs.push(Run { part: part.clone(), positions });
            }
            if held.start().get() <= *versions.start() {
                break;
            }
        }
        runs.reverse();
        Ok(runs)
    }

    /// Up to `count` events of a space that a filter can match, from the part that holds `from`, and which positions
    /// that part has.
    pub(crate) fn matching(
        &self,
        space: Space<'_>,
        filter: &Filter,
        direction: Direction,
        (from, limit): (Position, Position),
        count: usize,
    ) -> Result<(Run, RangeInclusive<Position>), Fault> {
        let part = self.part_at(from);
        let (first, last) = (part.meta().first, part.meta().last);
        let asked = match direction {
            Direction::Forward => from..=last.min(limit),
            Direction::Backward => first..=from,
        };
        let positions = part.matching(space, filter, asked, direction, count).map_err(self.fault())?;
        Ok((Run { part: part.clone(), positions }, first..=last))
    }

    /// The last position recorded at `moment` or before; zero when there is none.
    pub(crate) fn bound_at(&self, moment: Timestamp) -> Result<Position, Fault> {
        let begun = self.parts.partition_point(|part| part.meta().recorded.0 <= moment);
        let Some(part) = begun.checked_sub(1).map(|at| &self.parts[at]) else { return Ok(Position::ZERO) };
        if part.meta().recorded.1 <= moment {
            return Ok(part.meta().last);
        }
        Ok(part.bound_at(moment).map_err(self.fault())?.unwrap_or_default())
    }
}

impl Shelf {
    /// The last entry of the log that the parts have taken in, and who the members of the group were then; index and
    /// term are zero before the first cut.
    pub fn snapshot(&self) -> (Mark, Option<Members>) {
        let manifest = &self.manifest;
        let mark = Mark { index: manifest.applied.get(), term: manifest.applied_term };
        (mark, Members::decode(&manifest.members))
    }
}

impl Shelf {
    /// The file with this SHA-256, held open.
    pub fn file(&self, sha256: Hash) -> Option<SourceFile> {
        self.parts.iter().find_map(|part| {
            let meta = part.meta();
            let files = [(PartFile::Parquet, meta.parquet), (PartFile::Index, meta.index)];
            let (file, meta) = files.into_iter().find(|(_, meta)| meta.sha256 == sha256)?;
            Some(SourceFile::new(Arc::clone(part), file, meta.bytes))
        })
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}
