//! One client, from its first operation to its last.

mod reads;

use std::sync::Arc;
use std::time::Duration;

use chronos_block::{Block, Compression, Packer};
use chronos_client::{
    Client, Condition, EntityId, EventType, Expectation, PartitionId, QueryItem, Token, Version,
};
use chronos_env::{Entropy, Env};
use chronos_history as history;
use chronos_history::call::{self, Call, Mode};
use chronos_history::line::Scope;
use chronos_history::{Append, Expect, Label, Position};
use parking_lot::Mutex;

use super::knowledge::Knowledge;
use super::recorder::of_append;
use super::{Origin, Recorder, content};
use crate::plan::{Deed, Load};

/// Events of an append of several.
const MANY_MAX: u64 = 12;
/// Bytes of an event that is large: mostly up to the first, once in a while up to the second.
const LARGE_BYTES: (u64, u64) = (1 << 14, 1 << 20);
/// One in so many large events is as large as can be.
const LARGEST: u64 = 24;
/// Entities to which half of all that is written goes.
const HOT: u64 = 6;

/// What a client works with.
#[derive(Clone)]
pub(crate) struct Bearings {
    pub(crate) env: Env,
    pub(crate) recorder: Recorder,
    pub(crate) load: Load,
    /// When it begins nothing any more, by its monotonic clock.
    pub(crate) until: Duration,
    knowledge: Arc<Mutex<Knowledge>>,
}

impl Bearings {
    pub(crate) fn new(env: Env, recorder: Recorder, load: Load, until: Duration) -> Bearings {
        Bearings { env, recorder, load, until, knowledge: Arc::default() }
    }

    /// The same work, seen from another machine.
    pub(crate) fn from(&self, env: Env) -> Bearings {
        Bearings { env, ..self.clone() }
    }
}

/// Does one thing after the other until the time is over.
pub(crate) async fn live(bearings: Bearings, sdk: Client, number: u32) {
    let dice = bearings.env.entropy.child(&bearings.recorder.origin().of_round("deeds"));
    let me = bearings.recorder.client();
    let session = history::Session(number);
    let mut hand = Hand { bearings, sdk, dice, me, session, heard: Token::new() };
    hand.work().await;
}

struct Hand {
    bearings: Bearings,
    sdk: Client,
    dice: Entropy,
    me: history::Client,
    session: history::Session,
    /// Covers whatever this client was told, by appends and by reads that carry its session.
    heard: Token,
}

impl Hand {
    async fn work(&mut self) {
        let clock = self.bearings.env.clock.clone();
        loop {
            clock.sleep(self.pause()).await;
            if clock.monotonic() >= self.bearings.until {
                return;
            }
            let deed = self.draw_deed();
            self.perform(deed).await;
        }
    }

    /// Between two operations: of any length up to twice the mean of the hour.
    fn pause(&self) -> Duration {
        let load = &self.bearings.load;
        let hour = self.bearings.env.clock.monotonic().as_secs() / 3600;
        let times = load.day.get((hour % load.day.len().max(1) as u64) as usize).unwrap_or(&1.0);
        let mean_us = 1e6 / (load.rate * times).max(1e-3);
        Duration::from_micros(self.dice.below((2.0 * mean_us) as u64 + 1))
    }

    fn draw_deed(&self) -> Deed {
        let mix = &self.bearings.load.mix;
        let sum: u64 = mix.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut draw = self.dice.below(sum.max(1));
        let chosen = mix.iter().find(|(_, weight)| {
            let hit = draw < u64::from(*weight);
            draw = draw.saturating_sub(u64::from(*weight));
            hit
        });
        chosen.map_or(Deed::Append, |(deed, _)| *deed)
    }

    fn draw_entity(&self) -> u64 {
        let all = self.bearings.load.entities.max(1);
        1 + if self.dice.below(2) == 0 { self.dice.below(all.min(HOT)) } else { self.dice.below(all) }
    }

    fn scope(&self, partition: PartitionId, in_session: bool) -> Scope {
        Scope {
            part: Some(history::Partition(partition.get().into())),
            session: in_session.then_some(self.session),
            ..Scope::default()
        }
    }

    fn origin(&self) -> &Origin {
        self.bearings.recorder.origin()
    }

    fn draw_partition(&self) -> PartitionId {
        self.origin().partition_of(self.draw_entity())
    }

    async fn perform(&mut self, deed: Deed) {
        match deed {
            Deed::Append
            | Deed::AppendMany
            | Deed::AppendAtVersion
            | Deed::AppendFirst
            | Deed::AppendUnless
            | Deed::AppendLarge => {
                let request = self.draw_append(deed);
                self.append(request).await;
            }
            Deed::AppendAgain | Deed::AppendInDisguise => {
                let draw = self.dice.u64();
                let Some((append, block)) = self.bearings.knowledge.lock().some_sent(draw) else { return };
                if deed == Deed::AppendAgain {
                    self.append((append, block)).await;
                } else {
                    let request = self.disguised(&append);
                    self.append(request).await;
                }
            }
            Deed::ReadPartition => self.read_partition(Mode::Strong).await,
            Deed::ReadReplica => self.read_partition(Mode::Weak).await,
            Deed::ReadOwn => self.read_own().await,
            Deed::ReadPast => self.read_past().await,
            Deed::ReadBackward => self.read_backward().await,
            Deed::ReadFiltered => self.read_filtered().await,
            Deed::ReadEntity => self.read_entity(Mode::Strong).await,
            Deed::ReadEntityPast => self.read_entity_past().await,
            Deed::ReadEntityBackward => self.read_entity_backward().await,
            Deed::Get => self.get().await,
        }
    }
}

