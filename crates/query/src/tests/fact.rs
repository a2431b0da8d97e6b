//! Events for questions, as their writers and the numbering say, and as they are stored.

use chronos_block::{Compression, Draft, Packer, Recorded};
use chronos_domain::{
    ContentType, EntityId, EventId, EventType, ForkId, PartitionId, Position, Tag, TenantId, Timestamp,
    Version, place,
};
use std::collections::BTreeMap;

pub(super) const TENANT: &str = "default";
pub(super) const EVENTS: u64 = 700;
pub(super) const HOUR: i64 = 3_600_000_000;
/// 2026-01-01T00:00:00Z.
pub(super) const START: i64 = 1_767_225_600_000_000;
pub(super) const TYPES: [&str; 5] =
    ["order.placed", "order.paid", "order.shipped", "note.made", "sensor.read"];
pub(super) const STATUSES: [&str; 4] = ["new", "open", "it's \"odd\"", "done"];
pub(super) const TAGS: [&str; 3] = ["red", "green", "blue"];

/// One event, plainly.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub(super) partition: PartitionId,
    pub(super) position: u64,
    pub(super) version: u64,
    pub(super) event_id: EventId,
    pub(super) entity: String,
    pub(super) kind: &'static str,
    /// Of the payload, when it is JSON.
    pub(super) n: Option<i64>,
    pub(super) status: Option<&'static str>,
    pub(super) json: bool,
    pub(super) erased: bool,
    pub(super) tags: Vec<&'static str>,
    pub(super) occurred_at: Option<i64>,
    pub(super) recorded_at: i64,
}

/// Numbers that look random and are the same every time.
fn scatter(seed: u64, purpose: u64) -> u64 {
    let mut number = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03);
    number ^= number >> 31;
    number = number.wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 29
}

pub(super) fn entity(number: u64) -> String {
    format!("order-{number}")
}

/// Some hundreds of events of forty entities over three days; a few are no JSON, a few are erased.
pub(super) fn facts() -> Vec<Fact> {
    let (mut heads, mut versions) = (BTreeMap::new(), BTreeMap::new());
    (0..EVENTS)
        .map(|number| {
            let pick = |purpose, of| scatter(number, purpose) % of;
            // Skewed, so that some entities are long.
            let entity = entity(pick(1, 40).min(pick(2, 40)));
            let partition = place(TENANT, &entity);
            let position: &mut u64 = heads.entry(partition).or_default();
            let version: &mut u64 = versions.entry(entity.clone()).or_default();
            (*position, *version) = (*position + 1, *version + 1);
            let erased = pick(3, 20) == 0;
            let json = erased || pick(4, 12) != 0;
            let kept = json && !erased;
            Fact {
                partition,
                position: *position,
                version: *version,
                event_id: EventId::from_u128(u128::from(scatter(number, 99)) << 64 | u128::from(number + 1)),
                entity,
                kind: TYPES[pick(5, 5) as usize],
                n: (kept && pick(6, 5) != 0).then(|| pick(7, 200) as i64 - 50),
                status: (kept && pick(8, 6) != 0).then(|| STATUSES[pick(9, 4) as usize]),
                json,
                erased,
                tags: TAGS.into_iter().filter(|tag| !erased && pick(tag.len() as u64, 3) == 0).collect(),
                occurred_at: (!erased && pick(10, 3) == 0).then_some(START - pick(11, 1000) as i64),
                recorded_at: START + number as i64 * (72 * HOUR / EVENTS as i64),
            }
        })
        .collect()
}

impl Fact {
    /// The payload's text, if it is JSON and there.
    pub(super) fn payload(&self) -> Option<String> {
        (self.json && !self.erased).then(|| {
            let members = [
                self.n.map(|n| format!("\"n\":{n}")),
                self.status.map(|status| format!("\"status\":{}", serde_json::json!(status))),
                Some(format!("\"lines\":[{{\"sku\":\"s{}\"}},2.5,null,true]", self.version % 7)),
            ];
            format!("{{{}}}", members.into_iter().flatten().collect::<Vec<_>>().join(","))
        })
    }

    pub(super) fn recorded(&self) -> Recorded {
        let mut packer = Packer::new();
        let kept = !self.erased;
        let draft = Draft {
            event_id: self.event_id,
            entity_id: EntityId::parse(&self.entity).unwrap(),
            event_type: EventType::parse(self.kind).unwrap(),
            content_type: if self.json {
                ContentType::json()
            } else {
                ContentType::parse("image/png").unwrap()
            },
            payload: match self.payload() {
                Some(text) => text.into(),
                None if kept => vec![0xff, 0x00, 0xfe].into(),
                None => Vec::new().into(),
            },
            metadata: if kept && self.version.is_multiple_of(2) {
                br#"{"actor":"eve"}"#.to_vec().into()
            } else {
                Vec::new().into()
            },
            tags: self.tags.iter().map(|tag| Tag::parse(tag).unwrap()).collect(),
            occurred_at: self.occurred_at.map(Timestamp::new),
        };
        packer.push(draft).unwrap();
        Recorded {
            block: packer.finish(Compression::None).unwrap(),
            slot: 0,
            tenant: TenantId::parse(TENANT).unwrap(),
            fork: ForkId::MAIN,
            partition: self.partition,
            position: Position::new(self.position),
            version: Version::new(self.version),
            recorded_at: Timestamp::new(self.recorded_at),
            erased: self.erased,
        }
    }
}
