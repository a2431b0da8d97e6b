//! Moments as people type them, and as tables show them.
//!
//! A time is RFC 3339 (`2024-05-01T12:00:00Z`, any offset, up to microseconds), a day (`2024-05-01`, its first
//! moment in UTC) or what events carry: whole microseconds since the Unix epoch.

use std::time::Duration;

use chronos_client::{Moment, Timestamp, Token, Version};
use chronos_proto::text;

/// Below this a bare number of `--as-of` is an entity version, from here on microseconds. In microseconds it is
/// March 1973, before which no event was ever *recorded*; as a version it is out of anyone's reach.
const FIRST_MICROS: u64 = 100_000_000_000_000;

/// Reads a time, a token or an entity version.
pub(crate) fn parse_as_of(text: &str) -> Result<Moment, String> {
    if text.starts_with("c1.") {
        return Token::parse(text).map(Moment::Token).map_err(|e| e.to_string());
    }
    let number = text.strip_prefix('v').unwrap_or(text);
    match number.parse::<u64>() {
        Ok(version) if version < FIRST_MICROS => Ok(Moment::Version(Version::new(version))),
        _ => parse_time(text).map(Moment::Time),
    }
}

/// Reads a time.
pub(crate) fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(day) = text.parse::<jiff::civil::Date>()
        && text.len() == "2024-05-01".len()
    {
        let start = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|e| e.to_string())?;
        return Ok(Timestamp::new(start.timestamp().as_microsecond()));
    }
    text::parse_time("time", text).map_err(|_| {
        format!(
            "{text:?} is no time; write 2024-05-01T12:00:00Z, 2024-05-01, or microseconds since the epoch"
        )
    })
}

/// RFC 3339 with microseconds, in UTC; the bare number for years nobody can write.
pub(crate) fn show(time: Timestamp) -> String {
    text::show_time(time)
}

/// Reads a length of time.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number = digits.parse::<u64>().ok().filter(|n| *n > 0);
    match (number, unit) {
        (Some(n), "" | "s") => Ok(Duration::from_secs(n)),
        (Some(n), "ms") => Ok(Duration::from_millis(n)),
        (Some(n), "m") => Ok(Duration::from_secs(n * 60)),
        _ => Err("give a time such as 10s, 500ms or 2m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_to_write_one_moment_agree() {
        let wanted = Timestamp::new(1_714_521_600_000_000);
        for text in ["2024-05-01", "2024-05-01T00:00:00Z", "2024-05-01T02:00:00+02:00", "1714521600000000"] {
            assert_eq!(parse_time(text).unwrap(), wanted, "{text}");
        }
        assert_eq!(parse_time("-1").unwrap(), Timestamp::new(-1));
        assert_eq!(show(wanted), "2024-05-01T00:00:00.000000Z");
    }

    #[test]
    fn what_is_shown_reads_back() {
        for micros in [0, -1, 1_714_521_600_123_456] {
            let time = Timestamp::new(micros);
            assert_eq!(parse_time(&show(time)).unwrap(), time);
        }
    }

    #[test]
    fn small_numbers_are_versions_and_large_ones_microseconds() {
        for text in ["17", "v17"] {
            assert_eq!(parse_as_of(text).unwrap(), Moment::Version(Version::new(17)));
        }
        let micros = Timestamp::new(1_714_521_600_000_000);
        assert_eq!(parse_as_of("1714521600000000").unwrap(), Moment::Time(micros));
    }

    #[test]
    fn nonsense_is_refused_with_examples() {
        for text in ["", "yesterday", "2024-13-01", "2024-05-01T12:00:00", "c1.!!"] {
            assert!(parse_as_of(text).is_err(), "{text:?} was taken");
        }
        assert!(parse_time("soon").unwrap_err().contains("2024-05-01T12:00:00Z"));
    }

    #[test]
    fn a_token_is_told_from_a_time() {
        let token = Token::new();
        assert_eq!(parse_as_of(&token.to_string()).unwrap(), Moment::Token(token));
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "s", "0s", "1h", "-1s", "1.5s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
