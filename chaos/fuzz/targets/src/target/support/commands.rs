//! Commands as an input says them.

use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::{
    Batch, Condition, EntityId, EventId, EventType, Expectation, ForkId, Position, QueryItem, Tag, TenantId,
    Timestamp, Version,
};
use chronos_store::{AppendCommand, Command, CutCommand, TickCommand, TruncateCommand};

use super::oracle::Oracle;
use crate::input::Input;

pub(crate) const TENANTS: [&str; 2] = ["default", "other"];
pub(crate) const FORKS: u64 = 2;
pub(crate) const ENTITIES: u8 = 4;
pub(crate) const TYPES: u8 = 3;
const TAGS: u8 = 3;
/// Stands in every payload before the name of the tenant whose event it is.
pub(crate) const CANARY: &str = "canary of ";

pub(crate) fn entity(n: u8) -> EntityId {
    EntityId::parse(&format!("entity-{n}")).expect("a plain name")
}

pub(crate) fn kind(n: u8) -> EventType {
    EventType::parse(&format!("kind.{n}")).expect("a plain name")
}

pub(crate) fn tag(n: u8) -> Tag {
    Tag::parse(&format!("tag-{n}")).expect("a plain name")
}

/// The next command of an input, made against what `oracle` holds. Event ids are born from `next_id`.
pub(crate) fn command(input: &mut Input<'_>, oracle: &Oracle, next_id: &mut u128) -> Command {
    let recorded_at = Timestamp::new(oracle.clock() + i64::from(input.u8() % 13) - 3);
    let tenant = TenantId::parse(TENANTS[usize::from(input.one_in(5))]).expect("a plain name");
    let fork = ForkId::new(u64::from(input.one_in(5)));
    match input.below(16) {
        0 => Command::Tick(TickCommand { recorded_at }),
        1 => Command::Cut(CutCommand { recorded_at, settle: input.one_in(2) }),
        2 => {
            let entity = input.u8() % ENTITIES;
            let version = oracle.version(&tenant, fork, entity).get();
            let before = Version::new(input.below(version as usize + 2) as u64);
            let entity = self::entity(entity);
            Command::Truncate(TruncateCommand { tenant, fork, recorded_at, entity, before })
        }
        3 if !oracle.commands.is_empty() => retry(input, oracle, recorded_at, next_id).into(),
        _ => {
            let block = request(input, oracle, (&tenant, fork), next_id);
            AppendCommand { tenant, fork, recorded_at, block }.into()
        }
    }
}

/// An earlier request once more: as it was, or all of it but its last event and another one instead.
fn retry(
    input: &mut Input<'_>,
    oracle: &Oracle,
    recorded_at: Timestamp,
    next_id: &mut u128,
) -> AppendCommand {
    let earlier = input.choose(&oracle.commands).clone();
    let block = if input.one_in(3) { half(&earlier.block, next_id) } else { earlier.block.clone() };
    AppendCommand { recorded_at, block, ..earlier }
}

fn half(earlier: &Block, next_id: &mut u128) -> Block {
    let mut packer = Packer::new();
    for i in 0..earlier.events().saturating_sub(1) {
        let event = earlier.event(i);
        let mut draft = Draft::json(
            event.event_id,
            EntityId::parse(event.entity_id).expect("it was packed"),
            EventType::parse(event.event_type).expect("it was packed"),
            event.payload.to_vec(),
        );
        draft.tags = event.tags.map(|tag| Tag::parse(tag).expect("it was packed")).collect();
        draft.occurred_at = event.occurred_at;
        packer.push(draft).expect("it was packed");
    }
    *next_id += 1;
    let new = Draft::json(EventId::from_u128(*next_id), entity(0), kind(0), "1");
    packer.push(new).expect("within the limits");
    packer.finish(earlier.compression()).expect("it has an event")
}

fn request(
    input: &mut Input<'_>,
    oracle: &Oracle,
    (tenant, fork): (&TenantId, ForkId),
    next_id: &mut u128,
) -> Block {
    let mut packer = Packer::new();
    let events = input.below(6);
    let about = input.u8() % ENTITIES;
    let actual = oracle.version(tenant, fork, about);
    let expectation = match input.below(8) {
        0 | 1 => Some(Expectation::Exact(actual)),
        2 => Some(Expectation::Exact(Version::new(actual.get() + 1))),
        3 => Some(Expectation::Exists),
        // An empty request must check something.
        _ if events == 0 => Some(Expectation::Exact(actual)),
        _ => None,
    };
    if let Some(expectation) = expectation {
        packer.expect(entity(about), expectation).expect("the first of its entity");
    }
    if input.one_in(5) {
        packer.condition(condition(input, oracle)).expect("within the limits");
    }
    for n in 0..events {
        let entity = if n == 0 { about } else { input.u8() % ENTITIES };
        *next_id += 1;
        packer.push(draft(input, tenant, entity, *next_id)).expect("within the limits");
    }
    let compression = if input.one_in(3) { Compression::Lz4 } else { Compression::None };
    packer.finish(compression).expect("it asks for something")
}

fn draft(input: &mut Input<'_>, tenant: &TenantId, about: u8, id: u128) -> Draft {
    let pad = "x".repeat(usize::from(input.u8()));
    let payload = format!("{{\"n\":{id},\"of\":\"{CANARY}{tenant}\",\"pad\":\"{pad}\"}}");
    let mut draft = Draft::json(EventId::from_u128(id), entity(about), kind(input.u8() % TYPES), payload);
    let tags = input.u8();
    draft.tags = (0..TAGS).filter(|n| tags & (1 << n) != 0).map(tag).collect();
    draft.occurred_at = input.one_in(3).then(|| Timestamp::new(i64::from(input.u8() % 50)));
    draft
}

fn condition(input: &mut Input<'_>, oracle: &Oracle) -> Condition {
    let (types, tags) = (input.u8(), input.u8());
    let item = QueryItem {
        types: (0..TYPES).filter(|n| types & (1 << n) != 0).take(2).map(kind).collect(),
        tags: (0..TAGS).filter(|n| tags & (1 << n) != 0).take(2).map(tag).collect(),
    };
    let after = Position::new(input.below(oracle.head().get() as usize + 1) as u64);
    Condition { fail_if: vec![item], after }
}
