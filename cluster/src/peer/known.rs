//! What is known of the processes that were another node, one after the other.
//!
//! Each start of a data directory draws a number, its *process*, and keeps those of the starts before it: the directory's
//! *line*. A copy has the line of its original up to the copy, and one of its own from its first start on. From that follows
//! who is who, by two facts that never become untrue:
//!
//! * *A process was this node.* It was let in here. Whoever comes with a later incarnation goes on from it only if its own line
//!   has that very process at that place; otherwise the two lines have parted somewhere before. Which of them is the copy,
//!   or was set back, nobody can say who has seen only one: perhaps it was the copy that came here first.
//! * *A process was alive while a later one of its line was.* Only one process at a time serves a directory, so there are two
//!   directories, and the later process is on the copy: whatever the other one promised since, the copy does not know. That
//!   holds for every start that comes after it in its line, also when the original is long dead, and for no start of the
//!   original, whose line does not have it.
//!
//! **Alive** is who answers a question that was asked after the other one had come, and [`ALIVE_AFTER`] later at that. That a
//! connection is open proves nothing, nor does what arrives over it: it may have been sent by one who is dead by now. The
//! delay is for a directory that is no copy, but whose disk was taken from one machine and given to another: the process that
//! lost it notices that at its next write. One that has nothing to write for so long, and answers, makes a double of its own
//! successor: who moves a disk ends the process first.
//!
//! Where a line is not known as far back, because a release before there were lines wrote the directory, or because there
//! were more starts since than are kept, the first fact says nothing, and the second not whose is the copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::hello::Identity;
use super::{Double, Sighting};

/// Longer than it takes to notice that a connection is dead, or a disk gone.
pub(super) const ALIVE_AFTER: Duration = Duration::from_secs(4);
/// Lines of copies that are remembered for each node, and those that are looked at.
const DOUBLES_MAX: usize = 16;

/// The latest process of a node that was let in, and others that are not that node.
pub(super) struct Known {
    pub(super) incarnation: u64,
    pub(super) process: u64,
    /// Passes of that process that are in use.
    pub(super) passes: usize,
    /// Ends its present incoming link.
    pub(super) link: Option<Arc<Notify>>,
    pub(super) life: Arc<Life>,
    /// Later processes that came while it was connected.
    suspects: Vec<Suspect>,
    /// Processes that were found to be doubles, the latest last.
    doubles: Vec<Double>,
}

/// Who came while another process of its node was connected.
struct Suspect {
    since: Duration,
    found: Double,
}

/// Since when a process is known to have been alive. Times are in microseconds of our clock.
#[derive(Debug)]
pub(super) struct Life {
    /// It has answered something that was asked then.
    alive: AtomicU64,
    /// If it is alive after this, somebody is a double.
    awaited: AtomicU64,
}

impl Default for Life {
    fn default() -> Self {
        Life { alive: AtomicU64::new(0), awaited: AtomicU64::new(u64::MAX) }
    }
}

impl Life {
    /// It has answered what was asked at `asked`. Whether that may be news about somebody else.
    pub(super) fn answered(&self, asked: Duration) -> bool {
        let asked = micros(asked);
        self.alive.fetch_max(asked, Ordering::Relaxed);
        asked >= self.awaited.load(Ordering::Relaxed)
    }

    fn is_after(&self, moment: Duration) -> bool {
        self.alive.load(Ordering::Relaxed) >= micros(moment)
    }
}

fn micros(moment: Duration) -> u64 {
    u64::try_from(moment.as_micros()).unwrap_or(u64::MAX)
}

/// Whether a process may be the node that it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The latest process, or one that goes on from it as far as anybody can know.
    Fits,
    /// There was a later one.
    Earlier,
    /// There was another one in the same incarnation.
    Twin,
    /// It is later, and its line does not have the latest one.
    Parted,
    /// The latest one is connected; it may be dead all the same.
    Connected,
    /// The latest one went on when it was here already; whose directory is the copy is not known.
    Rival,
    /// Its directory is a copy of one that was served when it was, too.
    Copy {
        /// The earlier process of its line that was.
        of: u64,
    },
}

