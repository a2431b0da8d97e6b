//! An event inside a block, borrowed.

use std::iter::FusedIterator;

use chronos_domain::{EventId, Timestamp};

use crate::block::Block;

/// What its writer said about one event, read in place. Made in constant time, without allocation.
#[derive(Clone, Debug)]
pub struct EventRef<'a> {
    /// The event's identity.
    pub event_id: EventId,
    /// What the event is about.
    pub entity_id: &'a str,
    /// What kind of fact it states.
    pub event_type: &'a str,
    /// How to read the payload.
    pub content_type: &'a str,
    /// The fact itself.
    pub payload: &'a [u8],
    /// A JSON object as text, or empty. Its syntax has not been checked here.
    pub metadata: &'a [u8],
    /// Labels, in ascending byte order, each once.
    pub tags: Tags<'a>,
    /// When the fact happened, if its writer said so.
    pub occurred_at: Option<Timestamp>,
}

/// The tags of one event, in ascending byte order, each once.
#[derive(Clone)]
pub struct Tags<'a> {
    block: &'a Block,
    numbers: &'a [[u8; 2]],
}

impl<'a> Tags<'a> {
    pub(crate) fn new(block: &'a Block, numbers: &'a [[u8; 2]]) -> Tags<'a> {
        Tags { block, numbers }
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (number, rest) = self.numbers.split_first()?;
        self.numbers = rest;
        Some(self.block.tag(u16::from_le_bytes(*number)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.numbers.len(), Some(self.numbers.len()))
    }
}

impl ExactSizeIterator for Tags<'_> {}

impl FusedIterator for Tags<'_> {}

impl std::fmt::Debug for Tags<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
