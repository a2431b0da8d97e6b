//! Moments as people write them, in commands and URLs.
//!
//! A time is RFC 3339 (`2024-05-01T12:00:00Z`, any offset, up to microseconds), a day (`2024-05-01`, its first
//! moment in UTC), or what events carry: whole microseconds since the Unix epoch.

use chronos_domain::{Invalid, Timestamp, Token, Version};
use jiff::civil::Date;
use jiff::tz::TimeZone;

pub use crate::read::Moment;

/// Below this a bare number of an `as_of` is an entity version, from here on microseconds. In microseconds it is
/// March 1973, before which no event was ever recorded; as a version it is out of anyone's reach.
const FIRST_MICROS: u64 = 100_000_000_000_000;

/// Reads a time, a token or an entity version.
///
/// # Errors
/// [`Invalid`] with examples of what to write.
pub fn parse_as_of(text: &str) -> Result<Moment, Invalid> {
    if text.starts_with("c1.") {
        let token = Token::parse(text).map_err(|invalid| Invalid::new("as_of", invalid.reason))?;
        return Ok(Moment::Token(token));
    }
    match text.parse::<u64>() {
        Ok(version) if version < FIRST_MICROS => Ok(Moment::Version(Version::new(version))),
        _ => parse_time("as_of", text).map(Moment::Time),
    }
}

/// Reads a time; `field` is what it is called where it stands.
///
/// # Errors
/// [`Invalid`] with examples of what to write.
pub fn parse_time(field: &'static str, text: &str) -> Result<Timestamp, Invalid> {
    const DAY_CHARS: usize = "2024-05-01".len();
    let micros = match text.parse::<i64>() {
        Ok(micros) => Some(micros),
        Err(_) if text.len() == DAY_CHARS => {
            let day = text.parse::<Date>().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok());
            day.map(|start| start.timestamp().as_microsecond())
        }
        Err(_) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond),
    };
    micros.map(Timestamp::new).ok_or_else(|| {
        let give = "give 2024-05-01T12:00:00Z, 2024-05-01, or microseconds since the Unix epoch";
        Invalid::new(field, format!("is {text:?}, which is no time; {give}"))
    })
}

/// RFC 3339 with microseconds, in UTC; the bare number for years that nobody can write.
#[must_use]
pub fn show_time(time: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(time.get()) {
        Ok(t) => format!("{t:.6}"),
        Err(_) => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_to_write_one_moment_agree() {
        let wanted = Timestamp::new(1_714_521_600_000_000);
        for text in ["2024-05-01", "2024-05-01T00:00:00Z", "2024-05-01T02:00:00+02:00", "1714521600000000"] {
            assert_eq!(parse_time("t", text).unwrap(), wanted, "{text}");
        }
        assert_eq!(show_time(wanted), "2024-05-01T00:00:00.000000Z");
    }

    #[test]
    fn what_is_shown_reads_back() {
        for micros in [0, -1, 1_714_521_600_123_456, i64::MAX, i64::MIN] {
            let time = Timestamp::new(micros);
            assert_eq!(parse_time("t", &show_time(time)).unwrap(), time);
        }
    }

    #[test]
    fn versions_times_and_tokens_are_told_apart() {
        let token = Token::new();
        assert_eq!(parse_as_of("17").unwrap(), Moment::Version(Version::new(17)));
        let time = Timestamp::new(1_714_521_600_000_000);
        assert_eq!(parse_as_of("1714521600000000").unwrap(), Moment::Time(time));
        assert_eq!(parse_as_of(&token.to_string()).unwrap(), Moment::Token(token));
    }

    #[test]
    fn nonsense_is_refused_with_examples() {
        for text in ["", "yesterday", "2024-13-01", "2024-05-01T12:00:00", "c1.!!"] {
            assert_eq!(parse_as_of(text).unwrap_err().field, "as_of", "{text:?}");
        }
        assert!(parse_time("t", "soon").unwrap_err().to_string().contains("2024-05-01T12:00:00Z"));
    }
}
