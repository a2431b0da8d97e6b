//! A replica that has applied what its leader does not have.
//!
//! It cannot happen as long as disks keep what they were given: who is elected has every entry that was ever committed,
//! and nothing else is applied anywhere. It has happened where entries were lost that somebody had acknowledged, and nobody
//! noticed in time ([`lost`](super::lost)). Then this replica may have the only copy of events that were acknowledged, and
//! openraft takes it for granted that what it has is what the leader has: it would acknowledge entries that are not here,
//! and append what follows to a history in which it does not belong.
//!
//! So whatever a leader sends is looked at before openraft sees it:
//!
//! * *Entries*, and the one before them: at an index up to the last one committed here they are of another term than the
//!   entry here; or of a later one than the last committed entry, for terms do not fall along a log: that needs no look at
//!   entries of which the log was purged.
//! * *An offer of parts* that end behind what is applied here, where no entry can be compared: the leader is asked for its
//!   digest at the last position here, once, and it differs.
//!
//! # Why it is never said wrongly
//!
//! Only what is at least as great as the vote here counts: from a leader whose messages openraft would take. Say it leads in
//! term `U`, and the last entry that is committed here was known to be so from the leader of term `V`. A vote of at least
//! `V` has been here since then, so `U` is not less than `V`. In the same term it is the same leader, which had the entry
//! itself. In a later one it was elected by a majority, and that met the one by which the entry was committed in a replica
//! that would not have voted for anybody without it. Either way the leader has that entry and, as logs that agree in one
//! entry agree in everything before it, all that is applied here. As long as promises are kept it has nothing else at these
//! indexes, and the same digest at these positions.
//!
//! # What is done
//!
//! The partition leaves service for good, durably ([`Withheld::Diverged`]). Its log and its parts stay as they are, nothing
//! is sent to it any more, and it is not repaired by itself, since that would discard them. Its votes are not needed, and
//! asked for no more: it promised nothing that it does not keep.

use std::time::Duration;

use chronos_domain::Position;
use chronos_wal::Mark;
use openraft::raft::AppendEntriesRequest;

use super::Raft;
use super::codec::{Offer, decode_digest, encode_digest};
use super::lost::Losses;
use super::network::DIGEST;
use super::types::{LogId, Types, Vote, mark_of};
use crate::node::NodeId;
use crate::peer::{CallError, Message, Refusal};
use crate::repair::Withheld;

/// How long a leader may take to say its digest.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);

/// What was compared with a leader's history: up to this position, with this leader in this term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirmed {
    by: NodeId,
    term: u64,
    head: u64,
}

impl Losses {
    /// Looks at entries of a leader before anybody takes them.
    ///
    /// # Errors
    /// When the leader has not got what is applied here: it is not to be followed, and the partition has left service.
    pub(super) async fn compare_entries(
        &self,
        raft: &Raft,
        from: NodeId,
        request: &AppendEntriesRequest<Types>,
    ) -> Result<(), Refusal> {
        self.is_apart()?;
        let applied = self.0.partition.applied_mark();
        let sent = request.prev_log_id.iter().chain(request.entries.iter().map(|entry| &entry.log_id));
        let mut within = sent.take_while(|id| mark_of(Some(id)).index <= applied.index);
        match within.find(|id| self.is_other(id, applied)) {
            Some(id) => self.compare(raft, from, request.vote, *id).await,
            None => Ok(()),
        }
    }

    /// The same for parts that are offered.
    pub(super) async fn compare_offer(
        &self,
        raft: &Raft,
        from: NodeId,
        offer: &Offer,
    ) -> Result<(), Refusal> {
        self.is_apart()?;
        let Some(last) = offer.meta.last_log_id else { return Ok(()) };
        // In this order: what is applied in between is not compared.
        let head = self.0.partition.head().get();
        let applied = self.0.partition.applied_mark();
        if mark_of(Some(&last)).index <= applied.index {
            return match self.is_other(&last, applied) {
                true => self.compare(raft, from, offer.vote, last).await,
                false => Ok(()),
            };
        }
        let asked = Confirmed { by: from, term: offer.vote.leader_id.term, head };
        if head == 0 || *self.0.confirmed.lock() == Some(asked) {
            return Ok(());
        }
        if self.has_same_digest(from, head).await? || !self.is_followed(raft, offer.vote).await? {
            *self.0.confirmed.lock() = Some(asked);
            return Ok(());
        }
        Err(self.part(raft, from, offer.vote))
    }

