//! Why bytes are not a block.

use std::error::Error;
use std::fmt;

use chronos_domain::{Invalid, Rejection};

/// Why bytes were refused as a block. Nothing of them has been used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes are not what a packer wrote: cut short, altered, or never a block.
    Damaged {
        /// What does not fit, and where.
        what: String,
    },
    /// The bytes are in a format this release does not read.
    Version {
        /// The format number in the bytes.
        found: u8,
        /// The one format number this release reads.
        supported: u8,
    },
    /// The bytes are a block, but the request in it breaks a rule.
    Rejected(Rejection),
}

impl Malformed {
    pub(crate) fn damaged(what: impl Into<String>) -> Malformed {
        Malformed::Damaged { what: what.into() }
    }
}

impl From<Rejection> for Malformed {
    fn from(rejection: Rejection) -> Malformed {
        Malformed::Rejected(rejection)
    }
}

impl From<Invalid> for Malformed {
    fn from(invalid: Invalid) -> Malformed {
        Malformed::Rejected(Rejection::Invalid(invalid))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Damaged { what } => write!(f, "damaged block: {what}; pack and send it again"),
            Malformed::Version { found, supported } => write!(
                f,
                "block format {found} is not readable here, only format {supported}; upgrade the older side or have \
                 the newer one write format {supported}"
            ),
            Malformed::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

impl Error for Malformed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Malformed::Rejected(rejection) => Some(rejection),
            Malformed::Damaged { .. } | Malformed::Version { .. } => None,
        }
    }
}
