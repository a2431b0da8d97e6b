//! What a client reads, and how it is written down.

use chronos_client::{Consistency, Filter, Moment, PartitionId, Read, Token, Version};
use chronos_history as history;
use chronos_history::answer::{Answer, EntityRange, Found, Matches, Outcome, Range};
use chronos_history::call::{self, Call, Get, Mode, ReadEntity, Search, Then};
use chronos_history::line::Scope;
use chronos_history::{Label, Position};

use super::super::content;
use super::super::recorder::of_read_error;
use super::super::seen::{Order, collect};
use super::Hand;

/// Events that a read of a partition asks for at most.
const READ_EVENTS_MAX: u64 = 100;
/// Versions before the last one known that a read of an entity begins at most.
const READ_VERSIONS_MAX: u64 = 40;

impl Hand {
    pub(super) async fn read_own(&mut self) {
        let partition = self.draw_partition();
        self.read(partition, Mode::AtLeast(self.heard(partition))).await;
    }

    pub(super) async fn read_partition(&mut self, mode: Mode) {
        let partition = self.draw_partition();
        self.read(partition, mode).await;
    }

    pub(super) async fn read_past(&mut self) {
        let partition = self.draw_partition();
        let head = self.heard(partition).0;
        if head > 0 {
            self.read(partition, Mode::AsOf(Then::Pos(Position(1 + self.dice.below(head))))).await;
        }
    }

    async fn read(&mut self, partition: PartitionId, mode: Mode) {
        let head = match mode {
            Mode::AsOf(Then::Pos(position)) => position.0,
            _ => self.heard(partition).0,
        };
        // Sometimes from the beginning, mostly what is new.
        let from = match self.dice.below(8) {
            0 => 1,
            _ => 1 + head.saturating_sub(self.dice.below(READ_EVENTS_MAX / 2)),
        };
        let origin = self.origin();
        let token = |position: Position| Token::at(partition, origin.meant(partition, position));
        let first = origin.meant(partition, Position(from)).get();
        let read = Read::partition(partition).from(first).limit(READ_EVENTS_MAX);
        let read = match mode {
            Mode::Strong => read.consistency(Consistency::Linearizable),
            Mode::Weak => read.consistency(Consistency::Local),
            Mode::AtLeast(position) => read.consistency(Consistency::AtLeast(token(position))),
            Mode::AsOf(Then::Pos(position)) => read.as_of(Moment::Token(token(position))),
            Mode::AsOf(Then::Rev(_) | Then::Time(_)) => unreachable!("partitions are read as of positions"),
        };
        let in_session = matches!(mode, Mode::AtLeast(_));
        let scope = self.scope(partition, in_session);
        let call = Call::Read(call::Read { from: Position(from), mode });
        let ticket = self.bearings.recorder.invoke(&mut self.me, scope, call);
        let outcome = match collect(&self.sdk, self.origin(), read, Order::Forward).await {
            Err(error) => of_read_error(&error),
            Ok((seen, token)) => {
                let at = |position| self.origin().seen(partition, position);
                let tail = at(token.get(partition));
                let is_cut = seen.count == READ_EVENTS_MAX;
                let last = seen.last.as_ref().filter(|_| is_cut).map_or(tail, |event| at(event.position));
                if !matches!(mode, Mode::AsOf(_)) {
                    self.heard.merge(&token);
                }
                Outcome::Ok(Answer::Read(Range {
                    from: Position(from),
                    last,
                    tail,
                    count: seen.count,
                    hash: seen.hash.get(),
                    wm: tail,
                    mode: mode.name(),
                    term: None,
                    bad: 0,
                }))
            }
        };
        self.bearings.recorder.end(&mut self.me, ticket, outcome);
    }

    /// The last events of a partition that are known of, from the newest to the oldest.
    pub(super) async fn read_backward(&mut self) {
        let partition = self.draw_partition();
        let head = self.heard(partition).0;
        if head == 0 {
            return;
        }
        let limit = 1 + self.dice.below(head.min(READ_EVENTS_MAX));
        let from = head + 1 - limit;
        let newest = self.origin().meant(partition, Position(head)).get();
        let read =
            Read::partition(partition).from(newest).limit(limit).consistency(Consistency::Linearizable);
        let call = Call::Read(call::Read { from: Position(from), mode: Mode::Strong });
        let scope = self.scope(partition, false);
        let ticket = self.bearings.recorder.invoke(&mut self.me, scope, call);
        let outcome = match collect(&self.sdk, self.origin(), read.backward(), Order::Backward).await {
            Err(error) => of_read_error(&error),
            Ok((seen, token)) => {
                let tail = self.origin().seen(partition, token.get(partition));
                Outcome::Ok(Answer::Read(Range {
                    from: Position(from),
                    last: Position(head),
                    tail,
                    count: seen.count,
                    hash: seen.hash.get(),
                    wm: tail,
                    mode: Mode::Strong.name(),
                    term: None,
                    bad: 0,
                }))
            }
        };
        self.bearings.recorder.end(&mut self.me, ticket, outcome);
    }

