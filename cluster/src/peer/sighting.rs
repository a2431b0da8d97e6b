//! What a node keeps of what it saw of another one, beyond its own restart.

/// Another node, as it was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Its incarnation.
    pub incarnation: u64,
    /// The process that was it.
    pub process: u64,
    /// Processes that served copies of its directory, the latest last.
    pub copies: Vec<Double>,
}

/// A process that is not the node it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Double {
    /// It, or the first one of that directory that was found out.
    pub process: u64,
    /// The process of the original that was alive when it was, too, and that it says it goes on from; 0 where that is not
    /// known, and the other one may be the copy.
    pub of: u64,
}

impl Double {
    pub(super) fn is_copy(&self) -> bool {
        self.of != 0
    }
}
