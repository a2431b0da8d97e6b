//! Which seeds.

use core::fmt;
use core::ops::Range;
use core::str::FromStr;

/// Seeds from one up to but without another. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(Range<u64>);

/// Why a text names no seeds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has another form.
    #[error("`{0}` names no seeds: write the first and the one after the last, as in 1..61, or one seed")]
    Form(String),
    /// There are none between the two.
    #[error("there is no seed in {0}..{1}: the one after the last must be greater than the first")]
    Empty(u64, u64),
}

impl Seeds {
    /// From `first` up to but without `end`.
    ///
    /// # Errors
    /// There are none.
    pub fn new(first: u64, end: u64) -> Result<Seeds, Error> {
        if first < end { Ok(Seeds(first..end)) } else { Err(Error::Empty(first, end)) }
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + use<> {
        self.0.clone()
    }

    /// Whether there is just one.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.0.end - self.0.start == 1
    }
}

impl FromStr for Seeds {
    type Err = Error;

    fn from_str(text: &str) -> Result<Seeds, Error> {
        let number = |part: &str| part.trim().parse().map_err(|_| Error::Form(text.to_owned()));
        match text.split_once("..") {
            Some((first, end)) => Seeds::new(number(first)?, number(end)?),
            None => {
                let only: u64 = number(text)?;
                Seeds::new(only, only.checked_add(1).ok_or_else(|| Error::Form(text.to_owned()))?)
            }
        }
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.0.start, self.0.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_from_the_first_to_the_one_before_the_end() {
        let seeds: Seeds = "3..6".parse().unwrap();
        assert_eq!(seeds.iter().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(seeds.to_string().parse(), Ok(seeds));
        assert_eq!("7".parse(), Seeds::new(7, 8));
    }

    #[test]
    fn what_holds_no_seed_is_refused() {
        assert_eq!("5..1".parse::<Seeds>(), Err(Error::Empty(5, 1)));
        assert_eq!("5..5".parse::<Seeds>(), Err(Error::Empty(5, 5)));
        for text in ["", "..", "1..", "..5", "a..b", "-1..3", "1..2..3", "1-5", "18446744073709551615"] {
            assert_eq!(text.parse::<Seeds>(), Err(Error::Form(text.to_owned())));
        }
    }
}
