//! A follower that no longer has what it acknowledged.
//!
//! A leader counts an entry as soon as enough disks have said that they have it. A disk may forget without a trace: the
//! last file of a log goes together with the mark that names it, or a machine is set back to an earlier image of itself.
//! What is left looks like a whole log that is shorter, and the replica goes on as if it had never had more. To openraft
//! a follower that refuses an entry it once took is impossible: it asserts that, or tries the same entry for ever.
//!
//! ```text
//!  leader                                          follower
//!  entries behind entry 9 ───────────────────────► "entry 9 is not here"
//!  it had acknowledged 9 before they left ─ LOST ► does it follow this leader, and has it not got the entry?
//!  (openraft hears: unreachable)                   then: votes withheld, out of service, repaired as after damage
//! ```
//!
//! * **What counts is what was known when a message left.** One that overtakes another finds missing what is on its way,
//!   and its answer may come after the other one's.
//! * **Who discards its log on purpose says so first** ([`anew`](super::anew)): what was known of it then is forgotten, and
//!   an answer to what was sent before that says nothing.
//! * **The follower does not take it on trust.** Whether the entry is there it sees for itself; what was said to somebody
//!   who does not lead here, or that it has by now, it refuses.
//!
//! # What goes unseen
//!
//! Only the leader that got an acknowledgement knows of it, and only in that term. One that is elected later, or started
//! again, sends what is missing as to any follower that is behind, and nobody notices. And until a replica is told, or has
//! everything again, it may vote for a candidate that lacks what it lacks itself. So where two of three had an entry and one
//! forgets it without a trace, the entry is lost if the third is elected with that vote before the other one has told it:
//! because the other one is away, or because it has stepped down, having heard no quorum while the first was away. It then
//! has applied what the new leader never had, and stays apart, behind and not moving, until it is replaced. (Damage that a
//! start can see, to segments or to marks, withholds votes before any of this.)

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chronos_domain::PartitionId;
use chronos_env::Env;
use chronos_store::Partition;
use chronos_wal::Log;
use openraft::raft::AppendEntriesResponse;
use parking_lot::Mutex;

use super::Raft;
use super::types::{LogId, Types, Vote, mark_of};
use crate::node::NodeId;
use crate::peer::Refusal;
use crate::quarantine::Quarantine;
use crate::repair::{Ballots, Withheld, set_withheld};

/// What the followers of a group have acknowledged to this node while it leads. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Acks(Arc<Mutex<BTreeMap<NodeId, Known>>>);

/// What is known of a follower at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// In which it was acknowledged.
    term: u64,
    /// The last entry that is on its disk.
    reached: Option<LogId>,
    /// How often it has said that it begins with nothing.
    forgotten: u64,
}

impl Acks {
    /// What is known when a message leaves in the term of `vote`.
    pub(super) fn known(&self, of: NodeId, vote: &Vote) -> Known {
        let term = vote.leader_id.term;
        let mut all = self.0.lock();
        let known = all.entry(of).or_insert(Known { term, reached: None, forgotten: 0 });
        if known.term < term {
            (known.term, known.reached) = (term, None);
        }
        if known.term == term { *known } else { Known { term, reached: None, ..*known } }
    }

    /// Takes in the answer to a message that left when that was known, with entries from behind `prev` up to `last`. Gives
    /// the entry that the follower has acknowledged and does not have any more, if the answer says so.
    pub(super) fn heard(
        &self,
        from: NodeId,
        known: Known,
        (prev, last): (Option<LogId>, Option<LogId>),
        answer: &AppendEntriesResponse<Types>,
    ) -> Option<LogId> {
        match answer {
            AppendEntriesResponse::Success => self.acknowledged(from, known, last),
            AppendEntriesResponse::PartialSuccess(reached) => self.acknowledged(from, known, *reached),
            AppendEntriesResponse::HigherVote(_) => {}
            AppendEntriesResponse::Conflict => {
                let is_lost = prev <= known.reached && self.is_still(from, known);
                return prev.filter(|_| is_lost);
            }
        }
        None
    }

    /// The follower has everything up to this entry on its disk.
    pub(super) fn acknowledged(&self, from: NodeId, then: Known, reached: Option<LogId>) {
        let mut all = self.0.lock();
        let now = all.get_mut(&from).filter(|now| now.is_of(then));
        if let Some(now) = now {
            now.reached = now.reached.max(reached);
        }
    }

    /// The follower begins with nothing.
    pub(super) fn forget(&self, from: NodeId) {
        if let Some(known) = self.0.lock().get_mut(&from) {
            (known.reached, known.forgotten) = (None, known.forgotten + 1);
        }
    }

    fn is_still(&self, from: NodeId, then: Known) -> bool {
        self.0.lock().get(&from).is_some_and(|now| now.is_of(then))
    }
}

impl Known {
    /// Whether nothing has come in between that makes it old.
    fn is_of(&self, then: Known) -> bool {
        (self.term, self.forgotten) == (then.term, then.forgotten)
    }
}

/// The replica of this node, in case that it is told. Clones are the same.
#[derive(Clone)]
pub(crate) struct Losses(pub(crate) Arc<Replica>);

