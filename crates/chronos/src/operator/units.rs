//! Numbers as people read them: three digits that matter, and a unit.

use std::time::Duration;

use crate::table::grouped;

/// `12345678` as `11.8 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let (mut value, mut unit) = (number as f64 / 1024.0, 0);
    // What would be rounded to 1024 is one of the next unit.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(value < 99.95);
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// A length of time in its largest unit that is at least one.
pub(crate) fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", time.as_secs_f64()),
        10..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How many events somebody is behind.
pub(crate) fn lag(events: u64) -> String {
    match events {
        0..=99_999 => grouped(events),
        100_000..=999_999 => format!("{} k", events / 1000),
        _ => format!("{:.1} M", events as f64 / 1_000_000.0),
    }
}

/// What share of a whole something is; never 100 % of what is not complete.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part >= whole {
        return "100 %".to_owned();
    }
    let share = u128::from(part) * 100 / u128::from(whole);
    format!("{share} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_in_which_they_are_short() {
        let shown = [0, 1023, 1024, 1_048_000, 1 << 20, 12_345_678, 200 << 30, u64::MAX].map(bytes);
        let expected =
            ["0 B", "1023 B", "1.0 KiB", "1023 KiB", "1.0 MiB", "11.8 MiB", "200 GiB", "16384 PiB"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn times_lags_and_shares_are_short() {
        let shown =
            [300, 12_000, 119_999, 600_000, 7_200_000, 200_000_000].map(Duration::from_millis).map(ago);
        assert_eq!(shown, ["0.3 s", "12 s", "119 s", "10 min", "2 h", "2 d"]);
        assert_eq!([0, 12_345, 123_456, 12_345_678].map(lag), ["0", "12,345", "123 k", "12.3 M"]);
        assert_eq!(percent(999_999, 1_000_000), "99 %");
        assert_eq!([percent(0, 0), percent(5, 5), percent(0, 5)], ["100 %", "100 %", "0 %"]);
    }
}
