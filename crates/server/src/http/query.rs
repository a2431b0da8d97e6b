//! Query parameters: decoded strictly, each known by name, each given once unless it may repeat.

use std::time::Duration;

use chronos_app::{AsOf, Consistency, Error, Reducer};
use chronos_block::{Direction, Filter};
use chronos_domain::limits::PAGE_EVENTS_MAX;
use chronos_domain::{EventType, Tag, Timestamp, Token};

use super::moment;

/// The parameters of one request, taken out one by one; what is left at the end was not understood.
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// Events of a page when the caller does not say.
const LIMIT_DEFAULT: u64 = 1000;

/// How long the caller of a request with these parameters waits, if they say so and can be read.
pub(super) fn asked(text: &str) -> Option<Duration> {
    Query::parse(Some(text)).ok()?.patience().ok()?
}

impl Query {
    /// Splits and decodes the text after the question mark.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Error> {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Self { pairs: pairs.collect::<Result<_, Error>>()? })
    }

    /// All values of a parameter that may repeat, in order.
    fn all(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.pairs).into_iter().partition(|(n, _)| n == name);
        self.pairs = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// The value of a parameter that may be given once.
    fn one(&mut self, name: &'static str) -> Result<Option<String>, Error> {
        let mut values = self.all(name);
        if values.len() > 1 {
            return Err(invalid(name, "is given more than once; give it once"));
        }
        Ok(values.pop())
    }

    /// Refuses what is left.
    pub(crate) fn end(self) -> Result<(), Error> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(Error::invalid(format!("there is no parameter {name:?} here; see /v1/openapi.json"))
                    .with("field", name))
            }
        }
    }

    fn number(&mut self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| invalid(name, format!("is {text:?}; give a whole number from 0 on")))
    }

    /// First version or position to return.
    pub(crate) fn from(&mut self) -> Result<Option<u64>, Error> {
        self.number("from")
    }

    /// Last version to return, in the direction of the read.
    pub(crate) fn to(&mut self) -> Result<Option<u64>, Error> {
        self.number("to")
    }

    /// The first version of an entity that stays when it is truncated.
    pub(crate) fn before(&mut self) -> Result<u64, Error> {
        self.number("before")?
            .ok_or_else(|| invalid("before", "is missing; give the first version that stays"))
    }

    /// How many of something.
    pub(crate) fn count(&mut self, name: &'static str, default: u64) -> Result<u64, Error> {
        Ok(self.number(name)?.unwrap_or(default))
    }

    /// What a random choice begins with.
    pub(crate) fn seed(&mut self) -> Result<Option<u64>, Error> {
        self.number("seed")
    }

    /// Whether something is wanted.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<bool, Error> {
        match self.one(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => Err(invalid(name, format!("is {other:?}; give true or false"))),
        }
    }

    /// Which way to read.
    pub(crate) fn direction(&mut self) -> Result<Direction, Error> {
        Ok(if self.flag("backward")? { Direction::Backward } else { Direction::Forward })
    }

    /// Events of one page, at most the largest page.
    pub(crate) fn page_limit(&mut self) -> Result<u64, Error> {
        let limit = self.number("limit")?.unwrap_or(LIMIT_DEFAULT);
        if limit == 0 || limit > PAGE_EVENTS_MAX as u64 {
            let range =
                format!("is {limit}; give 1 to {PAGE_EVENTS_MAX}, or read all as application/x-ndjson");
            return Err(invalid("limit", range));
        }
        Ok(limit)
    }

    /// Events of one stream; all when absent.
    pub(crate) fn stream_limit(&mut self) -> Result<Option<u64>, Error> {
        self.number("limit")
    }

    /// The moment whose past is read.
    pub(crate) fn as_of(&mut self) -> Result<Option<AsOf>, Error> {
        let Some(text) = self.one("as_of")? else { return Ok(None) };
        moment::as_of(&text).map(Some)
    }

    /// Only events that had occurred by then.
    pub(crate) fn occurred_until(&mut self) -> Result<Option<Timestamp>, Error> {
        let Some(text) = self.one("occurred_until")? else { return Ok(None) };
        moment::time("occurred_until", &text).map(Some)
    }

    /// The fold of a state, and its name.
    pub(crate) fn reducer(&mut self) -> Result<(Reducer, String), Error> {
        let name = self.one("reducer")?.unwrap_or_else(|| "merge".to_owned());
        Ok((Reducer::parse(&name)?, name))
    }

    /// A token.
    pub(crate) fn token(&mut self, name: &'static str) -> Result<Option<Token>, Error> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        Token::parse(&text).map(Some).map_err(|error| invalid(name, error.reason))
    }

    /// How fresh the read must be.
    pub(crate) fn consistency(&mut self, default: Consistency) -> Result<Consistency, Error> {
        let at_least = self.token("at_least")?;
        match (self.one("consistency")?.as_deref(), at_least) {
            (None, None) => Ok(default),
            (None, Some(token)) => Ok(Consistency::AtLeast(token)),
            (Some("linearizable"), None) => Ok(Consistency::Linearizable),
            (Some("local"), None) => Ok(Consistency::Local),
            (Some(_), Some(_)) => Err(invalid("consistency", "and at_least exclude each other; give one")),
            (Some(other), None) => {
                Err(invalid("consistency", format!("is {other:?}; give linearizable or local, or at_least")))
            }
        }
    }

    /// How long the caller wants to wait.
    pub(crate) fn patience(&mut self) -> Result<Option<Duration>, Error> {
        Ok(self.number("timeout_ms")?.map(Duration::from_millis))
    }

    /// Which events of the stretch that is read.
    pub(crate) fn filter(&mut self) -> Result<Filter, Error> {
        let types = self.all("type");
        for kind in &types {
            EventType::parse(kind).map_err(|error| invalid("type", error.reason))?;
        }
        let tags = self.all("tag");
        for tag in &tags {
            Tag::parse(tag).map_err(|error| invalid("tag", error.reason))?;
        }
        Ok(Filter {
            types,
            tags,
            type_prefix: self.one("type_prefix")?,
            entity_prefix: self.one("entity_prefix")?,
            occurred_until: self.occurred_until()?,
            ..Filter::default()
        })
    }
}

