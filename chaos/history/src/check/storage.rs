//! What nodes do with files: S17 and S18.

use std::collections::BTreeSet;

use super::map::Map;
use crate::fact::{Compaction, FileEvent, FileStep, Snapshot, SnapshotStep};
use crate::report::Invariant::{S17, S18};
use crate::report::{At, Tally};
use crate::{Hash, Node, Partition, Position};

#[derive(Default)]
pub(super) struct Storage {
    /// What the last synced manifest of a replica names.
    manifests: Map<(Node, Partition), BTreeSet<String>>,
    /// Digests of what snapshots were taken of: chain, dedup, streams.
    taken: Map<(Partition, Position), ([Hash; 3], Node)>,
}

impl Storage {
    pub(super) fn snapshot(&mut self, at: At, node: Node, snapshot: &Snapshot, report: &mut Tally) {
        let Snapshot { part, did, at: position, chain, dedup, streams } = *snapshot;
        let digests = [chain, dedup, streams];
        if did == SnapshotStep::Taken {
            self.taken.entry((part, position)).or_insert((digests, node));
        }
        let Some((source, from)) = self.taken.get(&(part, position)) else {
            let unknown =
                format!("{node} installed a snapshot of partition {part} at {position} that nobody took");
            return report.undecided(at, unknown);
        };
        for (name, (mine, theirs)) in ["chain", "ids", "entities"].iter().zip(digests.iter().zip(source)) {
            report.check(S18, at, mine == theirs, || {
                format!("partition {part} at {position}: the {name} of {node} have {mine}, those of {from} {theirs}")
            });
        }
    }

    pub(super) fn compaction(&self, at: At, node: Node, rewrite: &Compaction, report: &mut Tally) {
        let Compaction { part, before, after } = rewrite;
        report.check(S17, at, before == after, || {
            format!("{node}, partition {part}: compaction made {after:?} of {before:?}")
        });
    }

    pub(super) fn file(&mut self, at: At, node: Node, event: &FileEvent, report: &mut Tally) {
        let part = event.part;
        match &event.did {
            FileStep::Manifest(names) => {
                self.manifests.insert((node, part), names.iter().cloned().collect());
            }
            FileStep::Delete(file) => {
                let manifest = self.manifests.get(&(node, part));
                report.check(
                    S17,
                    at,
                    manifest.is_some_and(|names| !names.contains(file)),
                    || match manifest {
                        Some(_) => format!(
                            "{node}, partition {part}: {file} was deleted, the synced manifest names it"
                        ),
                        None => format!(
                            "{node}, partition {part}: {file} was deleted before any manifest was synced"
                        ),
                    },
                );
            }
        }
    }
}
