//! Random commands, described so that a failing case shrinks to something a person can read.

use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::id::Tag;
use chronos_domain::{
    Condition, EntityId, EventId, EventType, Expectation, ForkId, Position, QueryItem, TenantId, Timestamp,
    Version,
};
use chronos_store::{AppendCommand, Command, CutCommand, TickCommand, TruncateCommand};
use proptest::prelude::*;

use super::oracle::Oracle;

pub(crate) const TENANTS: [&str; 2] = ["default", "other"];
pub(crate) const FORKS: u64 = 2;
pub(crate) const ENTITIES: u8 = 4;
pub(crate) const TYPES: u8 = 3;
pub(crate) const TAGS: u8 = 3;

/// One command before it meets what is stored.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    tenant: usize,
    fork: u64,
    /// Moves the proposer's clock, also back.
    step: i64,
    events: Vec<Happening>,
    expect: Expect,
    condition: Option<Query>,
    /// Send an earlier command again instead: the whole of it, or all but its last event and another one.
    again: Option<(prop::sample::Index, bool)>,
    packed: bool,
    /// Do this instead.
    instead: Option<Instead>,
}

/// A command that is no append.
#[derive(Clone, Debug)]
enum Instead {
    /// Truncate an entity at some place of its history, or one beyond it.
    Truncate {
        entity: u8,
        before: prop::sample::Index,
    },
    Cut {
        settle: bool,
    },
}

#[derive(Clone, Debug)]
struct Happening {
    entity: u8,
    kind: u8,
    tags: Vec<u8>,
    payload: usize,
    occurred: Option<i64>,
}

#[derive(Clone, Debug)]
enum Expect {
    Nothing,
    Right,
    Wrong,
    Exists,
}

#[derive(Clone, Debug)]
struct Query {
    kinds: Vec<u8>,
    tags: Vec<u8>,
    after: prop::sample::Index,
}

pub(crate) fn wish() -> impl Strategy<Value = Wish> {
    let happening = (
        0..ENTITIES,
        0..TYPES,
        prop::collection::vec(0..TAGS, 0..3),
        0..400_usize,
        prop::option::of(0..50_i64),
    )
        .prop_map(|(entity, kind, mut tags, payload, occurred)| {
            tags.sort_unstable();
            tags.dedup();
            Happening { entity, kind, tags, payload, occurred }
        });
    let expect = prop_oneof![
        4 => Just(Expect::Nothing), 3 => Just(Expect::Right), 1 => Just(Expect::Wrong), 1 => Just(Expect::Exists),
    ];
    let query = (
        prop::collection::vec(0..TYPES, 0..2),
        prop::collection::vec(0..TAGS, 0..2),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(kinds, tags, after)| Query { kinds, tags, after });
    let again = prop::option::weighted(0.15, (any::<prop::sample::Index>(), any::<bool>()));
    let events = prop::collection::vec(happening, 0..6);
    let (tenant, fork) =
        (prop_oneof![4 => Just(0_usize), 1 => Just(1)], prop_oneof![4 => Just(0_u64), 1 => Just(1)]);
    let instead = prop_oneof![
        3 => (0..ENTITIES, any::<prop::sample::Index>())
            .prop_map(|(entity, before)| Instead::Truncate { entity, before }),
        2 => any::<bool>().prop_map(|settle| Instead::Cut { settle }),
    ];
    let instead = prop::option::weighted(0.08, instead);
    let whole = (tenant, fork, -3..10_i64, events, expect, prop::option::weighted(0.2, query), again);
    (whole, any::<bool>(), instead).prop_map(
        |((tenant, fork, step, events, expect, condition, again), packed, instead)| Wish {
            tenant,
            fork,
            step,
            events,
            expect,
            condition,
            again,
            packed,
            instead,
        },
    )
}

/// Some wishes, always the same.
pub(crate) fn sample(count: usize) -> Vec<Wish> {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| wish().new_tree(&mut runner).unwrap().current()).collect()
}

pub(crate) fn entity(n: u8) -> EntityId {
    EntityId::parse(&format!("entity-{n}")).unwrap()
}

pub(crate) fn kind(n: u8) -> EventType {
    EventType::parse(&format!("kind.{n}")).unwrap()
}

pub(crate) fn tag(n: u8) -> Tag {
    Tag::parse(&format!("tag-{n}")).unwrap()
}

impl Wish {
    /// The command, made against what `oracle` holds now. Ids are born from `next_id`.
    pub(crate) fn command(&self, oracle: &Oracle, next_id: &mut u128) -> Command {
        let now = Timestamp::new(oracle.clock() + self.step);
        if let Some(instead) = &self.instead {
            return self.instead(instead, now, oracle);
        }
        if self.events.is_empty() && self.packed && self.again.is_none() {
            return Command::Tick(TickCommand { recorded_at: now });
        }
        self.append(now, oracle, next_id).into()
    }

