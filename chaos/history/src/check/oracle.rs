//! The final logs: found in the history's last lines, compared with each other, indexed.
//!
//! Everything that a final log shows by itself is judged here: S3, S6, S10, S15 and S26.

use std::collections::BTreeMap;

use super::log::{Log, word};
use super::map::Map;
use super::sequence::{Powers, Sequence};
use crate::fact::{End, Fact, LogChunk, Logged};
use crate::line::{Body, Line, Process};
use crate::report::Invariant::{S3, S6, S10, S15, S26};
use crate::report::{At, Tally};
use crate::{EntityId, EventId, Fork, Node, Partition, Tenant};

/// Where an event is: which log, which position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) log: usize,
    pub(super) at: u64,
}

/// The events of one entity.
pub(super) struct Trail {
    pub(super) log: usize,
    pub(super) events: Sequence,
}

pub(super) struct Oracle {
    pub(super) logs: Vec<Log>,
    pub(super) powers: Powers,
    named: Map<(Fork, Partition), usize>,
    places: Map<(Fork, Tenant, EventId), Place>,
    trails: Map<(Fork, Tenant, EntityId), Trail>,
}

/// One replica's copy of a log, as its lines have it.
#[derive(Default)]
struct Copy {
    line: u64,
    events: Vec<Logged>,
}

type Copies = BTreeMap<(Fork, Partition), BTreeMap<Node, Copy>>;

impl Oracle {
    pub(super) fn new(lines: &[Line], report: &mut Tally) -> Oracle {
        let (copies, end) = collect(lines, report);
        miss(&copies, end.as_ref(), lines, report);
        let logs: Vec<Log> =
            copies.into_iter().map(|(name, of_nodes)| agree(name, of_nodes, report)).collect();
        let longest = logs.iter().map(|log| log.events.len()).max().unwrap_or(0);
        let named = logs.iter().enumerate().map(|(at, log)| ((log.fork, log.part), at)).collect();
        let (places, trails) = (Map::default(), Map::default());
        let mut oracle = Oracle { logs, powers: Powers::up_to(longest), named, places, trails };
        for log in 0..oracle.logs.len() {
            oracle.index(log, report);
        }
        oracle
    }

    pub(super) fn named(&self, fork: Fork, part: Partition) -> Option<usize> {
        self.named.get(&(fork, part)).copied()
    }

    pub(super) fn place(&self, fork: Fork, tenant: Tenant, id: EventId) -> Option<Place> {
        self.places.get(&(fork, tenant, id)).copied()
    }

    pub(super) fn trail(&self, fork: Fork, tenant: Tenant, entity: EntityId) -> Option<&Trail> {
        self.trails.get(&(fork, tenant, entity))
    }

    fn index(&mut self, number: usize, report: &mut Tally) {
        let log = &self.logs[number];
        self.places.reserve(log.events.len());
        let at_line = At::line(log.line);
        let (mut latest, mut twins) = (i64::MIN, Vec::new());
        for (at, event) in (1..).zip(&log.events) {
            report.check(S26, at_line, latest <= event.at, || {
                format!(
                    "{}: position {at} was recorded at {}, the one before at {latest}",
                    log.name(),
                    event.at
                )
            });
            latest = event.at;
            let place = Place { log: number, at };
            let first = *self.places.entry((log.fork, event.tenant, event.id)).or_insert(place);
            if !report.check(S6, at_line, first == place, || {
                format!("{}: event {} is at position {at} and at {} before", log.name(), event.id, first.at)
            }) {
                twins.push(place);
            }
            let fresh = || Trail { log: number, events: Sequence::some() };
            let trail = self.trails.entry((log.fork, event.tenant, event.entity)).or_insert_with(fresh);
            let expected = trail.events.len() + 1;
            report.check(S10, at_line, trail.log == number && event.version.0 == expected, || {
                let (entity, version) = (event.entity, event.version);
                format!(
                    "{}: position {at} has version {version} of entity {entity}, not {expected}",
                    log.name()
                )
            });
            trail.events.push(at, word(event));
        }
        for twin in twins {
            self.logs[number].mark(twin.at).is_twin = true;
        }
    }
}

fn collect(lines: &[Line], report: &mut Tally) -> (Copies, Option<End>) {
    let (mut copies, mut end) = (Copies::new(), None);
    for line in lines {
        match (&line.body, &line.process) {
            (Body::Fact(Fact::Log(chunk)), Process::Node(node)) => {
                take(chunk, *node, line.index, &mut copies, report);
            }
            (Body::Fact(Fact::Log(_)), _) => {
                report.undecided(At::line(line.index), "a final log names no node");
            }
            (Body::Fact(Fact::End(value)), _) => end = Some(value.clone()),
            _ => {}
        }
    }
    (copies, end)
}

fn take(chunk: &LogChunk, node: Node, line: u64, copies: &mut Copies, report: &mut Tally) {
    let copy = copies.entry((chunk.fork, chunk.part)).or_default().entry(node).or_default();
    if copy.events.is_empty() {
        copy.line = line;
    }
    let expected = copy.events.len() as u64 + 1;
    report.check(S3, At::line(line), chunk.first.0 == expected, || {
        let (part, first) = (chunk.part, chunk.first);
        format!("{node}, partition {part}: the final log goes on at position {first}, not {expected}")
    });
    copy.events.extend_from_slice(&chunk.events);
}

/// Says which final logs the history must hold and does not.
fn miss(copies: &Copies, end: Option<&End>, lines: &[Line], report: &mut Tally) {
    let at = At::line(lines.last().map_or(0, |line| line.index));
    let Some(end) = end else {
        return report.undecided(at, "the history has no end: it was cut short, run again until it ends");
    };
    for (part, nodes) in &end.replicas {
        let held = copies.get(&(Fork(0), *part));
        for node in nodes {
            if !held.is_some_and(|of_nodes| of_nodes.contains_key(node)) {
                report.undecided(at, format!("the final log of partition {part} on {node} is missing"));
            }
        }
    }
}

/// Compares the replicas of a log and takes the one that most of them hold; of equals the longest, then the first.
fn agree((fork, part): (Fork, Partition), of_nodes: BTreeMap<Node, Copy>, report: &mut Tally) -> Log {
    let mut copies: Vec<(Node, Copy)> = of_nodes.into_iter().collect();
    let (chosen, Copy { line, events }) = copies.remove(best(&copies));
    for (node, copy) in &copies {
        report.check(S15, At::line(copy.line), copy.events == events, || {
            let differs = copy.events.iter().zip(&events).position(|(a, b)| a != b);
            let at = differs.unwrap_or_else(|| copy.events.len().min(events.len())) + 1;
            format!("partition {part}: the final logs of {node} and {chosen} differ from position {at} on")
        });
    }
    Log::new(fork, part, line, events)
}

fn best(copies: &[(Node, Copy)]) -> usize {
    let is_like = |a: usize, b: usize| copies[a].1.events == copies[b].1.events;
    if (1..copies.len()).all(|other| is_like(0, other)) {
        return 0;
    }
    let held_by = |one| (0..copies.len()).filter(|other| is_like(one, *other)).count();
    let ranked = (0..copies.len()).rev().max_by_key(|one| (held_by(*one), copies[*one].1.events.len()));
    ranked.unwrap_or(0)
}
