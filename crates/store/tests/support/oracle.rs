//! What a partition must hold and answer: the domain's referee, the blocks that were accepted, and every read done by
//! walking over all events.

use chronos_block::{Compression, Draft, Filter, Packer, Recorded};
use chronos_domain::model::{Model, Stored};
use chronos_domain::{
    Append, Batch, EntityId, EventId, EventType, ForkId, Index, PartitionId, PartitionState, Position, Space,
    TenantId, Timestamp, Truncate, Verdict, Version, truncate,
};
use chronos_proof::{Hash, chain_next, chain_start, subtree_root};
use chronos_store::{AppendCommand, Command, Direction, Outcome, Page, Partition, Range, TruncateCommand};

use super::commands::{ENTITIES, FORKS, TENANTS, TYPES, entity, kind, tag};

#[derive(Clone)]
pub(crate) struct Oracle {
    numbers: PartitionState,
    model: Model,
    /// The leaf hash of each position, as it was before anything was erased.
    leaves: Vec<Hash>,
    /// What each position says.
    recorded: Vec<Recorded>,
    /// Appends that were stored, in order.
    pub(crate) commands: Vec<AppendCommand>,
    clock: i64,
}

impl Oracle {
    pub(crate) fn new(partition: u8) -> Oracle {
        let numbers = PartitionState::new(PartitionId::new(partition).unwrap());
        let (model, leaves, recorded) = (Model::new(), Vec::new(), Vec::new());
        Oracle { numbers, model, leaves, recorded, commands: Vec::new(), clock: 0 }
    }

    pub(crate) fn head(&self) -> Position {
        self.model.head()
    }

    pub(crate) fn clock(&self) -> i64 {
        self.clock
    }

    pub(crate) fn version(&self, tenant: &TenantId, fork: ForkId, about: u8) -> Version {
        let space = Space { tenant: tenant.as_str(), fork };
        Version::new(self.model.history(space, entity(about).as_str()).count() as u64)
    }