    fn is_apart(&self) -> Result<(), Refusal> {
        match self.0.quarantine.divergence() {
            Some(_) => Err(Refusal::new(Refusal::FAILED, "this replica has diverged, and is left as it is")),
            None => Ok(()),
        }
    }

    /// Whether, as far as the log and what is applied say, an entry is not the one that is applied here at its index.
    fn is_other(&self, id: &LogId, applied: Mark) -> bool {
        let theirs = mark_of(Some(id));
        let is_another_here = || self.0.log.mark_at(theirs.index).is_some_and(|ours| ours != theirs);
        theirs.term > applied.term || theirs.index == applied.index && theirs != applied || is_another_here()
    }

    /// The core knows what the log may not yet: what is committed, and where a snapshot that is being taken over leaves it.
    async fn compare(&self, raft: &Raft, from: NodeId, vote: Vote, theirs: LogId) -> Result<(), Refusal> {
        let is_committed_otherwise = raft.with_raft_state(move |state| {
            let Some(committed) = state.local_committed().filter(|committed| committed.index >= theirs.index)
            else {
                return false;
            };
            let is_another_here = || state.log_ids.get(theirs.index).is_some_and(|ours| ours != theirs);
            let is_other = theirs.leader_id > committed.leader_id || is_another_here();
            is_other && vote.is_committed() && vote >= *state.vote_ref()
        });
        match is_committed_otherwise.await {
            Ok(false) => Ok(()),
            Ok(true) => Err(self.part(raft, from, vote)),
            Err(fatal) => Err(Refusal::new(Refusal::FAILED, fatal.to_string())),
        }
    }

    async fn is_followed(&self, raft: &Raft, vote: Vote) -> Result<bool, Refusal> {
        let own = raft.with_raft_state(|state| *state.vote_ref()).await;
        let own = own.map_err(|fatal| Refusal::new(Refusal::FAILED, fatal.to_string()))?;
        Ok(vote.is_committed() && vote >= own)
    }

    /// Whether the leader's history up to this position is the one here. Who does not understand the question is believed.
    ///
    /// # Errors
    /// As long as that is not known.
    async fn has_same_digest(&self, leader: NodeId, head: u64) -> Result<bool, Refusal> {
        let ours = self.digest_at(head).await?;
        let Some(theirs) = self.digest_of(leader, ours.0).await? else { return Ok(true) };
        if theirs.0 == ours.0 {
            return Ok(theirs == ours);
        }
        if self.digest_at(theirs.0).await? != theirs {
            return Ok(false);
        }
        let text = format!("{leader} has only read up to position {} yet, and {} is here", theirs.0, ours.0);
        Err(Refusal::new(Refusal::ABSENT, text))
    }

    async fn digest_of(&self, leader: NodeId, position: u64) -> Result<Option<(u64, [u8; 32])>, Refusal> {
        let body = encode_digest(position, [0; 32]);
        let message = Message { group: self.0.partition.id().get(), kind: DIGEST, body };
        match self.0.link.call(leader, message, CONFIRMED_WITHIN).await {
            Ok(answer) => Ok(Some(decode_digest(&answer)?)),
            Err(CallError::Refused { refusal, .. }) if refusal.code == Refusal::MALFORMED => Ok(None),
            Err(error) => {
                // What is absent is offered again in a moment.
                let text = format!("{leader} has not confirmed yet that it has what is here: {error}");
                Err(Refusal::new(Refusal::ABSENT, text))
            }
        }
    }

    /// The digest of the events up to a position here, or up to the last one.
    pub(super) async fn digest_at(&self, position: u64) -> Result<(u64, [u8; 32]), Refusal> {
        let partition = self.0.partition.clone();
        let at = Some(Position::new(position));
        let digest = self.0.env.tasks.blocking(move || partition.digest(at)).await;
        let digest = digest.map_err(|fault| Refusal::new(Refusal::FAILED, fault.to_string()))?;
        Ok((digest.position.get(), digest.digest.0))
    }

    /// Leaves service. What is noted on disk is written where repairs are looked after.
    fn part(&self, raft: &Raft, leader: NodeId, vote: Vote) -> Refusal {
        raft.runtime_config().elect(false);
        let Mark { index, term } = self.0.partition.applied_mark();
        let leader_term = vote.leader_id.term;
        self.0.quarantine.set_apart(Withheld::Diverged { index, term, leader: leader.get(), leader_term });
        Refusal::new(Refusal::FAILED, "what is applied here is not what this leader has")
    }
}