/// What is looked at, and what is done with it.
pub(crate) struct Replica {
    pub(crate) env: Env,
    pub(crate) partition: Partition,
    pub(crate) log: Log,
    pub(crate) ballots: Ballots,
    pub(crate) quarantine: Arc<Quarantine>,
}

impl Losses {
    /// The leader of the term of `vote` says that this replica has acknowledged an entry to it and does not have it. If
    /// that is so, no vote is cast any more, durably, and the partition leaves service to be repaired, when this returns.
    ///
    /// # Errors
    /// Why it is not believed, or not done.
    pub(super) async fn told(&self, raft: &Raft, vote: Vote, entry: LogId) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::new(Refusal::FAILED, why));
        let follows = raft.with_raft_state(|state| *state.vote_ref()).await;
        let follows = follows.map_err(|fatal| Refusal::new(Refusal::FAILED, fatal.to_string()))?;
        let entry = mark_of(Some(&entry));
        if follows != vote || !vote.is_committed() {
            return refuse(format!("this replica follows {follows}, and not {vote}"));
        }
        if self.has(entry) {
            return refuse(format!("entry {} is there", entry.index));
        }
        self.withhold(raft).await?;
        let why = format!(
            "its log has lost entries: entry {} of term {} is missing, which its leader had been told is on this disk",
            entry.index, entry.term
        );
        self.0.quarantine.set(&why);
        Ok(())
    }

    fn has(&self, entry: chronos_wal::Mark) -> bool {
        let state = self.0.log.state();
        let purged = state.purged.map_or(0, |mark| mark.index);
        purged.max(self.0.partition.applied_index().get()) >= entry.index
            || self.0.log.mark_at(entry.index) == Some(entry)
    }

    /// No vote is cast or asked for before everything is back. What a repair that is under way has noted stays.
    async fn withhold(&self, raft: &Raft) -> Result<(), Refusal> {
        let (id, dir): (PartitionId, PathBuf) = (self.0.partition.id(), self.0.partition.dir().to_path_buf());
        if self.0.ballots.are_withheld(id) && self.0.ballots.reach(id).is_none() {
            return Ok(());
        }
        self.0.ballots.withhold(id);
        raft.runtime_config().elect(false);
        let noted = set_withheld(&self.0.env, dir, Some(Withheld::Damaged)).await;
        let text = "that its votes are withheld could not be written down";
        noted.map_err(|error| Refusal::new(Refusal::FAILED, format!("{text}: {error}")))
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

    /// Knows that the follower has everything up to entry 9.
    fn acks() -> Acks {
        let acks = Acks::default();
        let known = acks.known(N, &vote(3));
        assert_eq!(acks.heard(N, known, (entry(5), entry(9)), &SUCCESS), None);
        acks
    }

    #[test]
    fn who_refuses_what_it_had_acknowledged_has_lost_it() {
        let acks = acks();
        let known = acks.known(N, &vote(3));
        assert_eq!(acks.heard(N, known, (entry(10), entry(12)), &CONFLICT), None, "that it never had");
        for index in [9, 7] {
            assert_eq!(acks.heard(N, known, (entry(index), entry(12)), &CONFLICT), entry(index));
        }
        assert_eq!(acks.heard(NodeId::new(7), known, (entry(9), None), &CONFLICT), None, "another one");
    }

    #[test]
    fn a_message_that_overtook_another_says_nothing() {
        let acks = acks();
        let (first, second) = (acks.known(N, &vote(3)), acks.known(N, &vote(3)));
        assert_eq!(acks.heard(N, first, (entry(9), entry(11)), &SUCCESS), None);
        assert_eq!(acks.heard(N, second, (entry(11), entry(12)), &CONFLICT), None);
        let third = acks.known(N, &vote(3));
        assert_eq!(acks.heard(N, third, (entry(11), entry(12)), &CONFLICT), entry(11));
    }

    #[test]
    fn what_is_discarded_on_purpose_is_not_lost_whenever_the_answer_comes() {
        let acks = acks();
        let before = acks.known(N, &vote(3));
        acks.forget(N);
        assert_eq!(acks.heard(N, before, (entry(9), entry(12)), &CONFLICT), None);
        assert_eq!(acks.heard(N, before, (entry(9), entry(12)), &SUCCESS), None, "an answer from before");
        let after = acks.known(N, &vote(3));
        assert_eq!(acks.heard(N, after, (entry(9), entry(12)), &CONFLICT), None);
    }

    #[test]
    fn another_term_knows_nothing_and_an_earlier_one_takes_nothing_away() {
        let acks = acks();
        let next = acks.known(N, &vote(4));
        assert_eq!(acks.heard(N, next, (entry(9), entry(12)), &CONFLICT), None);
        assert_eq!(acks.heard(N, next, (entry(9), entry(12)), &SUCCESS), None);
        let old = acks.known(N, &vote(3));
        assert_eq!(acks.heard(N, old, (entry(9), entry(12)), &CONFLICT), None);
        let next = acks.known(N, &vote(4));
        assert_eq!(acks.heard(N, next, (entry(12), None), &CONFLICT), entry(12));
    }
}
