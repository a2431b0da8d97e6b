//! What the other replicas of a group have promised to this node.
//!
//! A replica promises with every vote that it casts and with every entry that it acknowledges, and its disk keeps that for
//! it. A disk may forget without a trace. Then only those can tell to whom it was promised: the candidate that got the
//! vote, and the leader that got the acknowledgement. So this node remembers, of each group and each peer, the greatest
//! promise that it got, for as long as its process lives: also when it leads no longer, and when its own replica is begun
//! anew.
//!
//! # What a promise says later
//!
//! A promise is a term, and the last entry that was acknowledged in it to the one leader it had; a vote is one without an
//! entry. A leader promises, too: it counts itself in the quorum of what it commits, and says with whatever it sends how
//! far its own disk holds its log. (The last it promised before its end, nobody may have heard: who is set back by less
//! than a heartbeat is not found out.) A promise came after the replica's disk held a vote of that term and the entry, with
//! everything before it. So a replica that finds on its disk, when it starts,
//!
//! * *a vote of an earlier term*, has lost a vote: terms on a disk only grow;
//! * *a vote of the same term, without the entry*, has lost entries: in that term nobody but that leader could have had
//!   it cut, whose log only grows;
//! * *a vote of a later term*, has broken no promise: who leads later may have had the entry cut with good reason;
//! * *a vote of the same term, and the entry*, holds everything.
//!
//! An image of the disk from before the promise is of the first two kinds, or holds all the same what was promised. One
//! from after it is of the last two. So nobody is wrongly said to have lost something, and everything that was promised to
//! a node that still knows is missed.
//!
//! # What says nothing
//!
//! * Who discards its log on purpose says so first ([`anew`](super::anew)): that it acknowledged entries is forgotten
//!   then. Its vote stays.
//! * An answer to a message that left before a peer asked what it had promised comes from an earlier life of that peer:
//!   its new one was told without it. It counts for nothing, neither here nor in openraft.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::raft::AppendEntriesResponse;
use parking_lot::Mutex;

use super::types::{LogId, Types, Vote};
use crate::node::NodeId;

/// The promises of the other replicas of one group. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Promises(Arc<Mutex<BTreeMap<NodeId, Kept>>>);

/// A promise; a later one is greater and takes the place of those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Promise {
    /// A vote of this term was on its disk.
    pub(super) term: u64,
    /// And this entry of the leader of that term, with all before it.
    pub(super) reached: Option<LogId>,
}

#[derive(Default)]
struct Kept {
    promise: Promise,
    age: Age,
}

/// What makes answers old that come to messages that left before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Age {
    /// How often the peer has said that it begins with nothing.
    forgotten: u64,
    /// How often it has asked what it had promised.
    asked: u64,
}

/// What is known of a peer at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    term: u64,
    /// The last entry that it had acknowledged in this term.
    reached: Option<LogId>,
    age: Age,
}

/// What an answer means besides what openraft makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing.
    AsItSays,
    /// It comes from an earlier life.
    Outlived,
    /// The peer does not have this entry any more, which it acknowledged.
    Lost(LogId),
}

impl Promises {
    /// What is known when a message leaves in the term of `vote`.
    pub(super) fn known(&self, of: NodeId, vote: &Vote) -> Known {
        let term = vote.leader_id.term;
        let mut all = self.0.lock();
        let Kept { promise, age } = &*all.entry(of).or_default();
        let reached = if promise.term == term { promise.reached } else { None };
        Known { term, reached, age: *age }
    }

    /// Takes in the answer to entries from behind `prev` up to `last` that left when that was known.
    pub(super) fn heard(
        &self,
        from: NodeId,
        known: Known,
        (prev, last): (Option<LogId>, Option<LogId>),
        answer: &AppendEntriesResponse<Types>,
    ) -> Meaning {
        let reached = match answer {
            AppendEntriesResponse::Success => last,
            AppendEntriesResponse::PartialSuccess(reached) => *reached,
            AppendEntriesResponse::HigherVote(_) => return Meaning::AsItSays,
            AppendEntriesResponse::Conflict => return self.refused(from, known, prev),
        };
        if self.acknowledged(from, known, reached) { Meaning::AsItSays } else { Meaning::Outlived }
    }

