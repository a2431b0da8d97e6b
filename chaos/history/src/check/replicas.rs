//! What nodes say about their replicas: S11, S13, S15, S16, S23.

use super::judge::{Judge, Open};
use super::map::Map;
use crate::answer::Appended;
use crate::fact::{DiskError, NodeState, Role};
use crate::report::Invariant::{S11, S13, S15, S16, S23};
use crate::report::{At, Tally};
use crate::{Fork, Hash, Incarnation, Node, Partition, Position, Term};

#[derive(Default)]
pub(super) struct Replicas {
    last: Map<(Node, Partition), NodeState>,
    leaders: Map<(Partition, Term), Node>,
    /// The store's chain hash at a position, and who said so first.
    chains: Map<(Partition, Position), (Hash, Node)>,
    /// The highest position said to be committed in each term.
    committed: Map<Partition, Vec<(Term, Position)>>,
    /// Lives that must have ended, and the index of the line that says so.
    failed: Map<(Node, Partition, Incarnation), u64>,
}

impl Judge<'_> {
    pub(super) fn state(&mut self, at: At, node: Node, state: &NodeState) {
        self.mark_of(at, node, state);
        let (replicas, report) = (&mut self.replicas, &mut self.report);
        replicas.marks_are_in_order(at, node, state, report);
        replicas.one_leader(at, node, state, report);
        replicas.chain(at, node, state, report);
        if let Some(before) = replicas.last.insert((node, state.part), state.clone()) {
            replicas.nothing_falls(at, node, (&before, state), report);
        }
    }

    /// S11 and S13 of a replica's watermark.
    fn mark_of(&mut self, at: At, node: Node, state: &NodeState) {
        let NodeState { part, wm, committed, .. } = *state;
        self.report.check(S11, at, wm <= committed, || {
            format!(
                "{node}, partition {part}: watermark {wm} above {committed}, where what is committed ends"
            )
        });
        if self.unserved.mark(at, state, &mut self.report) {
            return;
        }
        let Some(log) = self.oracle.named(Fork(0), part) else {
            return self.report.undecided(at, format!("no final log of partition {part} is in the history"));
        };
        let ceiling = self.ceiling(log, wm.0);
        self.report.check(S11, at, wm.0 <= ceiling, || {
            format!("{node}, partition {part}: watermark {wm} above {ceiling}, where what is committed ends")
        });
        let log = &self.oracle.logs[log];
        self.report.check(S13, at, !log.splits_a_batch(wm.0), || {
            format!("{node}, partition {part}: watermark {wm} is in the middle of a batch")
        });
    }
}

impl Replicas {
    fn marks_are_in_order(&self, at: At, node: Node, state: &NodeState, report: &mut Tally) {
        let NodeState { purged, snap, applied, committed, .. } = *state;
        let end = state.end.unwrap_or(committed);
        let in_order = purged <= snap && snap <= applied && applied <= committed && committed <= end;
        report.check(S16, at, in_order, || {
            let part = state.part;
            format!(
                "{node}, partition {part}: purged {purged} ≤ snapshot {snap} ≤ applied {applied} ≤ committed {committed} \
                 ≤ end {end} does not hold"
            )
        });
    }

    fn one_leader(&mut self, at: At, node: Node, state: &NodeState, report: &mut Tally) {
        let NodeState { part, term, committed, .. } = *state;
        if state.role == Role::Leader {
            let leader = *self.leaders.entry((part, term)).or_insert(node);
            report.check(S16, at, leader == node, || {
                format!("partition {part}: {leader} and {node} both lead in term {term}")
            });
            let before = self.committed.get(&part).into_iter().flatten();
            let owed = before.filter(|(earlier, _)| *earlier < term).map(|(_, position)| *position).max();
            if let (Some(end), Some(owed)) = (state.end, owed) {
                report.check(S16, at, owed <= end, || {
                    format!("partition {part}: {node} leads term {term} with a log to {end}, {owed} was committed before")
                });
            }
        }
        let of_terms = self.committed.entry(part).or_default();
        match of_terms.iter_mut().find(|(of, _)| *of == term) {
            Some((_, position)) => *position = committed.max(*position),
            None => of_terms.push((term, committed)),
        }
    }

    /// S15.
    fn chain(&mut self, at: At, node: Node, state: &NodeState, report: &mut Tally) {
        let Some((position, hash)) = state.h_at else { return };
        let (first, by) = *self.chains.entry((state.part, position)).or_insert((hash, node));
        report.check(S15, at, first == hash, || {
            let part = state.part;
            format!(
                "partition {part}, position {position}: the chain of {node} is {hash}, that of {by} {first}"
            )
        });
    }

    fn nothing_falls(&self, at: At, node: Node, (before, now): (&NodeState, &NodeState), report: &mut Tally) {
        let part = now.part;
        report.check(S11, at, before.wm <= now.wm, || {
            format!("{node}, partition {part}: the watermark fell from {} to {}", before.wm, now.wm)
        });
        report.check(S16, at, before.term <= now.term && before.inc <= now.inc, || {
            format!(
                "{node}, partition {part}: from life {}, term {} back to life {}, term {}",
                before.inc, before.term, now.inc, now.term
            )
        });
        if before.inc == now.inc {
            report.check(S16, at, before.committed <= now.committed, || {
                format!(
                    "{node}, partition {part}: committed fell from {} to {}",
                    before.committed, now.committed
                )
            });
        }
        if let (Some(old), Some(new)) = (before.vote, now.vote) {
            report.check(S16, at, old.0 < new.0 || old == new, || {
                format!(
                    "{node}, partition {part}: voted for {} in term {}, then for {} in {}",
                    old.1, old.0, new.1, new.0
                )
            });
        }
        if self.failed.contains_key(&(node, part, now.inc)) {
            report.check(S23, at, before.vote == now.vote, || {
                format!("{node}, partition {part}: voted in life {} after its disk had failed", now.inc)
            });
        }
    }

    pub(super) fn failed(&mut self, at: At, node: Node, error: &DiskError) {
        self.failed.entry((node, error.part, error.inc)).or_insert(at.index);
    }

    /// S23: nobody acknowledges what was sent after its disk had failed.
    pub(super) fn acked(&self, at: At, open: &Open<'_>, answer: &Appended, report: &mut Tally) {
        let (Some((node, inc)), Some(part)) = (answer.by, open.scope.part) else { return };
        let failed = self.failed.get(&(node, part, inc));
        report.check(S23, at, failed.is_none_or(|index| open.index < *index), || {
            format!("{node} acknowledged in life {inc}, after its disk had failed")
        });
    }
}
