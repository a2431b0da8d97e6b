//! What the parts know about a command, found out before it is applied.
//!
//! Parts never change, so nothing that other commands of the same entry do can make these facts wrong, and the disk is
//! not waited for under the lock.

use std::collections::BTreeMap;

use chronos_domain::{ContentHash, EventId, Position, QueryItem, Timestamp, Version};

/// The facts about one command. Empty where memory knows, or nothing is known at all.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Its events that are stored in parts.
    pub(crate) ids: BTreeMap<EventId, Position>,
    /// What they are.
    pub(crate) events: BTreeMap<Position, Kept>,
    /// The versions of its entities that have events in parts and none in memory.
    pub(crate) versions: BTreeMap<String, Version>,
    /// For each item of its condition, where it first matches.
    pub(crate) matches: Vec<(QueryItem, Position, EventId)>,
}

/// An event in a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) content: ContentHash,
    pub(crate) version: Version,
    pub(crate) recorded_at: Timestamp,
}

impl Facts {
    /// Where the item first matches in parts.
    pub(crate) fn first_match(&self, item: &QueryItem) -> Option<(Position, EventId)> {
        let known = self.matches.iter().find(|(asked, ..)| asked == item);
        known.map(|(_, position, id)| (*position, *id))
    }
}