    pub(crate) fn apply(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Append(append) => Outcome::Append(self.append(append)),
            Command::Truncate(truncate) => self.truncate(truncate),
            Command::Cut(_) => Outcome::Cut(self.head()),
            Command::Tick(tick) => {
                self.clock = self.clock.max(tick.recorded_at.get());
                self.numbers.pass(tick.recorded_at);
                Outcome::Tick(self.numbers.recorded_at())
            }
        }
    }

    fn truncate(&mut self, command: &TruncateCommand) -> Outcome {
        let (space, entity) = (command.space(), command.entity.as_str());
        let Ok(decided) = truncate(&self.model, &Truncate { space, entity, before: command.before });
        if let Ok(truncated) = &decided
            && truncated.moved
        {
            self.model.truncate(space, entity, truncated.before);
            for event in &mut self.recorded {
                if self.model.is_erased(self.model.at(event.position).unwrap()) && !event.erased {
                    *event = without_content(event);
                }
            }
        }
        Outcome::Truncate(decided)
    }

    fn append(&mut self, command: &AppendCommand) -> Verdict {
        self.clock = self.clock.max(command.recorded_at.get());
        let append =
            Append { space: command.space(), recorded_at: command.recorded_at, batch: &command.block };
        let Ok(verdict) = self.numbers.apply(&self.model, &append);
        let Verdict::Stored(receipt) = &verdict else { return verdict };
        let versions = receipt.versions(&command.block);
        for (i, version) in versions.into_iter().enumerate() {
            let event = command.block.event(i);
            self.model.insert(Stored {
                tenant: command.tenant.to_string(),
                fork: command.fork,
                entity: event.entity_id.to_owned(),
                version,
                position: receipt.position(i),
                recorded_at: receipt.recorded_at,
                id: event.event_id,
                content: command.block.content(i),
                event_type: event.event_type.to_owned(),
                tags: event.tags.map(str::to_owned).collect(),
            });
            let recorded = Recorded {
                block: command.block.clone(),
                slot: i as u16,
                tenant: command.tenant.clone(),
                fork: command.fork,
                partition: self.numbers.partition(),
                position: receipt.position(i),
                version,
                recorded_at: receipt.recorded_at,
                erased: false,
            };
            self.leaves.push(chronos_parts::leaf_of(&recorded, command.fork));
            self.recorded.push(recorded);
        }
        self.commands.push(command.clone());
        verdict
    }

    fn at(&self, position: Position) -> Option<&Recorded> {
        self.recorded.get(usize::try_from(position.get().checked_sub(1)?).unwrap())
    }

    /// Everything a reader can ask must be answered as the oracle would.
    pub(crate) fn check(&self, partition: &Partition) {
        let head = self.head();
        assert_eq!(partition.head(), head);
        assert_eq!(partition.watch().borrow().get(), head.get());
        assert_eq!(partition.stats().events, head.get());
        self.check_points(partition);
        self.check_moments(partition);
        self.check_digests(partition);
        let head = head.get();
        let bounds =
            [Position::MAX, Position::new(head / 2), Position::new(head.saturating_sub(1)), Position::ZERO];
        for space in spaces() {
            for bound in bounds {
                for direction in [Direction::Forward, Direction::Backward] {
                    self.check_entities(partition, space, bound, direction);
                    self.check_scans(partition, space, bound, direction);
                }
            }
        }
    }

    /// Every event is there with its numbers and its bytes, and no other.
    pub(crate) fn check_events(&self, partition: &Partition) {
        assert_eq!(partition.head(), self.head());
        for n in 0..=self.head().get() + 1 {
            let read = partition.at(Position::new(n)).unwrap();
            self.check_event(Position::new(n), read);
        }
    }

    /// What was read at a position.
    pub(crate) fn check_event(&self, position: Position, read: Option<Recorded>) {
        same_events(read.as_slice(), &self.at(position).into_iter().collect::<Vec<_>>());
    }

    fn check_points(&self, partition: &Partition) {
        self.check_events(partition);
        for stored in self.model.events() {
            for space in spaces() {
                let known = self.model.by_id(space, stored.id).and_then(|stored| self.at(stored.position));
                let read = partition.by_id(space, stored.id).unwrap();
                same_events(read.as_slice(), &known.into_iter().collect::<Vec<_>>());
            }
        }
        assert!(partition.by_id(space_of(0, 0), EventId::from_u128(u128::MAX)).unwrap().is_none());
    }

    /// The digest of any past is the one that a plain chain and a plain tree over all leaves come to, and every event is
    /// proven against it.
    fn check_digests(&self, partition: &Partition) {
        let head = self.head().get();
        for at in [head, head / 2, head / 3, head.saturating_sub(1), 0] {
            let digest = partition.digest(Some(Position::new(at))).unwrap();
            let leaves = &self.leaves[..usize::try_from(at).unwrap()];
            let chain =
                leaves.iter().fold(chain_start(partition.id()), |chain, leaf| chain_next(chain, *leaf));
            assert_eq!((digest.position.get(), digest.chain), (at, chain));
            assert_eq!(digest.root, subtree_root(leaves));
            for stored in self.model.events().iter().step_by(7) {
                let proof = partition.prove(stored.space(), stored.id, Some(Position::new(at))).unwrap();
                match proof {
                    Some(proof) => proof.check(digest.digest).unwrap(),
                    None => assert!(stored.position.get() > at),
                }
            }
        }
        assert_eq!(partition.digest(None).unwrap().position, self.head());
    }

    fn check_moments(&self, partition: &Partition) {
        for moment in -5..self.clock + 2 {
            let moment = Timestamp::new(moment);
            let before = self.recorded.iter().filter(|event| event.recorded_at <= moment).count();
            assert_eq!(partition.bound_at(moment).unwrap().get(), before as u64, "as of {moment}");
        }
    }

    fn check_entities(&self, partition: &Partition, space: Space<'_>, bound: Position, direction: Direction) {
        for n in 0..=ENTITIES {
            let id = entity(n);
            let history = self.model.history(space, id.as_str()).filter(|stored| stored.position <= bound);
            let mut wanted: Vec<&Recorded> =
                history.map(|stored| self.at(stored.position).unwrap()).collect();
            let version = Version::new(wanted.len() as u64);
            assert_eq!(partition.version_at_bound(space, id.as_str(), bound).unwrap(), version);
            let Ok(truncated_before) = self.model.truncated_before(space, id.as_str());
            assert_eq!(partition.tombstone(space, id.as_str()), truncated_before);
            wanted.retain(|event| !event.erased);
            if direction == Direction::Backward {
                wanted.reverse();
            }
            for limits in LIMITS {
                let read = |range| {
                    let page = partition.entity(space, id.as_str(), range).unwrap();
                    assert_eq!(page.truncated_before, truncated_before);
                    page
                };
                self.check_pages(&wanted, bound, direction, limits, |e| e.version.get(), read);
            }
        }
    }

    fn check_scans(&self, partition: &Partition, space: Space<'_>, bound: Position, direction: Direction) {
        for filter in filters() {
            let of_space = |event: &&Recorded| {
                self.model.at(event.position).unwrap().space() == space && event.position <= bound
            };
            let mut wanted: Vec<&Recorded> =
                self.recorded.iter().filter(of_space).filter(|event| filter.matches(event)).collect();
            if direction == Direction::Backward {
                wanted.reverse();
            }
            for limits in LIMITS {
                let read = |range| partition.scan(space, range, &filter).unwrap();
                self.check_pages(&wanted, bound, direction, limits, |e| e.position.get(), read);
            }
        }
    }

    /// Reads all pages one after the other, from the end and from every number in between.
    fn check_pages(
        &self,
        wanted: &[&Recorded],
        bound: Position,
        direction: Direction,
        (events_max, bytes_max): (usize, usize),
        number: impl Fn(&Recorded) -> u64,
        read: impl Fn(Range) -> Page,
    ) {
        let base = if direction == Direction::Forward { Range::forward() } else { Range::backward() };
        let range = Range { bound, direction, events_max, bytes_max, ..base };
        let mut starts = vec![base.from];
        starts.extend(wanted.iter().step_by(3).map(|event| number(event)));
        for from in starts {
            let rest = wanted.iter().filter(|event| match direction {
                Direction::Forward => number(event) >= from,
                Direction::Backward => number(event) <= from,
            });
            let rest: Vec<&Recorded> = rest.copied().collect();
            let mut got = Vec::new();
            let mut next = Some(from);
            while let Some(from) = next {
                let page = read(range.starting(from));
                self.check_page(&page, bound, direction, events_max, from);
                got.extend(page.events);
                next = page.next;
            }
            same_events(&got, &rest);
        }
    }

    fn check_page(&self, page: &Page, bound: Position, direction: Direction, events_max: usize, from: u64) {
        assert_eq!(page.applied, self.head());
        assert!(page.events.len() <= events_max);
        assert!(page.events.iter().all(|event| event.position <= bound.min(page.applied)));
        match (page.next, direction) {
            (Some(next), Direction::Forward) => assert!(next > from),
            (Some(next), Direction::Backward) => assert!(next < from),
            (None, Direction::Forward) => assert_eq!(page.examined, bound.min(page.applied)),
            (None, Direction::Backward) => {}
        }
        let furthest = page.events.last().map(|event| event.position);
        match (furthest, direction) {
            (Some(last), Direction::Forward) => assert!(page.examined >= last),
            _ => assert!(page.examined <= page.applied),
        }
    }
}

