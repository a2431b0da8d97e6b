//! Ranges of a partition: what a read was shown, against the final log. S2, S3, S4, S8, S11, S12, S13, S19, S22.

use super::judge::{Judge, Open};
use crate::Micro;
use crate::answer::Range;
use crate::call::{Filter, Mode, Read, Then};
use crate::report::At;
use crate::report::Invariant::{S2, S3, S4, S8, S11, S12, S13, S22};

impl Judge<'_> {
    pub(super) fn read(&mut self, at: At, open: &Open<'_>, read: &Read, answer: &Range) {
        let Some(number) = self.log_of(at, open) else { return };
        let tail = answer.tail.0;
        let last = if answer.last < answer.from { 0 } else { answer.last.0 };
        let is_known = self.is_known(at, number, read.mode, tail.max(last));
        if !is_known {
            return;
        }
        self.watermark(at, number, last, answer.wm.0, read.mode);
        if !self.is_range(at, open, number, read, answer) {
            return;
        }
        let splits =
            read.mode != Mode::AsOf(Then::Pos(answer.tail)) && self.oracle.logs[number].splits_a_batch(tail);
        self.report.check(S13, at, !splits, || format!("the head seen, {tail}, is in the middle of a batch"));
        match read.mode {
            Mode::AsOf(then) => return self.head_then(at, open, number, then, tail),
            Mode::Strong => {
                self.report.check(S8, at, tail >= open.floor, || {
                    format!("a strong read saw up to {tail}, yet {} was there before it was sent", open.floor)
                });
                self.oracle.logs[number].raise_floor(tail);
            }
            Mode::AtLeast(least) => {
                self.report.check(S12, at, tail >= least.0, || {
                    format!("asked for at least {least}, saw up to {tail}")
                });
            }
            Mode::Weak => {}
        }
        self.session(at, open, number, tail);
    }

    /// Nobody sees what has not been sent.
    pub(super) fn is_known(&mut self, at: At, log: usize, mode: Mode, seen: u64) -> bool {
        let ceiling = self.ceiling(log, seen);
        let invariant = if mode == Mode::Strong { S8 } else { S4 };
        self.report.check(invariant, at, seen <= ceiling, || {
            format!("saw up to {seen}, yet only up to {ceiling} everything had been sent or will be there")
        })
    }

    /// S11 and S13 of a watermark that came with an answer.
    fn watermark(&mut self, at: At, log: usize, last: u64, wm: u64, mode: Mode) {
        let ceiling = self.ceiling(log, wm);
        self.report.check(S11, at, last <= wm, || format!("returned up to {last} above watermark {wm}"));
        self.report.check(S11, at, wm <= ceiling, || {
            format!("watermark {wm} lies above {ceiling}, where what is committed ends")
        });
        let log = &self.oracle.logs[log];
        if !matches!(mode, Mode::AsOf(_)) {
            self.report.check(S13, at, !log.splits_a_batch(wm), || {
                format!("watermark {wm} is in the middle of a batch")
            });
        }
    }

    /// Whether what was received is that range of the final log.
    fn is_range(&mut self, at: At, open: &Open<'_>, log: usize, read: &Read, answer: &Range) -> bool {
        let (after, last) = (answer.from.0.saturating_sub(1), answer.last.0);
        let placed = answer.from == read.from && last <= answer.tail.0.max(after);
        if !self.report.check(S3, at, placed, || {
            format!("asked from {}, shown {} to {last} of {}", read.from, answer.from, answer.tail)
        }) {
            return false;
        }
        let shown = self.shown((log, open.scope.tenant), &Filter::default(), after, last);
        self.is_shown(at, open, shown, (answer.count, answer.hash), answer.bad)
    }

    /// Compares number and hash of what was received with what is there.
    pub(super) fn is_shown(
        &mut self,
        at: At,
        open: &Open<'_>,
        (count, hash): (u64, crate::Hash),
        (received, got): (u64, crate::Hash),
        bad: u64,
    ) -> bool {
        let damaged = open.scope.node.is_some_and(|node| self.damaged.contains(&node));
        let intact = self.report.check(S22, at, bad == 0, || {
            format!("{bad} of {received} events were served with bytes that belie their checksum")
        });
        let whole = self.report.check(if damaged { S22 } else { S3 }, at, received == count, || {
            format!("received {received} events where there are {count}")
        });
        let invariant = if damaged { S22 } else { S2 };
        intact
            && whole
            && self.report.check(invariant, at, got == hash, || {
                format!("received {received} events with hash {got}, the final log has {hash} there")
            })
    }

    /// S12: a session sees what it has been shown, and shows what it sees.
    pub(super) fn session(&mut self, at: At, open: &Open<'_>, log: usize, seen: u64) {
        if let Some(session) = open.scope.session {
            self.report.check(S12, at, seen >= open.shown, || {
                format!("session {session} had been shown {}, now sees up to {seen}", open.shown)
            });
            self.show(open, log, seen);
        }
    }

    /// A referee's operation is judged here as well, so that all judges are known to look at the same thing: what it read
    /// is a prefix of the final log.
    pub(super) fn stepped(&mut self, at: At, open: &Open<'_>, steps: &[Micro]) {
        for step in steps {
            let Micro::Read(part, Some(ids)) = step else { continue };
            let Some(log) = self.oracle.named(open.scope.fork, *part) else {
                return self
                    .report
                    .undecided(at, format!("no final log of partition {part} is in the history"));
            };
            let log = &self.oracle.logs[log];
            let is_prefix =
                ids.len() <= log.events.len() && ids.iter().zip(&log.events).all(|(id, e)| *id == e.id);
            self.report.check(S2, at, is_prefix, || {
                format!(
                    "the {} ids read are not those that the final log of partition {part} begins with",
                    ids.len()
                )
            });
        }
    }
}
