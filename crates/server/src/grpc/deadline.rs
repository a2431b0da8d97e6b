//! How long a gRPC caller is willing to wait, as it says in its `grpc-timeout` header.

use std::time::Duration;

use http::HeaderMap;

const HEADER: &str = "grpc-timeout";
/// The same, in the same form, until a stream begins: the whole of it may take any time.
const BEGIN: &str = "chronos-begin-timeout";
/// The protocol allows no more digits.
const DIGITS_MAX: usize = 8;
/// What an answer needs to reach its caller, generously.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// The caller's timeout. One that cannot be read counts as none, as the protocol asks.
pub(crate) fn asked(headers: &HeaderMap) -> Option<Duration> {
    time(headers, HEADER)
}

fn time(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let text = headers.get(name)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// How long the work for an answer may take: a little less than the caller waits, so that the reason why there is none
/// still reaches him.
pub(crate) fn to_answer(headers: &HeaderMap) -> Option<Duration> {
    asked(headers).map(less_the_way)
}

/// The same of the first piece of an answer that comes in pieces.
pub(crate) fn to_begin(headers: &HeaderMap) -> Option<Duration> {
    let both = [time(headers, BEGIN), asked(headers)];
    both.into_iter().flatten().min().map(less_the_way)
}

fn less_the_way(asked: Duration) -> Duration {
    asked - (asked / 4).min(ON_THE_WAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Duration> {
        asked(&HeaderMap::from_iter([(http::HeaderName::from_static(HEADER), text.parse().unwrap())]))
    }

    #[test]
    fn an_answer_is_due_before_the_caller_has_gone() {
        let due = |text: &str| {
            to_answer(&HeaderMap::from_iter([(http::HeaderName::from_static(HEADER), text.parse().unwrap())]))
        };
        assert_eq!(due("10S"), Some(Duration::from_millis(9500)));
        assert_eq!(due("100m"), Some(Duration::from_millis(75)));
        assert_eq!(due("x"), None);
    }

    #[test]
    fn a_stream_is_due_to_begin_before_it_is_due_to_end() {
        let text = |text: &'static str| http::HeaderValue::from_static(text);
        let begin = (http::HeaderName::from_static(BEGIN), text("2000m"));
        let whole = (http::HeaderName::from_static(HEADER), text("10S"));
        let due = |headers: Vec<_>| to_begin(&HeaderMap::from_iter(headers));
        assert_eq!(due(vec![begin.clone(), whole.clone()]), Some(Duration::from_millis(1500)));
        assert_eq!(due(vec![whole]), Some(Duration::from_millis(9500)));
        assert_eq!(to_answer(&HeaderMap::from_iter([begin])), None);
    }

    #[test]
    fn every_unit_of_the_protocol_is_read() {
        let expected = [
            ("2H", 7_200_000_000_000),
            ("3M", 180_000_000_000),
            ("10S", 10_000_000_000),
            ("250m", 250_000_000),
            ("99999999u", 99_999_999_000),
            ("7n", 7),
        ];
        for (text, nanos) in expected {
            assert_eq!(read(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_the_protocol_does_not_allow_counts_as_no_timeout() {
        for text in ["", "S", "10", "10s", "-1S", "+1S", "1.5S", "123456789S", "1 S"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(asked(&HeaderMap::new()), None);
    }
}