impl Known {
    pub(super) fn new(who: &Identity) -> Known {
        let Identity { incarnation, process, .. } = *who;
        Known::seen(Sighting { incarnation, process, copies: Vec::new() })
    }

    /// What an earlier life of ours has seen.
    pub(super) fn seen(before: Sighting) -> Known {
        let Sighting { incarnation, process, copies } = before;
        let (passes, link, life, suspects) = Default::default();
        Known { incarnation, process, passes, link, life, suspects, doubles: copies }
    }

    /// What a later life of ours should know.
    pub(super) fn sighting(&self) -> Sighting {
        let copies = self.doubles.iter().filter(|double| double.is_copy()).copied().collect();
        Sighting { incarnation: self.incarnation, process: self.process, copies }
    }

    /// From now on `who` is the latest.
    pub(super) fn succeeded(&mut self, who: &Identity) {
        *self = Known { doubles: std::mem::take(&mut self.doubles), ..Known::new(who) };
    }

    /// Judges who comes `now`, with the processes of its line before it, the latest first.
    pub(super) fn judge(&mut self, who: &Identity, earlier: &[u64], now: Duration) -> Verdict {
        self.convict();
        if (who.incarnation, who.process) == (self.incarnation, self.process) {
            return Verdict::Fits;
        }
        let is_in_line = |process| process == who.process || earlier.contains(&process);
        if let Some(double) = self.doubles.iter().find(|double| is_in_line(double.process)) {
            return if double.is_copy() { Verdict::Copy { of: double.of } } else { Verdict::Rival };
        }
        if who.incarnation <= self.incarnation {
            return if who.incarnation < self.incarnation { Verdict::Earlier } else { Verdict::Twin };
        }
        let before = at(who.incarnation, earlier, self.incarnation);
        if before.is_some_and(|before| before != self.process) {
            return Verdict::Parted;
        }
        if self.passes > 0 {
            self.suspect(Double { process: who.process, of: before.unwrap_or(0) }, now);
            return Verdict::Connected;
        }
        Verdict::Fits
    }

    fn suspect(&mut self, found: Double, since: Duration) {
        let is_known = self.suspects.iter().any(|suspect| suspect.found.process == found.process);
        if !is_known && self.suspects.len() < DOUBLES_MAX {
            self.suspects.push(Suspect { since, found });
            self.await_proof();
        }
    }

    /// Finds those to be doubles that were here when the latest process was alive. Gives those that are copies for certain
    /// and were not known for it.
    pub(super) fn convict(&mut self) -> Vec<Double> {
        let life = Arc::clone(&self.life);
        let is_proven = |suspect: &mut Suspect| life.is_after(suspect.since + ALIVE_AFTER);
        let found: Vec<Double> =
            self.suspects.extract_if(.., is_proven).map(|suspect| suspect.found).collect();
        if !found.is_empty() {
            self.doubles.extend(&found);
            let too_many = self.doubles.len().saturating_sub(DOUBLES_MAX);
            self.doubles.drain(..too_many);
            self.await_proof();
        }
        found.into_iter().filter(Double::is_copy).collect()
    }

