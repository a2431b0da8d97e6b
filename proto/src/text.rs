//! Moments as people write them: one reading for every surface (HTTP parameters, flags of the command line).
//!
//! | text | meaning |
//! |---|---|
//! | `1763726400000000` | microseconds since the Unix epoch, UTC |
//! | `2025-11-21T12:00:00Z`, `2025-11-21T13:00:00.25+01:00` | RFC 3339 |
//! | `v12` | version 12 of the entity that is read |
//! | `c1.…` | a token, exactly as an append or a read returned it |

use chronos_domain::{Invalid, Timestamp, Token, Version};

/// A moment of the past, as text can name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A time of the wall clock.
    Time(Timestamp),
    /// Positions of partitions.
    Token(Token),
    /// A version of the one entity that is read.
    Version(Version),
}

/// What every token's text starts with.
const TOKEN_PREFIX: &str = "c1.";

/// Reads any form of a moment.
///
/// # Errors
/// [`Invalid`] of the field `as_of`, with the forms there are.
pub fn parse_as_of(text: &str) -> Result<Moment, Invalid> {
    const FIELD: &str = "as_of";
    if text.starts_with(TOKEN_PREFIX) {
        return match Token::parse(text) {
            Ok(token) => Ok(Moment::Token(token)),
            Err(error) => Err(Invalid::new(FIELD, format!("is a token that {}", error.reason))),
        };
    }
    if let Some(digits) = text.strip_prefix('v') {
        return match digits.parse() {
            Ok(version) => Ok(Moment::Version(Version::new(version))),
            Err(_) => Err(Invalid::new(FIELD, format!("is {text:?}, which is no version; give for example v12"))),
        };
    }
    let time = parse_time(FIELD, text);
    time.map(Moment::Time).map_err(|error| Invalid::new(FIELD, format!("{}, a version (v12) or a token", error.reason)))
}

/// Reads a time: whole microseconds since the Unix epoch, or RFC 3339 with its offset. Digits finer than a
/// microsecond are cut off.
///
/// # Errors
/// [`Invalid`] of `field`, with the forms there are.
pub fn parse_time(field: &'static str, text: &str) -> Result<Timestamp, Invalid> {
    if let Ok(micros) = text.parse() {
        return Ok(Timestamp::new(micros));
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Timestamp::new(floor_micros(time))),
        Err(_) => Err(Invalid::new(
            field,
            format!(
                "is {text:?}, which is no time; give microseconds since the Unix epoch or RFC 3339 such as \
                 2025-11-21T12:00:00Z"
            ),
        )),
    }
}

/// Writes a time as RFC 3339 in UTC with microseconds; as plain microseconds where the calendar does not reach.
#[must_use]
pub fn format_time(time: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(time.get()) {
        Ok(calendar) => format!("{calendar:.6}"),
        Err(_) => time.to_string(),
    }
}

/// Before the epoch, too, the cut is towards the past.
fn floor_micros(time: jiff::Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond().div_euclid(1000)).expect("the calendar's microseconds fit 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> i64 {
        parse_time("occurred_until", text).unwrap().get()
    }

    #[test]
    fn a_time_is_microseconds_or_rfc_3339() {
        assert_eq!(time("0"), 0);
        assert_eq!(time("-1"), -1);
        assert_eq!(time("1763726400000000"), 1_763_726_400_000_000);
        assert_eq!(time("2025-11-21T12:00:00Z"), 1_763_726_400_000_000);
        assert_eq!(time("2025-11-21T13:00:00.25+01:00"), 1_763_726_400_250_000);
        assert_eq!(time("1970-01-01T00:00:00.0000019Z"), 1);
        assert_eq!(time("1969-12-31T23:59:59.9999999Z"), -1);
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_forms_there_are() {
        for text in ["", "yesterday", "2025-11-21", "2025-11-21T12:00:00", "1.5", "99999999999999999999"] {
            let error = parse_time("occurred_until", text).unwrap_err();
            assert_eq!(error.field, "occurred_until");
            assert!(error.reason.contains("RFC 3339"), "{text}: {error}");
        }
    }

    #[test]
    fn an_as_of_is_a_time_a_version_or_a_token() {
        let token = Token::default();
        assert_eq!(parse_as_of("7").unwrap(), Moment::Time(Timestamp::new(7)));
        assert_eq!(parse_as_of("v12").unwrap(), Moment::Version(Version::new(12)));
        assert_eq!(parse_as_of(&token.to_string()).unwrap(), Moment::Token(token));
        for text in ["v", "v-1", "vx", "c1.!", "c1.", "now", ""] {
            assert_eq!(parse_as_of(text).unwrap_err().field, "as_of", "{text}");
        }
    }

    #[test]
    fn a_written_time_reads_back() {
        for micros in [0, -1, 1_763_726_400_000_001, i64::MAX, i64::MIN] {
            assert_eq!(time(&format_time(Timestamp::new(micros))), micros);
        }
        assert_eq!(format_time(Timestamp::new(1_763_726_400_000_001)), "2025-11-21T12:00:00.000001Z");
    }
}
