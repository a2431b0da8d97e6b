//! Judges we did not write, for the same histories.
//!
//! [`linearizable`] asks `todc-utils` (the algorithm of Wing, Gong and Lowe) about appends and strong reads of each
//! partition; [`serializable`] asks `adya` (Elle's method) about the `txn` lines. They know less than
//! [`check`](crate::check()) and take longer, but share nothing with it but the reading of lines.
//!
//! Both take what is unknown from the fenced final log first: an append that is there was one that succeeded, one
//! that is not there never happened. Where they cannot tell, the verdict is [`Opinion::Unknown`], which is no pass.

mod elle;
mod resolved;
mod wgl;

pub use elle::serializable;
pub use wgl::linearizable;

/// What a referee says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// The history is as it should be. How many operations the referee looked at.
    Valid(u64),
    /// It is not: what is wrong, in the referee's words or about its segment.
    Invalid(String),
    /// The referee cannot tell, and why. A failure.
    Unknown(String),
}

impl Opinion {
    /// Whether the referee looked at something and found it right.
    pub fn is_valid(&self) -> bool {
        matches!(self, Opinion::Valid(looked_at) if *looked_at > 0)
    }
}
