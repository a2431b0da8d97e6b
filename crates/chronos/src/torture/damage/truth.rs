//! What nodes answer, held against what they were told.
//!
//! Everything that was ever acknowledged is known, and nothing else was sent, but for appends that were answered with an
//! error and may have happened all the same: those are known by their entity and type. So an answer is the truth, or it
//! is wrong in one of two ways: something acknowledged is not in it though it claims to be complete, or something is in
//! it that nobody sent, or elsewhere than was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use chronos_client::{Appended, Consistency, Read};
use chronos_domain::{EntityId, EventId, PartitionId, Token};
use futures::future::join_all;
use serde_json::Value;

use crate::connect::Connection;
use crate::demo::ledger::Promise;
use crate::fleet::ask;

/// Events of one page.
const PAGE: u64 = 1000;
/// What a node gets for one answer, in milliseconds.
const TIMEOUT_MS: u64 = 1500;
/// Events and entities that are asked for by name, in one round.
const SAMPLE: usize = 24;

/// What was said, in all rounds.
#[derive(Default)]
pub(super) struct Heard {
    /// Answers that were the truth.
    pub(super) true_answers: u64,
    /// Answers that were errors.
    pub(super) errors: u64,
    /// One of them.
    pub(super) example: Option<String>,
    /// Answers that were neither.
    pub(super) wrong: BTreeSet<String>,
    rounds: usize,
}

enum Said {
    True,
    Error(String),
    Wrong(String),
}

/// Everything that is known.
pub(super) struct Truth {
    /// The events of each partition, by position from 1.
    partitions: BTreeMap<PartitionId, Vec<EventId>>,
    promises: BTreeMap<EventId, Promise>,
    versions: BTreeMap<EntityId, u64>,
    /// Entities of which more may be stored than was acknowledged.
    unsure: BTreeSet<String>,
}

/// How complete an answer must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// Everything up to some moment.
    Prefix,
    /// Everything.
    All,
}

impl Truth {
    pub(super) fn of(mut promises: Vec<Promise>) -> Self {
        let mut truth = Self {
            partitions: PartitionId::all().map(|id| (id, Vec::new())).collect(),
            promises: BTreeMap::new(),
            versions: BTreeMap::new(),
            unsure: BTreeSet::new(),
        };
        promises.sort_by_key(|promise| (promise.partition, promise.position));
        for promise in promises {
            truth.enter(promise);
        }
        truth
    }

    fn enter(&mut self, promise: Promise) {
        let events = self.partitions.entry(promise.partition).or_default();
        assert_eq!(events.len() as u64 + 1, promise.position.get(), "all that was sent was acknowledged");
        events.push(promise.event_id);
        let version = self.versions.entry(promise.entity_id.clone()).or_default();
        *version = (*version).max(promise.version.get());
        self.promises.insert(promise.event_id, promise);
    }

    /// One more event was acknowledged.
    pub(super) fn add(&mut self, stored: &Appended, entity: &EntityId) {
        let (Some(event_id), Some(version)) = (stored.event_ids.first(), stored.versions.first()) else {
            return;
        };
        self.enter(Promise {
            event_id: *event_id,
            entity_id: entity.clone(),
            partition: stored.partition,
            position: stored.first_position,
            version: *version,
        });
    }

    /// An append to the entity was answered with an error.
    pub(super) fn may_have_grown(&mut self, entity: &EntityId) {
        self.unsure.insert(entity.as_str().to_owned());
    }

    /// An entity of every partition that has one.
    pub(super) fn one_entity_each(&self) -> Vec<EntityId> {
        let first = |events: &Vec<EventId>| self.promises.get(events.first()?).map(|it| it.entity_id.clone());
        self.partitions.values().filter_map(first).collect()
    }

    fn token(&self) -> Token {
        let mut token = Token::new();
        self.promises.values().for_each(|promise| token.advance(promise.partition, promise.position));
        token
    }