/// Undoes `%xx` and `+`, and accepts nothing that is not UTF-8 afterwards.
fn decode(text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let code = high.zip(low).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
                code.ok_or_else(|| undecodable(text))?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| undecodable(text))
}

fn undecodable(text: &str) -> Error {
    Error::invalid(format!("the query has {text:?}, which is not percent-encoded UTF-8; encode it"))
}

fn invalid(name: &'static str, what: impl std::fmt::Display) -> Error {
    Error::invalid(format!("{name} {what}")).with("field", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(Some(text)).unwrap()
    }

    #[test]
    fn values_are_decoded_and_repeated_ones_keep_their_order() {
        let filter = query("tag=a%2Fb&type=x&tag=c+d&type=%C3%A4").filter().unwrap();
        assert_eq!(filter.tags, ["a/b", "c d"]);
        assert_eq!(filter.types, ["x", "ä"]);
    }

    #[test]
    fn what_is_not_percent_encoded_utf8_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%FF", "%C3=1", "a=%+1"] {
            assert!(Query::parse(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_refused_by_name() {
        let mut query = query("limit=3&colour=red");
        assert_eq!(query.page_limit().unwrap(), 3);
        assert!(query.end().unwrap_err().message.contains("colour"));
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        assert!(query("from=1&from=2").from().unwrap_err().message.contains("more than once"));
    }

    #[test]
    fn a_page_has_at_least_one_and_at_most_the_largest_number_of_events() {
        assert_eq!(query("").page_limit().unwrap(), 1000);
        assert_eq!(query("limit=4096").page_limit().unwrap(), 4096);
        for text in ["limit=0", "limit=4097", "limit=-1", "limit=x", "limit="] {
            assert!(query(text).page_limit().is_err(), "{text}");
        }
    }

    #[test]
    fn freshness_is_one_of_three() {
        let token = Token::default().to_string();
        let read = |text: &str| query(text).consistency(Consistency::Linearizable);
        assert_eq!(read("").unwrap(), Consistency::Linearizable);
        assert_eq!(read("consistency=local").unwrap(), Consistency::Local);
        assert_eq!(read(&format!("at_least={token}")).unwrap(), Consistency::AtLeast(Token::default()));
        assert!(read(&format!("at_least={token}&consistency=local")).is_err());
        assert!(read("consistency=eventual").is_err());
    }
}