    fn instead(&self, instead: &Instead, recorded_at: Timestamp, oracle: &Oracle) -> Command {
        let tenant = TenantId::parse(TENANTS[self.tenant]).unwrap();
        let fork = ForkId::new(self.fork);
        match instead {
            Instead::Cut { settle } => Command::Cut(CutCommand { recorded_at, settle: *settle }),
            Instead::Truncate { entity: n, before } => {
                let version = oracle.version(&tenant, fork, *n).get();
                let before = before.index(usize::try_from(version).unwrap() + 2) as u64;
                let (entity, before) = (entity(*n), Version::new(before));
                Command::Truncate(TruncateCommand { tenant, fork, recorded_at, entity, before })
            }
        }
    }

    fn append(&self, now: Timestamp, oracle: &Oracle, next_id: &mut u128) -> AppendCommand {
        if let Some((which, whole)) = &self.again
            && !oracle.commands.is_empty()
        {
            let earlier = which.get(&oracle.commands);
            let block = if *whole { earlier.block.clone() } else { self.half_again(&earlier.block, next_id) };
            return AppendCommand { recorded_at: now, block, ..earlier.clone() };
        }
        let tenant = TenantId::parse(TENANTS[self.tenant]).unwrap();
        let fork = ForkId::new(self.fork);
        let mut packer = Packer::new();
        self.expect(&mut packer, oracle, &tenant, fork);
        if let Some(query) = &self.condition {
            packer.condition(query.condition(oracle)).unwrap();
        }
        for happening in &self.events {
            *next_id += 1;
            packer.push(happening.draft(*next_id)).unwrap();
        }
        AppendCommand { tenant, fork, recorded_at: now, block: packer.finish(self.compression()).unwrap() }
    }

    fn compression(&self) -> Compression {
        if self.packed { Compression::Lz4 } else { Compression::None }
    }

    fn expect(&self, packer: &mut Packer, oracle: &Oracle, tenant: &TenantId, fork: ForkId) {
        let about = self.events.first().map_or(0, |happening| happening.entity);
        let actual = oracle.version(tenant, fork, about);
        let expectation = match self.expect {
            // An empty request must check something.
            Expect::Nothing if self.events.is_empty() => Expectation::Exact(actual),
            Expect::Nothing => return,
            Expect::Right => Expectation::Exact(actual),
            Expect::Wrong => Expectation::Exact(Version::new(actual.get() + 1)),
            Expect::Exists => Expectation::Exists,
        };
        packer.expect(entity(about), expectation).unwrap();
    }

    /// All events of an earlier block but the last, and a new one.
    fn half_again(&self, earlier: &Block, next_id: &mut u128) -> Block {
        use chronos_domain::Batch;
        let mut packer = Packer::new();
        for i in 0..earlier.events().saturating_sub(1) {
            let event = earlier.event(i);
            let mut draft = Draft::json(
                event.event_id,
                EntityId::parse(event.entity_id).unwrap(),
                EventType::parse(event.event_type).unwrap(),
                event.payload.to_vec(),
            );
            draft.tags = event.tags.map(|tag| Tag::parse(tag).unwrap()).collect();
            draft.occurred_at = event.occurred_at;
            packer.push(draft).unwrap();
        }
        *next_id += 1;
        let new = Happening { entity: 0, kind: 0, tags: vec![], payload: 1, occurred: None };
        packer.push(new.draft(*next_id)).unwrap();
        packer.finish(self.compression()).unwrap()
    }
}

impl Happening {
    fn draft(&self, id: u128) -> Draft {
        let mut draft = Draft::json(
            EventId::from_u128(id),
            entity(self.entity),
            kind(self.kind),
            format!("{{\"n\":{id},\"pad\":\"{}\"}}", "x".repeat(self.payload)),
        );
        draft.tags = self.tags.iter().map(|n| tag(*n)).collect();
        draft.occurred_at = self.occurred.map(Timestamp::new);
        draft
    }
}

impl Query {
    fn condition(&self, oracle: &Oracle) -> Condition {
        let item = QueryItem {
            types: self.kinds.iter().map(|n| kind(*n)).collect(),
            tags: self.tags.iter().map(|n| tag(*n)).collect(),
        };
        let head = oracle.head().get();
        let after = Position::new(self.after.index(usize::try_from(head).unwrap() + 1) as u64);
        Condition { fail_if: vec![item], after }
    }
}
