//! Operations of the referee workload, in the form list-append checkers read: lists of `["append", key, value]` and
//! `["r", key, [value, …]]`, where a key is a partition and a value an event id.

use core::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::{EventId, Partition};

/// One step of a `txn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Micro {
    /// An event appended to a partition.
    Append(Partition, EventId),
    /// All ids of a partition in the order of their positions; none in a call.
    Read(Partition, Option<Vec<EventId>>),
}

impl Serialize for Micro {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Micro::Append(part, id) => ("append", part, id).serialize(to),
            Micro::Read(part, ids) => ("r", part, ids).serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Micro {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Micro, D::Error> {
        from.deserialize_tuple(3, Triple)
    }
}

struct Triple;

impl<'de> Visitor<'de> for Triple {
    type Value = Micro;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"["append", partition, id] or ["r", partition, ids]"#)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Micro, A::Error> {
        let short = |at| de::Error::invalid_length(at, &Triple);
        let kind: String = seq.next_element()?.ok_or_else(|| short(0))?;
        let part = seq.next_element()?.ok_or_else(|| short(1))?;
        match kind.as_str() {
            "append" => Ok(Micro::Append(part, seq.next_element()?.ok_or_else(|| short(2))?)),
            "r" => Ok(Micro::Read(part, seq.next_element()?.ok_or_else(|| short(2))?)),
            other => Err(de::Error::unknown_variant(other, &["append", "r"])),
        }
    }
}
