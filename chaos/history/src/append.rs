//! An append as it was sent.
//!
//! In the file it is columns (`ids`, `hashes`, …), since most appends are about one entity and have no types or tags:
//! a column that is the same for all events is written once, one that is empty not at all.

use serde::{Deserialize, Serialize};

use crate::call::Filter;
use crate::{EntityId, EventId, Hash, Label, Position, Version};

/// Events to be written to one partition, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Columns", into = "Columns")]
pub struct Append {
    /// In the order sent.
    pub events: Vec<Event>,
    /// What the writer believes about entities, whether it writes to them or not. An entity without one is [`Expect::Any`].
    pub expects: Vec<(EntityId, Expect)>,
    /// Must hold for the partition, too.
    pub fail_if: Option<Condition>,
    /// Sent after every other append to the partition had ended and none could come any more: what the final log does
    /// not hold will never be.
    pub fence: bool,
}

/// One event to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its id; the same for every retry.
    pub id: EventId,
    /// What it is about.
    pub entity: EntityId,
    /// Of its content, see [`Hash::of_content`].
    pub hash: Hash,
    /// Its type; 0 if the harness does not care.
    pub kind: Label,
    /// Its tags.
    pub tags: Vec<Label>,
}

/// What a writer believes about an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Nothing.
    #[default]
    Any,
    /// It has no event.
    None,
    /// It has at least one.
    Exists,
    /// Its version is exactly this.
    Rev(Version),
}

impl Expect {
    /// Whether an entity at this version is as expected.
    pub fn allows(self, version: Version) -> bool {
        match self {
            Expect::Any => true,
            Expect::None => version == Version(0),
            Expect::Exists => version > Version(0),
            Expect::Rev(expected) => version == expected,
        }
    }
}

/// The append must fail if an event of the tenant after this position passes one of the filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Events up to here do not matter.
    pub after: Position,
    /// The filters; an event matters if it passes any of them.
    pub items: Vec<Filter>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Columns {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<EntityId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    streams: Vec<EntityId>,
    ids: Vec<EventId>,
    hashes: Vec<Hash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    types: Vec<Label>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Vec<Label>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<Expect>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expects: Vec<(EntityId, Expect)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_if: Option<Condition>,
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    fence: bool,
}

impl From<Append> for Columns {
    fn from(append: Append) -> Columns {
        let Append { events, expects, fail_if, fence } = append;
        let stream = events
            .first()
            .map(|event| event.entity)
            .filter(|first| events.iter().all(|e| e.entity == *first));
        let streams = if stream.is_none() { events.iter().map(|e| e.entity).collect() } else { Vec::new() };
        let (expect, expects) = match (stream, expects.as_slice()) {
            (Some(stream), [(entity, expect)]) if *entity == stream => (Some(*expect), Vec::new()),
            _ => (None, expects),
        };
        let typed = events.iter().any(|event| event.kind != Label(0));
        let tagged = events.iter().any(|event| !event.tags.is_empty());
        Columns {
            stream,
            streams,
            ids: events.iter().map(|event| event.id).collect(),
            hashes: events.iter().map(|event| event.hash).collect(),
            types: if typed { events.iter().map(|event| event.kind).collect() } else { Vec::new() },
            tags: if tagged { events.into_iter().map(|event| event.tags).collect() } else { Vec::new() },
            expect,
            expects,
            fail_if,
            fence,
        }
    }
}

impl TryFrom<Columns> for Append {
    type Error = String;

    fn try_from(columns: Columns) -> Result<Append, String> {
        let Columns { stream, streams, ids, hashes, types, mut tags, expect, mut expects, fail_if, fence } =
            columns;
        let fits = |len: usize| len == ids.len();
        if !fits(hashes.len()) || !(stream.is_some() || fits(streams.len())) {
            return Err(format!("{} ids need as many hashes, and one stream or as many streams", ids.len()));
        }
        if !(types.is_empty() || fits(types.len())) || !(tags.is_empty() || fits(tags.len())) {
            return Err(format!("{} ids need as many types and tags, or none", ids.len()));
        }
        match (expect, stream) {
            (Some(expect), Some(stream)) => expects.push((stream, expect)),
            (Some(_), None) => {
                return Err("`expect` needs `stream`; for several streams give `expects`".into());
            }
            (None, _) => {}
        }
        let event = |i: usize| Event {
            id: ids[i],
            entity: stream.unwrap_or_else(|| streams[i]),
            hash: hashes[i],
            kind: types.get(i).copied().unwrap_or_default(),
            tags: tags.get_mut(i).map(core::mem::take).unwrap_or_default(),
        };
        Ok(Append { events: (0..ids.len()).map(event).collect(), expects, fail_if, fence })
    }
}
