//! In what way a run failed.

use core::fmt;
use std::collections::BTreeSet;

use chronos_history::Invariant;
use serde::{Deserialize, Serialize};

/// A run that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// In what way.
    pub way: Way,
    /// What was seen, in a sentence or some.
    pub what: String,
}

/// The ways in which a run fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The history breaks these promises.
    Violated(BTreeSet<Invariant>),
    /// The cluster did not get to where it has to get.
    Stuck,
    /// The history leaves open whether promises were kept.
    Undecided,
    /// The process ended before it had said how the run ended.
    Died,
    /// Nothing was heard of the process for so long that it was ended.
    Silent,
}

impl Failure {
    /// Whether it may well be the same fault: some invariant that both violate; otherwise the same way, and the same
    /// words but for numbers.
    #[must_use]
    pub fn is_like(&self, other: &Failure) -> bool {
        match (&self.way, &other.way) {
            (Way::Violated(some), Way::Violated(others)) => !some.is_disjoint(others),
            (some, other_way) => {
                some == other_way && without_numbers(&self.what) == without_numbers(&other.what)
            }
        }
    }
}

/// What is left of a sentence when each number in it is as good as any.
fn without_numbers(what: &str) -> String {
    let mut kept = String::with_capacity(what.len());
    for letter in what.chars() {
        match letter {
            '0'..='9' if kept.ends_with('#') => {}
            '0'..='9' => kept.push('#'),
            other => kept.push(other),
        }
    }
    kept
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Violated(invariants) => {
                let names: Vec<String> = invariants.iter().map(Invariant::to_string).collect();
                write!(f, "violated {}: ", names.join(", "))?;
            }
            Way::Stuck => f.write_str("stuck: ")?,
            Way::Undecided => f.write_str("undecided: ")?,
            Way::Died => f.write_str("its process died: ")?,
            Way::Silent => f.write_str("its process fell silent: ")?,
        }
        f.write_str(&self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violated(invariants: &[Invariant]) -> Failure {
        Failure { way: Way::Violated(invariants.iter().copied().collect()), what: format!("{invariants:?}") }
    }

    fn with(way: Way, what: &str) -> Failure {
        Failure { way, what: what.to_owned() }
    }

    #[test]
    fn violations_are_alike_when_they_have_an_invariant_in_common() {
        let both = violated(&[Invariant::S1, Invariant::S6]);
        assert!(both.is_like(&violated(&[Invariant::S6, Invariant::S8])));
        assert!(!both.is_like(&violated(&[Invariant::S8])));
        assert!(!both.is_like(&with(Way::Stuck, &both.what)));
    }

    #[test]
    fn other_failures_are_alike_when_only_numbers_differ() {
        let stuck = with(Way::Stuck, "not whole after 901 s: n2 says: partition 5 on n2 is 17 behind");
        assert!(
            stuck
                .is_like(&with(Way::Stuck, "not whole after 900 s: n1 says: partition 31 on n1 is 2 behind"))
        );
        assert!(
            !stuck.is_like(&with(Way::Stuck, "not whole after 901 s: n2 says: partition 5 has no leader"))
        );
        assert!(!stuck.is_like(&with(Way::Undecided, &stuck.what)));
    }

    #[test]
    fn a_failure_is_told_from_one_process_to_another_as_it_is() {
        for failure in [violated(&[Invariant::S1, Invariant::S26]), with(Way::Died, "a \"signal\"")] {
            let text = serde_json::to_string(&failure).unwrap();
            assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure);
        }
    }
}
