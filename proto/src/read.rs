//! What a read asks for: which past, how fresh, which events.

use chronos_block::{Direction, Filter};
use chronos_domain::{EventType, Invalid, Tag, Timestamp, Token, Version};

use crate::v1;
use crate::v1::consistency::{Level, Linearizable, Local};

/// A moment of the past. The same moment gives the same events for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Everything recorded at or before this time, which must have passed.
    Time(Timestamp),
    /// Everything up to the token's positions; nothing of a partition that it does not name.
    Token(Token),
    /// Everything up to this version of the entity that is read.
    Version(Version),
}

impl TryFrom<v1::AsOf> for Moment {
    type Error = Invalid;

    fn try_from(as_of: v1::AsOf) -> Result<Self, Invalid> {
        match as_of.moment {
            Some(v1::as_of::Moment::Timestamp(micros)) => Ok(Self::Time(Timestamp::new(micros))),
            Some(v1::as_of::Moment::Token(text)) => Ok(Self::Token(Token::parse(&text)?)),
            Some(v1::as_of::Moment::Version(version)) => Ok(Self::Version(Version::new(version))),
            None => Err(Invalid::new("as_of", "has no moment; give one of timestamp, token, version")),
        }
    }
}

impl From<Moment> for v1::AsOf {
    fn from(moment: Moment) -> Self {
        let moment = match moment {
            Moment::Time(time) => v1::as_of::Moment::Timestamp(time.get()),
            Moment::Token(token) => v1::as_of::Moment::Token(token.to_string()),
            Moment::Version(version) => v1::as_of::Moment::Version(version.get()),
        };
        Self { moment: Some(moment) }
    }
}

/// How fresh a read must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Everything acknowledged before the read began is seen.
    Linearizable,
    /// Everything the token covers is seen; waits for it until the deadline.
    AtLeast(Token),
    /// What the replica that answers has applied.
    Local,
}

impl TryFrom<v1::Consistency> for Consistency {
    type Error = Invalid;

    fn try_from(consistency: v1::Consistency) -> Result<Self, Invalid> {
        match consistency.level {
            Some(Level::Linearizable(Linearizable {})) => Ok(Self::Linearizable),
            Some(Level::AtLeast(text)) => Ok(Self::AtLeast(Token::parse(&text)?)),
            Some(Level::Local(Local {})) => Ok(Self::Local),
            None => {
                let reason = "has no level; give one of linearizable, at_least, local, or leave it out";
                Err(Invalid::new("consistency", reason))
            }
        }
    }
}

impl From<Consistency> for v1::Consistency {
    fn from(consistency: Consistency) -> Self {
        let level = match consistency {
            Consistency::Linearizable => Level::Linearizable(Linearizable {}),
            Consistency::AtLeast(token) => Level::AtLeast(token.to_string()),
            Consistency::Local => Level::Local(Local {}),
        };
        Self { level: Some(level) }
    }
}

/// How an entity's events become its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reducer {
    /// Each payload is a JSON merge patch (RFC 7396) on what came before.
    #[default]
    Merge,
    /// The last payload.
    Last,
    /// How many events there are.
    Count,
    /// All payloads, in order.
    List,
}

impl Reducer {
    /// Every reducer.
    pub const ALL: [Self; 4] = [Self::Merge, Self::Last, Self::Count, Self::List];

    /// The reducer's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Last => "last",
            Self::Count => "count",
            Self::List => "list",
        }
    }

    /// Reads a reducer's name.
    ///
    /// # Errors
    /// [`Invalid`] with the names there are.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|reducer| reducer.as_str() == name).ok_or_else(|| {
            Invalid::new("reducer", format!("is {name:?}; give one of merge, last, count, list"))
        })
    }

    /// Reads the number on the wire.
    ///
    /// # Errors
    /// [`Invalid`] for a number that this release does not know.
    pub fn from_wire(number: i32) -> Result<Self, Invalid> {
        match v1::Reducer::try_from(number) {
            Ok(v1::Reducer::Unspecified | v1::Reducer::Merge) => Ok(Self::Merge),
            Ok(v1::Reducer::Last) => Ok(Self::Last),
            Ok(v1::Reducer::Count) => Ok(Self::Count),
            Ok(v1::Reducer::List) => Ok(Self::List),
            Err(_) => {
                Err(Invalid::new("reducer", format!("has no number {number} in this release; give 1 to 4")))
            }
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        let reducer = match self {
            Self::Merge => v1::Reducer::Merge,
            Self::Last => v1::Reducer::Last,
            Self::Count => v1::Reducer::Count,
            Self::List => v1::Reducer::List,
        };
        reducer as i32
    }
}

/// A filter whose names could be names of stored events.
///
/// # Errors
/// [`Invalid`] for a type or a tag that no event can have.
pub fn filter(message: v1::Filter) -> Result<Filter, Invalid> {
    let of_filter =
        |invalid: Invalid| Invalid::new(invalid.field, format!("of the filter {}", invalid.reason));
    for name in &message.types {
        EventType::parse(name).map_err(of_filter)?;
    }
    for tag in &message.tags {
        Tag::parse(tag).map_err(of_filter)?;
    }
    Ok(Filter {
        types: message.types,
        type_prefix: message.type_prefix,
        tags: message.tags,
        entity_prefix: message.entity_prefix,
        occurred_until: message.occurred_until.map(Timestamp::new),
        recorded_from: message.recorded_from.map(Timestamp::new),
        recorded_until: message.recorded_until.map(Timestamp::new),
    })
}

impl From<Filter> for v1::Filter {
    fn from(filter: Filter) -> Self {
        Self {
            types: filter.types,
            type_prefix: filter.type_prefix,
            tags: filter.tags,
            entity_prefix: filter.entity_prefix,
            occurred_until: filter.occurred_until.map(Timestamp::get),
            recorded_from: filter.recorded_from.map(Timestamp::get),
            recorded_until: filter.recorded_until.map(Timestamp::get),
        }
    }
}

/// The direction that a request's `backward` means.
#[must_use]
pub const fn direction(backward: bool) -> Direction {
    if backward { Direction::Backward } else { Direction::Forward }
}
