//! The final logs, as referees need them: which ids, in which order.

use std::collections::{BTreeMap, BTreeSet};

use crate::fact::{Fact, Logged};
use crate::line::{Body, Line, Process};
use crate::{EventId, Fork, Node, Partition};

/// One replica of each partition's final log.
#[derive(Default)]
pub(super) struct Resolved {
    pub(super) logs: BTreeMap<Partition, Vec<Logged>>,
    ids: BTreeSet<EventId>,
}

impl Resolved {
    pub(super) fn new(lines: &[Line]) -> Resolved {
        let mut from: BTreeMap<Partition, Node> = BTreeMap::new();
        let mut resolved = Resolved::default();
        for line in lines {
            let (Process::Node(node), Body::Fact(Fact::Log(chunk))) = (&line.process, &line.body) else {
                continue;
            };
            if chunk.fork == Fork(0) && from.entry(chunk.part).or_insert(*node) == node {
                resolved.ids.extend(chunk.events.iter().map(|event| event.id));
                resolved.logs.entry(chunk.part).or_default().extend_from_slice(&chunk.events);
            }
        }
        resolved
    }

    /// Whether an event is in a final log.
    pub(super) fn has(&self, id: EventId) -> bool {
        self.ids.contains(&id)
    }
}