    /// Asks one node for every partition, in every way, and for some events and entities by name.
    pub(super) async fn ask(&self, address: &str, heard: &mut Heard) {
        heard.rounds += 1;
        let all = PartitionId::all();
        let ways = [("consistency=local", Claim::Prefix), ("consistency=linearizable", Claim::All)];
        let partitions = all.flat_map(|id| ways.map(|(way, claim)| self.partition(address, id, way, claim)));
        join_all(partitions).await.into_iter().for_each(|said| heard.take(address, said));
        let step = (self.promises.len() / SAMPLE).max(1);
        let some: Vec<&Promise> = self.promises.values().skip(heard.rounds % step).step_by(step).collect();
        let events = some.iter().map(|promise| self.event(address, promise));
        join_all(events).await.into_iter().for_each(|said| heard.take(address, said));
        let entities = some.iter().map(|promise| self.entity(address, &promise.entity_id));
        join_all(entities).await.into_iter().for_each(|said| heard.take(address, said));
    }

    /// Asks as a program does that does not care which node answers.
    pub(super) async fn ask_through(&self, connection: &Connection, heard: &mut Heard) {
        let token = self.token();
        let reading = PartitionId::all().map(|id| self.read(connection, id, &token));
        join_all(reading).await.into_iter().for_each(|said| heard.take("sdk", said));
    }

    async fn read(&self, connection: &Connection, id: PartitionId, token: &Token) -> Said {
        let wanted = Read::partition(id).consistency(Consistency::AtLeast(token.clone()));
        let mut events = match connection.read(wanted).await {
            Ok(events) => events,
            Err(error) => return Said::Error(error.to_string()),
        };
        let mut seen = 0;
        loop {
            match events.next().await {
                Ok(Some(event)) => {
                    let at = (event.position.get(), event.event_id, event.version.get());
                    if let Some(wrong) = self.misplaced(id, seen, at, event.entity_id.as_str()) {
                        return Said::Wrong(wrong);
                    }
                    seen += 1;
                }
                Ok(None) => return self.complete(id, seen, Claim::All),
                Err(error) => return Said::Error(error.to_string()),
            }
        }
    }

    /// All pages of a partition.
    async fn partition(&self, address: &str, id: PartitionId, way: &str, claim: Claim) -> Said {
        let mut seen = 0;
        loop {
            let from = seen + 1;
            let path =
                format!("/v1/partitions/{id}/events?limit={PAGE}&from={from}&{way}&timeout_ms={TIMEOUT_MS}");
            let page = match ask::answer(address, &path).await {
                Ok((200, page)) => page,
                Ok((status, why)) => return Said::Error(format!("{status} {}", why["detail"])),
                Err(error) => return Said::Error(error.to_string()),
            };
            let Some(events) = page["events"].as_array() else {
                return Said::Wrong(format!("partition {id}: no events in {page}"));
            };
            for event in events {
                let Some((at, entity)) = told(event) else {
                    return Said::Wrong(format!("partition {id}: {event} is no event"));
                };
                if let Some(wrong) = self.misplaced(id, seen, at, entity) {
                    return Said::Wrong(wrong);
                }
                seen += 1;
            }
            if page["next"].is_null() {
                return self.complete(id, seen, claim);
            }
        }
    }

    /// What is wrong with the next event of a partition, if anything.
    fn misplaced(
        &self,
        id: PartitionId,
        seen: u64,
        (position, event_id, version): (u64, EventId, u64),
        entity: &str,
    ) -> Option<String> {
        if position != seen + 1 {
            return Some(format!("partition {id}: position {position} follows {seen}"));
        }
        match self.partitions[&id].get(seen as usize) {
            Some(known) if *known == event_id => {
                let promise = &self.promises[known];
                let same = promise.version.get() == version && promise.entity_id.as_str() == entity;
                (!same).then(|| format!("partition {id}, position {position}: version {version} of {entity}"))
            }
            Some(known) => {
                Some(format!("partition {id}, position {position}: {event_id} instead of {known}"))
            }
            None if self.unsure.contains(entity) => None,
            None => Some(format!("partition {id}, position {position}: {event_id} was never acknowledged")),
        }
    }

    fn complete(&self, id: PartitionId, seen: u64, claim: Claim) -> Said {
        let known = self.partitions[&id].len() as u64;
        if claim == Claim::All && seen < known {
            return Said::Wrong(format!("partition {id}: {seen} events were read of {known}"));
        }
        Said::True
    }