/// Events and bytes of a page: one at a time, a few, few bytes, all.
const LIMITS: [(usize, usize); 4] =
    [(1, usize::MAX), (3, usize::MAX), (usize::MAX, 700), (usize::MAX, usize::MAX)];

fn space_of(tenant: usize, fork: u64) -> Space<'static> {
    Space { tenant: TENANTS[tenant], fork: ForkId::new(fork) }
}

fn spaces() -> impl Iterator<Item = Space<'static>> {
    (0..TENANTS.len()).flat_map(|tenant| (0..FORKS).map(move |fork| space_of(tenant, fork)))
}

fn filters() -> [Filter; 4] {
    let moment = Some(Timestamp::new(25));
    [
        Filter::default(),
        Filter { types: vec![kind(0).to_string(), kind(TYPES).to_string()], ..Filter::default() },
        Filter { tags: vec![tag(1).to_string()], occurred_until: moment, ..Filter::default() },
        Filter { entity_prefix: Some("entity-1".to_owned()), recorded_from: moment, ..Filter::default() },
    ]
}

/// What a truncation leaves of an event.
fn without_content(event: &Recorded) -> Recorded {
    let said = event.event();
    let (entity, event_type) =
        (EntityId::parse(said.entity_id).unwrap(), EventType::parse(said.event_type).unwrap());
    let mut packer = Packer::new();
    packer.push(Draft::json(said.event_id, entity, event_type, "")).unwrap();
    let block = packer.finish(Compression::None).unwrap();
    Recorded { block, slot: 0, erased: true, ..event.clone() }
}

/// Numbers, owner and every byte of what was said.
pub(crate) fn same_events(got: &[Recorded], wanted: &[&Recorded]) {
    let numbers = |e: &Recorded| {
        (e.position, e.version, e.recorded_at, e.partition, e.tenant.clone(), e.fork, e.erased)
    };
    let listed: Vec<_> = got.iter().map(numbers).collect();
    assert_eq!(listed, wanted.iter().map(|event| numbers(event)).collect::<Vec<_>>());
    for (a, b) in got.iter().zip(wanted) {
        let position = a.position;
        let (a, b) = (a.event(), b.event());
        assert_eq!(
            (a.event_id, a.entity_id, a.event_type, a.content_type, a.occurred_at),
            (b.event_id, b.entity_id, b.event_type, b.content_type, b.occurred_at),
            "position {position} came back as something else"
        );
        assert!(a.tags.eq(b.tags), "position {position} came back with other tags");
        assert_eq!((a.payload, a.metadata), (b.payload, b.metadata), "position {position}");
    }
}