    /// The peer does not have the entry `prev`.
    fn refused(&self, from: NodeId, then: Known, prev: Option<LogId>) -> Meaning {
        let all = self.0.lock();
        let Some(now) = all.get(&from) else { return Meaning::AsItSays };
        if now.age.asked != then.age.asked {
            return Meaning::Outlived;
        }
        let is_lost = prev <= then.reached && now.age == then.age && now.promise.term == then.term;
        prev.filter(|_| is_lost).map_or(Meaning::AsItSays, Meaning::Lost)
    }

    /// The peer says, to a message that left when that was known, that its disk holds everything up to this entry. Whether
    /// that counts.
    pub(super) fn acknowledged(&self, from: NodeId, then: Known, reached: Option<LogId>) -> bool {
        self.promised(from, then, Promise { term: then.term, reached })
    }

    /// The peer has cast its vote for this node. Whether that counts.
    pub(super) fn granted(&self, from: NodeId, then: Known) -> bool {
        self.promised(from, then, Promise { term: then.term, reached: None })
    }

    fn promised(&self, from: NodeId, then: Known, promise: Promise) -> bool {
        let mut all = self.0.lock();
        let kept = all.entry(from).or_default();
        let is_of_this_life = kept.age.asked == then.age.asked;
        if is_of_this_life && kept.age.forgotten == then.age.forgotten {
            kept.promise = kept.promise.max(promise);
        }
        is_of_this_life
    }

    /// The peer leads in this term, and its own disk holds everything up to this entry: what it counts itself for in a
    /// quorum. Whenever it was sent, it was so, and nobody may cut the log of a leader in its own term.
    pub(super) fn leads(&self, from: NodeId, term: u64, flushed: Option<LogId>) {
        let mut all = self.0.lock();
        let kept = all.entry(from).or_default();
        kept.promise = kept.promise.max(Promise { term, reached: flushed });
    }

    /// The peer begins with nothing. What it voted for stays with it.
    pub(super) fn forget(&self, from: NodeId) {
        let mut all = self.0.lock();
        let kept = all.entry(from).or_default();
        kept.promise.reached = None;
        kept.age.forgotten += 1;
    }

    /// A peer that starts asks what it has promised. What it promised before and is heard only now does not count.
    pub(super) fn asked_by(&self, peer: NodeId) -> Promise {
        let mut all = self.0.lock();
        let kept = all.entry(peer).or_default();
        kept.age.asked += 1;
        kept.promise
    }
}

#[cfg(test)]
mod tests {
    use chronos_wal::Mark;

    use super::*;
    use crate::raft::types::log_id_of;

    const N: NodeId = NodeId::FIRST;
    const CONFLICT: AppendEntriesResponse<Types> = AppendEntriesResponse::Conflict;
    const SUCCESS: AppendEntriesResponse<Types> = AppendEntriesResponse::Success;

    fn vote(term: u64) -> Vote {
        Vote::new_committed(term, NodeId::new(2))
    }

    fn entry(index: u64) -> Option<LogId> {
        log_id_of(Mark { index, term: 1 })
    }

    fn lost(index: u64) -> Meaning {
        Meaning::Lost(entry(index).unwrap())
    }

    /// Knows that the follower has everything up to entry 9.
    fn promises() -> Promises {
        let promises = Promises::default();
        let known = promises.known(N, &vote(3));
        assert_eq!(promises.heard(N, known, (entry(5), entry(9)), &SUCCESS), Meaning::AsItSays);
        promises
    }

