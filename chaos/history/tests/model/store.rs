//! The store: one log a partition, everything in apply.

use std::collections::BTreeMap;

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::Logged;
use chronos_history::line::Scope;
use chronos_history::*;

use super::Dice;

pub struct Store {
    parts: Vec<Part>,
    places: BTreeMap<EventId, (Partition, u64)>,
    clock: i64,
}

struct Part {
    log: Vec<Logged>,
    sums: Vec<RangeHash>,
    /// Where batches end.
    ends: Vec<u64>,
    entities: BTreeMap<EntityId, Vec<u64>>,
}

impl Store {
    pub fn new(partitions: u32) -> Store {
        let part = || Part {
            log: Vec::new(),
            sums: vec![RangeHash::EMPTY],
            ends: vec![0],
            entities: BTreeMap::new(),
        };
        Store { parts: (0..partitions).map(|_| part()).collect(), places: BTreeMap::new(), clock: 1_000_000 }
    }

    fn part(&self, part: Partition) -> &Part {
        &self.parts[part.0 as usize]
    }

    pub fn head(&self, part: Partition) -> u64 {
        self.part(part).log.len() as u64
    }

    pub fn log(&self, part: Partition) -> &[Logged] {
        &self.part(part).log
    }

    pub fn prefix(&self, part: Partition, to: u64) -> Hash {
        self.part(part).sums[to as usize].get()
    }

    pub fn version(&self, part: Partition, entity: EntityId) -> u64 {
        self.part(part).entities.get(&entity).map_or(0, |positions| positions.len() as u64)
    }

    pub fn some_end(&self, part: Partition, dice: &mut Dice) -> u64 {
        let ends = &self.part(part).ends;
        ends[dice.below(ends.len() as u64) as usize]
    }

    pub fn some_time(&self, part: Partition, dice: &mut Dice) -> i64 {
        let end = self.some_end(part, dice);
        end.checked_sub(1).map_or(0, |at| self.part(part).log[at as usize].at)
    }

    /// Does what is asked for, and answers. A weak read sees at least what its session has been shown.
    pub fn perform(&mut self, scope: &Scope, call: &Call, dice: &mut Dice, least: u64) -> Outcome {
        let part = scope.part.unwrap_or_default();
        match call {
            Call::Append(append) => self.append(part, append),
            Call::Read(read) => Outcome::Ok(Answer::Read(self.read(part, read, dice, least))),
            Call::Entity(read) => Outcome::Ok(Answer::Entity(self.entity(part, read, dice, least))),
            Call::Get(get) => Outcome::Ok(Answer::Get(self.get(get.id))),
            _ => unreachable!("the model asks for nothing else"),
        }
    }

    fn append(&mut self, part: Partition, append: &Append) -> Outcome {
        let wm = |store: &Store| Some(Position(store.head(part)));
        if let Some((_, first)) = self.places.get(&append.events[0].id).copied() {
            let last = first + append.events.len() as u64 - 1;
            let revs = (first..=last).map(|at| self.log(part)[at as usize - 1].version).collect();
            let (first, last) = (Position(first), Position(last));
            let (rev, term, by) = (None, Some(Term(1)), None);
            let answer = Appended { first, last, rev, revs, term, wm: wm(self), dedup: true, by };
            return Outcome::Ok(Answer::Append(answer));
        }
        for (entity, expect) in &append.expects {
            let version = Version(self.version(part, *entity));
            if !expect.allows(version) {
                return Outcome::Fail(Refusal { reason: Reason::WrongVersion, rev: Some(version) });
            }
        }
        let first = Position(self.head(part) + 1);
        self.clock += 1;
        let revs = append.events.iter().map(|event| self.write(part, event)).collect();
        let last = Position(self.head(part));
        self.parts[part.0 as usize].ends.push(last.0);
        let (rev, term, by) = (None, Some(Term(1)), None);
        Outcome::Ok(Answer::Append(Appended { first, last, rev, revs, term, wm: wm(self), dedup: false, by }))
    }

    fn write(&mut self, number: Partition, event: &Event) -> Version {
        let part = &mut self.parts[number.0 as usize];
        let at = part.log.len() as u64 + 1;
        let positions = part.entities.entry(event.entity).or_default();
        positions.push(at);
        let version = Version(positions.len() as u64);
        let logged = Logged {
            id: event.id,
            entity: event.entity,
            version,
            hash: event.hash,
            at: self.clock,
            tenant: Tenant(0),
        };
        let mut sum = part.sums[part.log.len()];
        sum.push(word(&logged));
        part.sums.push(sum);
        part.log.push(logged);
        self.places.insert(event.id, (number, at));
        version
    }

    /// The head that a read works with.
    fn tail(&self, part: Partition, mode: Mode, dice: &mut Dice, least: u64) -> u64 {
        let Part { log, ends, .. } = self.part(part);
        match mode {
            Mode::Strong => log.len() as u64,
            Mode::AsOf(Then::Pos(position)) => position.0,
            Mode::AsOf(Then::Time(micros)) => log.partition_point(|logged| logged.at <= micros) as u64,
            Mode::AsOf(Then::Rev(_)) => unreachable!("the model does not ask so"),
            Mode::Weak | Mode::AtLeast(_) => {
                let lagging = ends[ends.len() - 1 - dice.below(ends.len().min(4) as u64) as usize];
                let asked = if let Mode::AtLeast(position) = mode { position.0 } else { 0 };
                lagging.max(least).max(asked).min(log.len() as u64)
            }
        }
    }

