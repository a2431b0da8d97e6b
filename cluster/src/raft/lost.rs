//! A replica that no longer has what it promised.
//!
//! A leader counts an entry as soon as enough disks have said that they have it, and a candidate the votes that are on
//! others' disks. A disk may forget without a trace: the last file of a log goes together with the mark that names it, or a
//! machine is set back to an earlier image of itself. What is left looks like a whole log that is shorter, and the replica
//! would go on as if it had never had more. If it then votes for another one that lacks what it lacks itself, that is lost.
//!
//! Those to whom something was promised remember it ([`promises`](super::promises)), and it is noticed in two ways:
//!
//! ```text
//!  a replica that starts                           the others
//!  "what have I promised you?" ──────────────────► what they remember, also if they lead no more
//!  it does not have that: LOST                     (nothing runs here before: no vote, no acknowledgement)
//!
//!  leader                                          follower
//!  entries behind entry 9 ───────────────────────► "entry 9 is not here"
//!  it had acknowledged 9 before they left ─ LOST ► does it follow this leader, and has it not got the entry?
//!  (openraft hears: unreachable)                   then: votes withheld, out of service, repaired as after damage
//! ```
//!
//! * **Who starts asks everybody** it knows, not only the voters that its log names, for the log may be an old one. It waits
//!   for all who can be reached, but no longer than a moment ([`asking`](super::asking)).
//! * **What counts for a leader is what was known when a message left.** One that overtakes another finds missing what is on
//!   its way, and its answer may come after the other one's. To openraft a follower that refuses an entry it once took is
//!   impossible: it asserts that, or tries the same entry for ever.
//! * **The replica does not take it on trust.** Whether the entry is there it sees for itself; what was said to a leader
//!   that does not lead here, or that it has by now, it refuses.
//! * **A replica whose votes are withheld already** is judged by what it still promises: of one that was discarded on
//!   purpose nothing up to the entry that frees its votes is missed, and of one that is being repaired nothing from a term
//!   up to that of its vote, which the census has settled.
//!
//! # What goes unseen
//!
//! What nobody remembers who can be asked: those who do have been restarted since, or are away when the replica starts. So
//! where two of three have acknowledged entries, one of them is set back to an earlier image *and* the other one is down or
//! cut off at the moment at which the first one starts again, those two faults at once lose the entries if the third lacks
//! them: the first one waits for a moment, votes for the third, and both go on. When the other one is back it notices that
//! what it has applied is not what its new leader has, and leaves service with its copy untouched
//! ([`diverged`](super::diverged)). (Damage that a start can see, to segments or to marks, withholds votes before any of
//! this, and is settled by a census of all voters.)

use std::path::PathBuf;
use std::sync::Arc;

use chronos_domain::PartitionId;
use chronos_env::Env;
use chronos_store::Partition;
use chronos_wal::{Log, Mark};
use parking_lot::Mutex;

use super::promises::Promise;
use super::types::{LogId, Vote, mark_of};
use super::{Raft, term_of};
use crate::node::NodeId;
use crate::peer::{Link, Refusal};
use crate::quarantine::Quarantine;
use crate::repair::{Ballots, Withheld, set_withheld};

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
    pub(crate) link: Arc<dyn Link>,
    /// What a leader has confirmed to be its own history, too ([`diverged`](super::diverged)).
    pub(crate) confirmed: Mutex<Option<super::diverged::Confirmed>>,
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
        raft.runtime_config().elect(false);
        self.leave(&missing(entry, "its leader")).await
    }

    /// What this replica has promised and does not keep, if any of these is such a promise.
    pub(super) fn broken(&self, promises: &[(NodeId, Promise)]) -> Option<String> {
        promises.iter().find_map(|(to, promise)| self.is_broken(*to, promise))
    }

    fn is_broken(&self, to: NodeId, promise: &Promise) -> Option<String> {
        let state = self.0.log.state();
        let vote = state.vote.as_ref().and_then(term_of);
        let term = vote.max(state.last.map(|last| last.term)).unwrap_or(0);
        if promise.term > term {
            return Some(format!(
                "its log has lost a vote: the last one is of term {term}, and {to} was told of one of term {}",
                promise.term
            ));
        }
        let entry = promise.reached.filter(|_| promise.term == term).map(|entry| mark_of(Some(&entry)))?;
        (!self.is_excused(entry) && !self.has(entry)).then(|| missing(entry, to))
    }

    /// Whether votes are withheld anyway until this entry is here again.
    fn is_excused(&self, entry: Mark) -> bool {
        let (id, ballots) = (self.0.partition.id(), &self.0.ballots);
        ballots.are_withheld(id) && ballots.reach(id).is_none_or(|reach| entry.index <= reach)
    }

    /// No vote is cast any more, durably, and the partition leaves service to be repaired, when this returns.
    ///
    /// # Errors
    /// When that could not be written down.
    pub(super) async fn leave(&self, why: &str) -> Result<(), Refusal> {
        self.withhold().await?;
        self.0.quarantine.set(why);
        Ok(())
    }

    pub(super) fn has(&self, entry: Mark) -> bool {
        let state = self.0.log.state();
        let purged = state.purged.map_or(0, |mark| mark.index);
        purged.max(self.0.partition.applied_index().get()) >= entry.index
            || self.0.log.mark_at(entry.index) == Some(entry)
    }

    /// No vote is cast or asked for before everything is back. What a repair that is under way has noted stays.
    async fn withhold(&self) -> Result<(), Refusal> {
        let (id, dir): (PartitionId, PathBuf) = (self.0.partition.id(), self.0.partition.dir().to_path_buf());
        if self.0.ballots.are_withheld(id) && self.0.ballots.reach(id).is_none() {
            return Ok(());
        }
        self.0.ballots.withhold(id);
        let noted = set_withheld(&self.0.env, dir, Some(Withheld::Damaged)).await;
        let text = "that its votes are withheld could not be written down";
        noted.map_err(|error| Refusal::new(Refusal::FAILED, format!("{text}: {error}")))
    }
}

fn missing(entry: Mark, told: impl std::fmt::Display) -> String {
    format!(
        "its log has lost entries: entry {} of term {} is missing, which {told} had been told is on this disk",
        entry.index, entry.term
    )
}