    fn await_proof(&self) {
        let next = self.suspects.iter().map(|suspect| micros(suspect.since + ALIVE_AFTER)).min();
        self.life.awaited.store(next.unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The process that a directory's line has at `place`, given its present incarnation and the starts before that; `None`
/// where it does not reach so far.
pub(super) fn at(incarnation: u64, earlier: &[u64], place: u64) -> Option<u64> {
    let back = incarnation.checked_sub(place)?.checked_sub(1)?;
    usize::try_from(back).ok().and_then(|back| earlier.get(back)).copied()
}

/// The incarnation in which `process` was, by the same line.
pub(super) fn place(incarnation: u64, earlier: &[u64], process: u64) -> Option<u64> {
    let back = earlier.iter().position(|one| *one == process)? as u64;
    incarnation.checked_sub(back + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    const START: Duration = Duration::from_secs(100);

    /// A data directory: the processes of its starts, the first one first.
    #[derive(Clone)]
    struct Directory(Vec<u64>);

    impl Directory {
        fn start(&mut self, process: u64) -> (Identity, Vec<u64>) {
            self.0.push(process);
            let earlier = self.0.iter().rev().skip(1).copied().collect();
            let (node, incarnation) = (NodeId::new(2), self.0.len() as u64);
            (Identity { cluster: 5, node, incarnation, process, machine: 0 }, earlier)
        }
    }

    /// Somebody who lets others in.
    struct Peer {
        known: Known,
        now: Duration,
    }

    impl Peer {
        /// Knows a process, and is connected to it.
        fn connected(who: &(Identity, Vec<u64>)) -> Peer {
            let mut peer = Peer { known: Known::new(&who.0), now: START };
            peer.known.passes = 1;
            peer
        }

        fn judge(&mut self, (who, earlier): &(Identity, Vec<u64>)) -> Verdict {
            self.known.judge(who, earlier, self.now)
        }

        /// Lets somebody in, and is connected.
        fn admit(&mut self, who: &(Identity, Vec<u64>)) {
            assert_eq!(self.judge(who), Verdict::Fits);
            self.known.succeeded(&who.0);
            self.known.passes = 1;
        }

        /// Has its present process answer what it asks now.
        fn answered(&mut self) {
            self.known.life.answered(self.now);
        }

        /// Starts again with what it has written down.
        fn restarted(self) -> Peer {
            Peer { known: Known::seen(self.known.sighting()), now: START }
        }
    }

    #[test]
    fn who_goes_on_from_the_latest_fits_however_often_it_was_started_unseen() {
        let mut directory = Directory(vec![1]);
        let mut peer = Peer::connected(&directory.start(2));
        peer.known.passes = 0;
        for process in 3..60 {
            let life = directory.start(process);
            assert_eq!(peer.judge(&life), Verdict::Fits, "in incarnation {process}");
        }
        peer.admit(&directory.start(60));
        assert_eq!(peer.judge(&Directory(vec![1, 2]).start(3)), Verdict::Earlier);
    }

    #[test]
    fn a_line_that_parted_is_never_let_in_and_that_outlives_the_peer() {
        let mut first = Directory(vec![1, 2]);
        let mut other = first.clone();
        let mut peer = Peer::connected(&first.start(10));
        peer.known.passes = 0;
        assert_eq!(peer.judge(&other.start(20)), Verdict::Twin);
        for process in 100..150 {
            assert_eq!(peer.judge(&other.start(process)), Verdict::Parted);
            peer = peer.restarted();
        }
        assert_eq!(peer.judge(&first.start(200)), Verdict::Fits, "who goes on is kept out");
    }

    #[test]
    fn a_copy_of_one_that_was_alive_beside_it_stays_one_for_every_later_start() {
        let mut original = Directory(vec![1]);
        let mut peer = Peer::connected(&original.start(2));
        let mut copy = original.clone();
        let double = copy.start(30);
        assert_eq!(peer.judge(&double), Verdict::Connected);
        peer.now += ALIVE_AFTER;
        assert_eq!(peer.judge(&double), Verdict::Connected, "nobody has answered since");
        peer.answered();
        assert_eq!(peer.judge(&double), Verdict::Copy { of: 2 });
        peer.known.passes = 0;
        for process in 31..50 {
            assert_eq!(peer.judge(&copy.start(process)), Verdict::Copy { of: 2 }, "it takes over");
            peer = peer.restarted();
        }
        peer.admit(&original.start(3));
        assert_eq!(peer.judge(&copy.start(60)), Verdict::Copy { of: 2 }, "a start of the original clears it");
        peer.known.passes = 0;
        assert_eq!(peer.restarted().judge(&original.start(4)), Verdict::Fits);
    }

    #[test]
    fn it_is_found_also_when_it_has_not_come_again_since() {
        let mut original = Directory(vec![1]);
        let mut peer = Peer::connected(&original.start(2));
        let mut copy = original.clone();
        assert_eq!(peer.judge(&copy.start(30)), Verdict::Connected);
        peer.now += ALIVE_AFTER;
        assert!(peer.known.life.answered(peer.now), "it is told to look again");
        assert_eq!(peer.known.convict(), [Double { process: 30, of: 2 }]);
        assert!(!peer.known.life.answered(peer.now * 2), "it is told without end");
        assert_eq!(peer.known.sighting().copies, [Double { process: 30, of: 2 }]);
        peer.known.passes = 0;
        assert_eq!(peer.judge(&copy.start(31)), Verdict::Copy { of: 2 });
    }

    #[test]
    fn a_successor_is_no_double_whatever_still_arrives_of_the_dead() {
        let mut directory = Directory(vec![1]);
        let mut peer = Peer::connected(&directory.start(2));
        let next = directory.start(3);
        peer.answered();
        peer.now += ALIVE_AFTER;
        assert_eq!(peer.judge(&next), Verdict::Connected);
        // However late the answers come: what counts is when somebody asked.
        peer.known.life.answered(peer.now - Duration::from_micros(1));
        peer.known.life.answered(peer.now + ALIVE_AFTER - Duration::from_micros(1));
        peer.now += ALIVE_AFTER * 9;
        assert_eq!(peer.judge(&next), Verdict::Connected);
        peer.known.passes = 0;
        peer.admit(&next);
    }

    #[test]
    fn without_a_line_only_what_was_seen_counts_and_nobody_is_called_a_copy() {
        let mut directory = Directory(vec![1]);
        let mut peer = Peer::connected(&directory.start(2));
        let unknown = |incarnation: usize, process| {
            let (who, _) = Directory(vec![0; incarnation - 1]).start(process);
            (who, Vec::new())
        };
        let rival = unknown(3, 30);
        assert_eq!(peer.judge(&rival), Verdict::Connected);
        peer.now += ALIVE_AFTER;
        peer.answered();
        assert_eq!(peer.judge(&rival), Verdict::Rival);
        peer.known.passes = 0;
        let mut next = unknown(4, 31);
        next.1 = vec![30];
        assert_eq!(peer.judge(&next), Verdict::Rival, "its next start takes over");
        assert_eq!(peer.judge(&unknown(2, 40)), Verdict::Twin);
        assert_eq!(peer.judge(&unknown(1, 40)), Verdict::Earlier);
        peer.admit(&unknown(5, 41));
        assert_eq!(peer.known.sighting().copies, [], "what is not certain is written down");
    }

    #[test]
    fn only_so_many_are_remembered_and_the_latest_of_them() {
        let mut original = Directory(vec![1]);
        let mut peer = Peer::connected(&original.start(2));
        for process in 100..200 {
            assert_eq!(peer.judge(&original.clone().start(process)), Verdict::Connected);
            peer.now += ALIVE_AFTER;
            peer.answered();
        }
        peer.known.convict();
        let copies = peer.known.sighting().copies;
        assert_eq!((copies.len(), copies.last().unwrap().process), (DOUBLES_MAX, 199));
    }

    #[test]
    fn a_place_in_a_line_is_found_both_ways() {
        let earlier = [8, 7, 6];
        assert_eq!([9, 8, 6, 5, 0].map(|place| at(9, &earlier, place)), [None, Some(8), Some(6), None, None]);
        assert_eq!([8, 6, 5].map(|process| place(9, &earlier, process)), [Some(8), Some(6), None]);
        assert_eq!(at(0, &earlier, 0), None);
    }
}