    fn read(&self, part: Partition, read: &Read, dice: &mut Dice, least: u64) -> Range {
        let tail = self.tail(part, read.mode, dice, least);
        let from = read.from.0;
        let last = tail.max(from - 1);
        let events = if from <= tail { &self.log(part)[from as usize - 1..tail as usize] } else { &[] };
        let hash = if from == 1 { self.prefix(part, tail) } else { hash(events) };
        Range {
            from: read.from,
            last: Position(last),
            tail: Position(tail),
            count: events.len() as u64,
            hash,
            wm: Position(tail),
            mode: read.mode.name(),
            term: None,
            bad: 0,
        }
    }

    fn entity(&self, part: Partition, read: &ReadEntity, dice: &mut Dice, least: u64) -> EntityRange {
        let tail = self.tail(part, read.mode, dice, least);
        let positions = self.part(part).entities.get(&read.stream).map_or(&[][..], Vec::as_slice);
        let rev = positions.partition_point(|at| *at <= tail);
        let hash = hash(positions[..rev].iter().map(|at| &self.log(part)[*at as usize - 1]));
        let (rev, mode) = (Version(rev as u64), read.mode.name());
        EntityRange {
            from: Version(1),
            last: rev,
            rev,
            count: rev.0,
            hash,
            wm: Some(Position(tail)),
            mode,
            bad: 0,
        }
    }

    fn get(&self, id: EventId) -> Option<Found> {
        let (part, at) = *self.places.get(&id)?;
        let logged = self.log(part)[at as usize - 1];
        let (stream, rev, hash) = (logged.entity, logged.version, logged.hash);
        Some(Found { part, at: Position(at), stream, rev, hash })
    }

    /// Whether it has any of the events.
    pub fn knows(&self, append: &Append) -> bool {
        append.events.iter().any(|event| self.places.contains_key(&event.id))
    }

    /// A lie: the partition as it was before the batch with this position.
    pub fn stale(&self, part: Partition, acked: u64) -> Outcome {
        let ends = &self.part(part).ends;
        let tail = ends[ends.partition_point(|end| *end < acked) - 1];
        let read = Read { from: Position(1), mode: Mode::AsOf(Then::Pos(Position(tail))) };
        let range = self.read(part, &read, &mut Dice::new(0), 0);
        Outcome::Ok(Answer::Read(Range { mode: ModeName::Strong, ..range }))
    }

    /// A lie: says yes and stores nothing.
    pub fn lose(&mut self, scope: &Scope, call: &Call) -> Outcome {
        let Call::Append(append) = call else { unreachable!("only appends get lost") };
        let part = scope.part.unwrap_or_default();
        let (log, places, clock) = (self.part(part).log.len(), self.places.clone(), self.clock);
        let (ends, sums) = (self.part(part).ends.len(), self.part(part).sums.len());
        let entities = self.part(part).entities.clone();
        let outcome = self.append(part, append);
        let part = &mut self.parts[part.0 as usize];
        part.log.truncate(log);
        part.ends.truncate(ends);
        part.sums.truncate(sums);
        (part.entities, self.places, self.clock) = (entities, places, clock);
        outcome
    }

    /// A lie: stores, and says one position less.
    pub fn misplace(&mut self, scope: &Scope, call: &Call, dice: &mut Dice) -> Outcome {
        let mut outcome = self.perform(scope, call, dice, 0);
        if let Outcome::Ok(Answer::Append(answer)) = &mut outcome {
            (answer.first.0, answer.last.0) = (answer.first.0 - 1, answer.last.0 - 1);
        }
        outcome
    }

    /// What an outcome shows its session of the partition.
    pub fn shown(&self, scope: &Scope, call: &Call, outcome: &Outcome) -> u64 {
        match (call, outcome) {
            (_, Outcome::Ok(Answer::Append(appended))) => appended.last.0,
            (Call::Read(read), Outcome::Ok(Answer::Read(range))) if !matches!(read.mode, Mode::AsOf(_)) => {
                range.tail.0
            }
            (Call::Entity(read), Outcome::Ok(Answer::Entity(range)))
                if !matches!(read.mode, Mode::AsOf(_)) =>
            {
                let positions = self.part(scope.part.unwrap_or_default()).entities.get(&read.stream);
                let seen =
                    positions.zip(range.rev.0.checked_sub(1)).map(|(positions, at)| positions[at as usize]);
                // The end of its batch, which is what a replica had applied.
                seen.map_or(0, |seen| self.end_of_batch(scope.part.unwrap_or_default(), seen))
            }
            _ => 0,
        }
    }

    fn end_of_batch(&self, part: Partition, position: u64) -> u64 {
        let ends = &self.part(part).ends;
        ends[ends.partition_point(|end| *end < position)]
    }

    /// The steps of a `txn` with what was read.
    pub fn steps(&self, scope: &Scope, call: &Call, outcome: &Outcome) -> Vec<Micro> {
        let part = scope.part.unwrap_or_default();
        match (call, outcome) {
            (Call::Read(_), Outcome::Ok(Answer::Read(range))) => {
                let ids = self.log(part)[..range.tail.0 as usize].iter().map(|logged| logged.id).collect();
                vec![Micro::Read(part, Some(ids))]
            }
            (Call::Append(append), _) => {
                append.events.iter().map(|event| Micro::Append(part, event.id)).collect()
            }
            _ => Vec::new(),
        }
    }
}

pub fn word(event: &Logged) -> Word {
    Word::new(event.id, event.entity, event.version, event.tenant, event.hash)
}

pub fn hash<'a>(events: impl IntoIterator<Item = &'a Logged>) -> Hash {
    let mut hash = RangeHash::EMPTY;
    events.into_iter().for_each(|event| hash.push(word(event)));
    hash.get()
}