    #[test]
    fn who_refuses_what_it_had_acknowledged_has_lost_it() {
        let promises = promises();
        let known = promises.known(N, &vote(3));
        let never_had = promises.heard(N, known, (entry(10), entry(12)), &CONFLICT);
        assert_eq!(never_had, Meaning::AsItSays);
        for index in [9, 7] {
            assert_eq!(promises.heard(N, known, (entry(index), entry(12)), &CONFLICT), lost(index));
        }
        let other = promises.heard(NodeId::new(7), known, (entry(9), None), &CONFLICT);
        assert_eq!(other, Meaning::AsItSays);
    }

    #[test]
    fn a_message_that_overtook_another_says_nothing() {
        let promises = promises();
        let (first, second) = (promises.known(N, &vote(3)), promises.known(N, &vote(3)));
        promises.heard(N, first, (entry(9), entry(11)), &SUCCESS);
        assert_eq!(promises.heard(N, second, (entry(11), entry(12)), &CONFLICT), Meaning::AsItSays);
        let third = promises.known(N, &vote(3));
        assert_eq!(promises.heard(N, third, (entry(11), entry(12)), &CONFLICT), lost(11));
    }

    #[test]
    fn what_is_discarded_on_purpose_is_not_lost_whenever_the_answer_comes() {
        let promises = promises();
        let before = promises.known(N, &vote(3));
        promises.forget(N);
        assert_eq!(promises.heard(N, before, (entry(9), entry(12)), &CONFLICT), Meaning::AsItSays);
        promises.heard(N, before, (entry(9), entry(12)), &SUCCESS);
        let after = promises.known(N, &vote(3));
        assert_eq!(promises.heard(N, after, (entry(9), entry(12)), &CONFLICT), Meaning::AsItSays);
        assert_eq!(promises.asked_by(N), Promise { term: 3, reached: None }, "its vote stays");
    }

    #[test]
    fn a_promise_outlives_the_term_until_a_later_one_takes_its_place() {
        let promises = promises();
        let next = promises.known(N, &vote(4));
        assert_eq!(promises.heard(N, next, (entry(9), entry(12)), &CONFLICT), Meaning::AsItSays);
        assert_eq!(promises.asked_by(N), Promise { term: 3, reached: entry(9) }, "nothing was promised in 4");
        let next = promises.known(N, &vote(4));
        assert!(promises.granted(N, next));
        assert_eq!(promises.asked_by(N), Promise { term: 4, reached: None });
        let (old, next) = (promises.known(N, &vote(3)), promises.known(N, &vote(4)));
        promises.heard(N, next, (entry(3), entry(7)), &SUCCESS);
        promises.heard(N, old, (entry(9), entry(12)), &SUCCESS);
        assert_eq!(
            promises.asked_by(N),
            Promise { term: 4, reached: entry(7) },
            "an earlier one adds nothing"
        );
        let old = promises.known(N, &vote(3));
        assert_eq!(promises.heard(N, old, (entry(9), entry(12)), &CONFLICT), Meaning::AsItSays);
    }

    #[test]
    fn a_leader_has_promised_what_it_said_is_on_its_disk() {
        let promises = Promises::default();
        promises.leads(N, 3, entry(9));
        promises.leads(N, 3, entry(7));
        promises.leads(N, 2, entry(12));
        assert_eq!(promises.asked_by(N), Promise { term: 3, reached: entry(9) });
        promises.leads(N, 4, None);
        assert_eq!(promises.asked_by(N), Promise { term: 4, reached: None });
    }

    #[test]
    fn what_an_earlier_life_has_promised_counts_for_nothing_once_its_next_one_has_asked() {
        let promises = promises();
        let before = promises.known(N, &vote(3));
        assert_eq!(promises.asked_by(N), Promise { term: 3, reached: entry(9) });
        assert_eq!(promises.heard(N, before, (entry(9), entry(12)), &SUCCESS), Meaning::Outlived);
        assert!(!promises.granted(N, before));
        assert_eq!(promises.heard(N, before, (entry(9), entry(12)), &CONFLICT), Meaning::Outlived);
        assert_eq!(promises.asked_by(N), Promise { term: 3, reached: entry(9) });
    }
}