/// Appends.
impl Hand {
    fn draw_append(&self, deed: Deed) -> (Append, Block) {
        let entity = self.draw_entity();
        let mut knowledge = self.bearings.knowledge.lock();
        let count = if deed == Deed::AppendMany { 2 + self.dice.below(MANY_MAX - 1) } else { 1 };
        let bytes = match deed {
            Deed::AppendLarge if self.dice.below(LARGEST) == 0 => self.dice.below(LARGE_BYTES.1 - 100),
            Deed::AppendLarge => self.dice.below(LARGE_BYTES.0),
            _ => self.dice.below(200),
        };
        let events = (0..count).map(|i| {
            // Entities whose numbers differ by 64 may share a group, and so a partition.
            let other = if i % 2 == 1 && entity.is_multiple_of(4) { entity + 64 } else { entity };
            (knowledge.new_event(), other, bytes as usize)
        });
        let events: Vec<_> = events.collect();
        let expect = match deed {
            Deed::AppendAtVersion => {
                let wrong = u64::from(self.dice.below(5) == 0);
                Some(Expect::Rev(history::Version(knowledge.version(entity) + wrong)))
            }
            Deed::AppendFirst => Some(Expect::None),
            _ => None,
        };
        let fail_if = (deed == Deed::AppendUnless).then(|| history::Condition {
            after: self.heard(self.origin().partition_of(entity)),
            items: vec![call::Filter {
                types: vec![Label(1 + self.dice.below(content::KINDS) as u32)],
                ..call::Filter::default()
            }],
        });
        request(self.origin(), &events, expect.map(|expect| (entity, expect)), fail_if)
    }

    /// How far this client knows a partition to be.
    fn heard(&self, partition: PartitionId) -> Position {
        self.origin().seen(partition, self.heard.get(partition))
    }

    /// The same ids with other content.
    fn disguised(&self, append: &Append) -> (Append, Block) {
        let bytes = 300 + self.dice.below(100) as usize;
        let events: Vec<_> = append.events.iter().map(|event| (event.id, event.entity.0, bytes)).collect();
        request(self.origin(), &events, None, None)
    }

    async fn append(&mut self, (append, block): (Append, Block)) {
        let entities: Vec<u64> = append.events.iter().map(|event| event.entity.0).collect();
        let partition = self.origin().partition_of(entities[0]);
        self.bearings.knowledge.lock().sent(&append, &block);
        let scope = self.scope(partition, true);
        let ticket = self.bearings.recorder.invoke(&mut self.me, scope, Call::Append(append));
        let result = self.sdk.append_block(&block).await;
        if let Ok(appended) = &result {
            self.heard.merge(&appended.token);
            let mut knowledge = self.bearings.knowledge.lock();
            for (entity, version) in entities.iter().zip(&appended.versions) {
                knowledge.learn(*entity, version.get());
            }
        }
        let outcome = of_append(self.origin(), &result);
        self.bearings.recorder.end_append(&mut self.me, ticket, outcome, &block);
    }
}

/// The events, as they are recorded and as they are sent.
pub(super) fn request(
    origin: &Origin,
    events: &[(history::EventId, u64, usize)],
    expect: Option<(u64, Expect)>,
    fail_if: Option<history::Condition>,
) -> (Append, Block) {
    let mut packer = Packer::new();
    if let Some((entity, expect)) = expect {
        let entity = EntityId::parse(&origin.entity_name(entity)).expect("such names are valid");
        packer.expect(entity, expectation(expect)).expect("one expectation is within the limits");
    }
    if let Some(condition) = &fail_if {
        let partition = origin.partition_of(events[0].1);
        packer
            .condition(condition_of(condition, origin.meant(partition, condition.after)))
            .expect("one condition is within the limits");
    }
    let mut append = Append {
        expects: expect.map(|(entity, expect)| (history::EntityId(entity), expect)).into_iter().collect(),
        fail_if,
        ..Append::default()
    };
    for (id, entity, bytes) in events {
        let draft = content::draft(origin, *id, *entity, *bytes);
        append.events.push(history::Event {
            id: *id,
            entity: history::EntityId(*entity),
            hash: content::hash_of_draft(&draft),
            kind: content::kind_of(*id),
            tags: Vec::new(),
        });
        packer.push(draft).expect("such events are within the limits");
    }
    (append, packer.finish(Compression::None).expect("it has an event"))
}

fn expectation(expect: Expect) -> Expectation {
    match expect {
        Expect::Any => Expectation::Any,
        Expect::None => Expectation::Exact(Version::ZERO),
        Expect::Exists => Expectation::Exists,
        Expect::Rev(version) => Expectation::Exact(Version::new(version.0)),
    }
}

fn condition_of(condition: &history::Condition, after: chronos_client::Position) -> Condition {
    let kind = |label: &Label| EventType::parse(&content::kind_name(*label)).expect("such types are valid");
    let item = |filter: &call::Filter| QueryItem {
        types: filter.types.iter().map(kind).collect(),
        tags: Vec::new(),
    };
    Condition { fail_if: condition.items.iter().map(item).collect(), after }
}
