//! What a writer believes about an entity before it writes.

use core::fmt;

use crate::number::Version;

/// An expectation about one entity, checked in apply against the version at that moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Expectation {
    /// Nothing is expected; always passes.
    #[default]
    Any,
    /// The entity's version is exactly this. Zero means that it has no event.
    Exact(Version),
    /// The entity has at least one event.
    Exists,
}

impl Expectation {
    /// The entity has no event yet: create it once.
    #[expect(non_upper_case_globals, reason = "reads, and matches, as the fourth expectation")]
    pub const NoEntity: Expectation = Expectation::Exact(Version::ZERO);

    /// Whether an entity at version `actual` is as expected.
    pub const fn allows(self, actual: Version) -> bool {
        match self {
            Expectation::Any => true,
            Expectation::Exact(version) => version.get() == actual.get(),
            Expectation::Exists => !actual.is_zero(),
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Expectation::Any => f.write_str("any version"),
            Expectation::NoEntity => f.write_str("no event yet"),
            Expectation::Exact(version) => write!(f, "version {version}"),
            Expectation::Exists => f.write_str("at least one event"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_expectation_allows_exactly_its_versions() {
        let allowed = |e: Expectation| [0, 1, 2].map(|v| e.allows(Version::new(v)));
        assert_eq!(allowed(Expectation::Any), [true, true, true]);
        assert_eq!(allowed(Expectation::NoEntity), [true, false, false]);
        assert_eq!(allowed(Expectation::Exact(Version::new(2))), [false, false, true]);
        assert_eq!(allowed(Expectation::Exists), [false, true, true]);
    }
}