    /// All events of one type in a partition.
    pub(super) async fn read_filtered(&mut self) {
        let partition = self.draw_partition();
        let kind = Label(1 + self.dice.below(content::KINDS) as u32);
        let types = vec![content::kind_name(kind)];
        let first = self.origin().meant(partition, Position(1)).get();
        let read = Read::partition(partition).from(first).filter(Filter { types, ..Filter::default() });
        let filter = call::Filter { types: vec![kind], ..call::Filter::default() };
        let call = Call::Search(Search { via: "category".to_owned(), filter });
        let scope = self.scope(partition, false);
        let ticket = self.bearings.recorder.invoke(&mut self.me, scope, call);
        let read = read.consistency(Consistency::Linearizable);
        let outcome = match collect(&self.sdk, self.origin(), read, Order::Forward).await {
            Err(error) => of_read_error(&error),
            Ok((seen, token)) => {
                let at = self.origin().seen(partition, token.get(partition));
                let (count, hash) = (seen.count, seen.hash.get());
                Outcome::Ok(Answer::Search(Matches { at, count, hash, wm: at }))
            }
        };
        self.bearings.recorder.end(&mut self.me, ticket, outcome);
    }

    pub(super) async fn read_entity_past(&mut self) {
        let entity = self.draw_entity();
        let version = self.bearings.knowledge.lock().version(entity);
        if version > 0 {
            let then = Then::Rev(history::Version(1 + self.dice.below(version)));
            self.entity(entity, Mode::AsOf(then), Order::Forward).await;
        }
    }

    pub(super) async fn read_entity(&mut self, mode: Mode) {
        let entity = self.draw_entity();
        self.entity(entity, mode, Order::Forward).await;
    }

    pub(super) async fn read_entity_backward(&mut self) {
        let entity = self.draw_entity();
        self.entity(entity, Mode::Strong, Order::Backward).await;
    }

    async fn entity(&mut self, entity: u64, mode: Mode, order: Order) {
        let known = match mode {
            Mode::AsOf(Then::Rev(version)) => version.0,
            _ => self.bearings.knowledge.lock().version(entity),
        };
        let from = known.saturating_sub(self.dice.below(READ_VERSIONS_MAX)).max(1);
        let read = Read::entity(self.origin().entity_name(entity));
        let read = match order {
            Order::Forward => read.from(from),
            Order::Backward => read.to(from).backward(),
        };
        let read = match mode {
            Mode::AsOf(Then::Rev(version)) => read.as_of(Moment::Version(Version::new(version.0))),
            _ => read.consistency(Consistency::Linearizable),
        };
        let stream = history::EntityId(entity);
        let scope = self.scope(self.origin().partition_of(entity), false);
        let call = Call::Entity(ReadEntity { stream, from: history::Version(from), mode });
        let ticket = self.bearings.recorder.invoke(&mut self.me, scope, call);
        let outcome = match collect(&self.sdk, self.origin(), read, order).await {
            Err(error) => of_read_error(&error),
            Ok((seen, _)) => {
                let last = seen.last.as_ref().map_or(from - 1, |event| event.version.get());
                Outcome::Ok(Answer::Entity(EntityRange {
                    from: history::Version(from),
                    last: history::Version(last),
                    rev: history::Version(last),
                    count: seen.count,
                    hash: seen.hash.get(),
                    wm: None,
                    mode: mode.name(),
                    bad: 0,
                }))
            }
        };
        self.bearings.recorder.end(&mut self.me, ticket, outcome);
    }

    pub(super) async fn get(&mut self) {
        let id = self.bearings.knowledge.lock().some_event(self.dice.u64());
        let call = Call::Get(Get { id, mode: Mode::Strong });
        let ticket = self.bearings.recorder.invoke(&mut self.me, Scope::default(), call);
        let outcome = match self.sdk.get(self.origin().event_id(id)).await {
            Err(error) => of_read_error(&error),
            Ok(found) => Outcome::Ok(Answer::Get(found.map(|event| Found {
                part: history::Partition(event.partition.get().into()),
                at: self.origin().seen(event.partition, event.position),
                stream: self.origin().entity_number(event.entity_id.as_str()),
                rev: history::Version(event.version.get()),
                hash: content::hash_of_event(&event),
            }))),
        };
        self.bearings.recorder.end(&mut self.me, ticket, outcome);
    }
}