    async fn event(&self, address: &str, promise: &Promise) -> Said {
        let id = promise.event_id;
        match ask::answer(address, &format!("/v1/events/{id}")).await {
            Ok((200, event)) => match told(&event) {
                Some(((position, found, version), entity))
                    if (position, found, version) == (promise.position.get(), id, promise.version.get())
                        && entity == promise.entity_id.as_str() =>
                {
                    Said::True
                }
                _ => Said::Wrong(format!("event {id} is {event}")),
            },
            Ok((404, _)) => {
                Said::Wrong(format!("event {id} of partition {} is said not to be", promise.partition))
            }
            Ok((status, why)) => Said::Error(format!("{status} {}", why["detail"])),
            Err(error) => Said::Error(error.to_string()),
        }
    }

    /// The last event of an entity, linearizable as it is without saying so.
    async fn entity(&self, address: &str, entity: &EntityId) -> Said {
        let name = ask::encoded(entity.as_str());
        let path = format!("/v1/entities/{name}/events?backward=true&limit=1&timeout_ms={TIMEOUT_MS}");
        let known = self.versions[entity];
        match ask::answer(address, &path).await {
            Ok((200, page)) => match page["events"][0]["version"].as_u64() {
                Some(version) if version == known => Said::True,
                Some(version) if version > known && self.unsure.contains(entity.as_str()) => Said::True,
                found => Said::Wrong(format!("{entity} is at version {found:?} instead of {known}")),
            },
            Ok((status, why)) if status != 404 => Said::Error(format!("{status} {}", why["detail"])),
            Ok((status, _)) => Said::Wrong(format!("{entity} is said not to be ({status})")),
            Err(error) => Said::Error(error.to_string()),
        }
    }
}

impl Heard {
    fn take(&mut self, who: &str, said: Said) {
        match said {
            Said::True => self.true_answers += 1,
            Said::Error(why) => {
                self.errors += 1;
                self.example.get_or_insert(why);
            }
            Said::Wrong(what) => drop(self.wrong.insert(format!("{who}: {what}"))),
        }
    }
}

/// Position, id and version, and of which entity.
fn told(event: &Value) -> Option<((u64, EventId, u64), &str)> {
    let id = EventId::parse(event["event_id"].as_str()?).ok()?;
    Some(((event["position"].as_u64()?, id, event["version"].as_u64()?), event["entity_id"].as_str()?))
}

#[cfg(test)]
mod tests {
    use chronos_domain::{Position, Version};

    use super::*;

    fn promise(position: u64) -> Promise {
        Promise {
            event_id: EventId::from_u128(u128::from(position)),
            entity_id: EntityId::parse("e").unwrap(),
            partition: PartitionId::new(3).unwrap(),
            position: Position::new(position),
            version: Version::new(position),
        }
    }

    #[test]
    fn an_answer_is_wrong_when_it_misses_or_makes_up_or_misplaces_something() {
        let mut truth = Truth::of((1..=3).map(promise).collect());
        let id = PartitionId::new(3).unwrap();
        let event = |n: u64| EventId::from_u128(u128::from(n));
        let wrong = |truth: &Truth, seen, at| truth.misplaced(id, seen, at, "e").is_some();
        assert!(!wrong(&truth, 0, (1, event(1), 1)));
        assert!(wrong(&truth, 0, (2, event(2), 2)), "a gap");
        assert!(wrong(&truth, 1, (2, event(1), 2)), "another event");
        assert!(wrong(&truth, 1, (2, event(2), 1)), "another version");
        assert!(wrong(&truth, 3, (4, event(9), 4)), "nobody sent it");
        truth.may_have_grown(&EntityId::parse("e").unwrap());
        assert!(!wrong(&truth, 3, (4, event(9), 4)), "it was sent, and answered with an error");
        assert!(matches!(truth.complete(id, 2, Claim::All), Said::Wrong(_)));
        assert!(matches!(truth.complete(id, 2, Claim::Prefix), Said::True));
        assert!(matches!(truth.complete(id, 4, Claim::All), Said::True));
    }
}
