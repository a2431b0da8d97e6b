//! The first byte of everything that is hashed, by kind. Never reused.

/// A leaf of the tree: an event (RFC 6962, section 2.1).
pub(crate) const LEAF: u8 = 0x00;
/// An inner node of the tree (RFC 6962, section 2.1).
pub(crate) const NODE: u8 = 0x01;
/// A digest of a partition's history.
pub(crate) const DIGEST: u8 = 0x02;
/// A link of the running chain.
pub(crate) const CHAIN: u8 = 0x03;
/// What a partition's chain starts from.
pub(crate) const CHAIN_START: u8 = 0x04;
