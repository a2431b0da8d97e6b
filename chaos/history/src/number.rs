//! The numbers of a history, each a type of its own. Counting is that of the store's semantics: positions and
//! versions from 1, where 0 means "nothing yet".

use core::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($of:ty);)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $of);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )* };
}

numbers! {
    /// A partition, from 0.
    Partition(u32);
    /// The gapless number of an event within its partition, from 1.
    Position(u64);
    /// The gapless number of an event within its entity, from 1.
    Version(u64);
    /// An event, as a number at most 2^53 (what every JSON reader holds). Its UUID is in the side file, see
    /// [`Names`](crate::Names).
    EventId(u64);
    /// An entity. Its name is in the side file.
    EntityId(u64);
    /// A type or a tag of events. Types and tags are numbered apart.
    Label(u32);
    /// A tenant.
    Tenant(u32);
    /// A fork; 0 is `main`.
    Fork(u32);
    /// One operation: what joins the line of its call with the line of its outcome.
    Op(u64);
    /// A term of a partition's Raft group.
    Term(u64);
    /// How often a node has started, from 1.
    Incarnation(u32);
    /// One administrative act or decision about access.
    Decision(u64);
}

macro_rules! named {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                from.deserialize_str(Prefixed($prefix)).map($name)
            }
        }
    )* };
}

named! {
    /// A node, written `n1`. A node that comes back with a wiped disk is another one.
    Node "n";
    /// A session of a client: its operations carry the token of those before. Written `s1`.
    Session "s";
}

struct Prefixed(&'static str);

impl Visitor<'_> for Prefixed {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} followed by a number", self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u32, E> {
        let number = text.strip_prefix(self.0).and_then(|digits| digits.parse().ok());
        number.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}
