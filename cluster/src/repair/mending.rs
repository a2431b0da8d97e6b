//! One attempt to repair one partition. It can end anywhere: the next one goes on from what is on disk.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_domain::{PartitionId, Position};
use chronos_store::{
    Diagnosis, Digest, Fault, Leftovers, Partition, Withheld, diagnose, make_mending, mend_part, reset,
};
use chronos_wal::{Log, Mark};
use futures::future::join_all;
use tokio::sync::oneshot;

use super::answers::{CENSUS, DIGEST};
use super::ballot::{set_withheld, withheld};
use super::census::{Sealed, Standing, Word, settle};
use super::{Repaired, Stage};
use crate::consensus::Phase;
use crate::group::Group;
use crate::groups::Groups;
use crate::node::NodeId;
use crate::parcel::fetch_part;
use crate::peer::Message;
use crate::quarantine::told;
use crate::raft::{Vote, encode_vote, term_of};

/// How long another node may take to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// How long an attempt waits for the log to come to where it should be, before it looks at everything again.
const COVERED_WITHIN: Duration = Duration::from_secs(5);
/// While it waits it looks this often.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What was got together from the leader and does not have its digest is discarded again, so often.
const MISMATCHES_MAX: u64 = 3;

/// Why an attempt did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setback {
    /// Others have to answer first, or the disk.
    Waits(String),
    /// It goes on; there was progress.
    Goes(String),
    /// It is not tried again.
    Refused(String),
    /// It is not to be repaired.
    Diverged,
}

impl From<io::Error> for Setback {
    fn from(error: io::Error) -> Setback {
        Setback::Waits(format!("the disk refuses: {error}"))
    }
}

impl From<Fault> for Setback {
    fn from(fault: Fault) -> Setback {
        match fault {
            Fault::Stopped(why) => Setback::Refused(why),
            other => Setback::Waits(other.to_string()),
        }
    }
}

/// Parts that were fetched.
#[derive(Default)]
struct Fetched {
    parts: u64,
    bytes: u64,
}

/// What proved a partition whole.
struct Proof {
    witness: Option<NodeId>,
    digest: Digest,
}

/// What the log has.
enum Covered {
    /// Everything that this leader had when it was asked.
    By(NodeId),
    /// Nothing, and nobody will send it anything: this node is no member of the group any more.
    NoMember {
        /// The last entry of the leader that said so: what was promised here lies before it.
        reach: u64,
    },
}

pub(super) struct Mending {
    groups: Groups,
    id: PartitionId,
}

impl Mending {
    pub(super) fn new(groups: Groups, id: PartitionId) -> Mending {
        Mending { groups, id }
    }

    fn dir(&self) -> PathBuf {
        self.groups.store_config(self.id).dir
    }

    fn log(&self) -> Log {
        self.groups.log(self.id)
    }

    fn stage(&self, stage: Stage) {
        self.groups.repairs().stage(self.id, stage);
    }

    pub(super) async fn attempt(&self) -> Result<Repaired, Setback> {
        if let Some(diverged) = self.groups.divergence(self.id) {
            // Before its group is gone, which refuses what its leader sends.
            set_withheld(self.groups.env(), self.dir(), Some(diverged)).await?;
        }
        self.groups.take_out(self.id).await;
        match withheld(self.groups.env(), self.dir()).await? {
            Some(Withheld::CatchingUp { term, .. }) => self.follow(term).await,
            Some(Withheld::Damaged) => self.begin_anew().await,
            Some(diverged @ Withheld::Diverged { .. }) => {
                self.groups.repairs().set_apart(self.id, &told(diverged));
                Err(Setback::Diverged)
            }
            // Its votes stay withheld, whatever is found.
            Some(Withheld::Discarded { .. }) | None => self.examine().await,
        }
    }

    /// Log and vote may be whole: finds out what is damaged.
    async fn examine(&self) -> Result<Repaired, Setback> {
        let found = self.diagnose().await?;
        if let Some(what) = found.first() {
            tracing::warn!(partition = self.id.get(), what, parts = found.parts.len(), "repair: examined");
        }
        if !found.is_whole() && !found.is_parts_only() {
            return self.withhold().await;
        }
        let fetched = match found.is_parts_only() {
            true => match self.mend(&found).await? {
                Some(fetched) => fetched,
                // Nobody has these parts: others have cut or merged differently meanwhile.
                None => return self.withhold().await,
            },
            false => Fetched::default(),
        };
        match self.groups.open(self.id).await {
            Ok(partition) => self.serve_again(partition, fetched).await,
            // Each for itself is whole, and they do not fit together.
            Err(Fault::Corrupt(what)) => {
                chronos_env::sometimes!("repair.log_and_parts_apart");
                tracing::warn!(partition = self.id.get(), what, "repair: log and parts do not fit together");
                self.withhold().await
            }
            Err(fault) => Err(fault.into()),
        }
    }

    async fn diagnose(&self) -> Result<Diagnosis, Setback> {
        let (env, id, log) = (self.groups.env().clone(), self.id, self.log());
        let config = self.groups.store_config(id);
        Ok(self.groups.env().tasks.blocking(move || diagnose(&env, id, &log, &config)).await?)
    }

    /// Fetches the parts that are damaged, from whoever has them; `None` when of one every node says that it does not.
    async fn mend(&self, found: &Diagnosis) -> Result<Option<Fetched>, Setback> {
        self.stage(Stage::PartsWanted);
        let Some(peers) = self.groups.peers() else { return Ok(None) };
        let (env, config) = (self.groups.env().clone(), self.groups.store_config(self.id));
        let into = env.tasks.blocking({
            let (env, config) = (env.clone(), config.clone());
            move || make_mending(&env, &config)
        });
        let (into, mut fetched) = (into.await?, Fetched::default());
        for (part, what) in &found.parts {
            let mut setback = None;
            let mut source = None;
            for from in self.groups.others() {
                match fetch_part(&peers, &env, from, self.id, part, &into).await {
                    Ok(()) => {
                        source = Some(from);
                        break;
                    }
                    Err(error) if error.is_absent() => {}
                    Err(error) => setback = Some(error.to_string()),
                }
            }
            let Some(from) = source else {
                return setback.map_or(Ok(None), |why| Err(Setback::Waits(why)));
            };
            let (world, place, meta) = (env.clone(), config.clone(), part.clone());
            env.tasks.blocking(move || mend_part(&world, &place, &meta)).await?;
            let (partition, name, bytes) = (self.id.get(), part.stem(), part.bytes());
            chronos_env::sometimes!("repair.part_fetched");
            tracing::warn!(partition, part = name, what, %from, bytes, "repair: part fetched again");
            fetched = Fetched { parts: fetched.parts + 1, bytes: fetched.bytes + part.bytes() };
        }
        let still = self.diagnose().await?;
        match still.first() {
            None => Ok(Some(fetched)),
            Some(what) => Err(Setback::Waits(format!("after its parts were fetched again: {what}"))),
        }
    }

    /// Log and vote are whole, and so are the parts: serves again as soon as another replica confirms the digest.
    async fn serve_again(&self, partition: Partition, fetched: Fetched) -> Result<Repaired, Setback> {
        let asked = self.groups.others();
        let proof = self.prove(&partition, &asked).await?;
        let group = self.groups.start_group(self.id, partition);
        group.consensus.phase().await;
        if let Some(why) = group.subject.quarantine.get() {
            // What it has is whole, and it has promised more.
            self.groups.end_group(self.id, &group).await;
            return Err(Setback::Goes(why.as_ref().to_owned()));
        }
        Ok(self.discharge(group, proof, fetched, false))
    }

    /// Notes that votes are withheld, before anything else.
    async fn withhold(&self) -> Result<Repaired, Setback> {
        set_withheld(self.groups.env(), self.dir(), Some(Withheld::Damaged)).await?;
        self.begin_anew().await
    }

    /// Discards log and state once the others have said what they know.
    async fn begin_anew(&self) -> Result<Repaired, Setback> {
        self.stage(Stage::Withheld);
        self.groups.ballots().withhold(self.id);
        let term = self.census().await?;
        let (env, log, config) = (self.groups.env(), self.log(), self.groups.store_config(self.id));
        reset(env, self.id, &log, &config, Leftovers::Reuse).await?;
        self.vote_for_nobody_else(&log, term).await?;
        let catching_up = Withheld::CatchingUp { term, reach: 0 };
        set_withheld(env, self.dir(), Some(catching_up)).await?;
        chronos_env::sometimes!("repair.begun_anew");
        tracing::warn!(partition = self.id.get(), term, "repair: the log begins anew; votes are withheld");
        self.follow(term).await
    }

    /// The greatest term in which this replica may have promised anything.
    async fn census(&self) -> Result<u64, Setback> {
        let words = self.words().await;
        let known = self.log().state();
        let own = known.vote.as_ref().and_then(term_of).max(known.last.map(|last| last.term));
        let settled = settle(self.groups.node(), &words);
        chronos_env::sometimes!("repair.waited_for_others", settled.is_err());
        let term = settled.map_err(Setback::Waits)?;
        Ok(term.max(own.unwrap_or(0)))
    }

    async fn words(&self) -> BTreeMap<NodeId, Word> {
        let asking = self.groups.others().into_iter().map(async |node| {
            let answer = self.ask(node, CENSUS, Bytes::new()).await.ok()?;
            Some((node, Word::decode(&answer)?))
        });
        join_all(asking).await.into_iter().flatten().collect()
    }

    async fn ask(&self, node: NodeId, kind: u8, body: Bytes) -> Result<Bytes, String> {
        let message = Message { group: self.id.get(), kind, body };
        let answer = self.groups.link().call(node, message, ANSWERED_WITHIN).await;
        answer.map_err(|error| error.to_string())
    }

    /// From now on no vote is cast in a term up to this one, and nothing taken from a leader of an earlier one.
    async fn vote_for_nobody_else(&self, log: &Log, term: u64) -> Result<(), Setback> {
        let (tell, told) = oneshot::channel();
        let vote = encode_vote(&Vote::new(term, self.groups.node()));
        log.save_vote(vote, Box::new(move |saved| drop(tell.send(saved))));
        let saved = told.await.unwrap_or(Err(chronos_wal::Fault::Closed));
        saved.map_err(|fault| Setback::Waits(format!("the vote could not be written: {fault}")))
    }

    /// Takes what the leader sends until the log covers what was lost; then proves it and votes again.
    async fn follow(&self, term: u64) -> Result<Repaired, Setback> {
        self.groups.ballots().withhold(self.id);
        self.stage(Stage::CatchingUp);
        let group = match self.groups.repairs().group(self.id) {
            Some(group) => group,
            None => self.start_withheld().await?,
        };
        if let Some(why) = group.subject.quarantine.get() {
            // It has lost something again while it was getting it.
            return self.discard_again(&group, why.as_ref().to_owned()).await;
        }
        let partition = group.subject.partition.clone();
        let proof = match self.cover(&group, term).await? {
            Covered::By(leader) => {
                self.read_back(&group, &partition).await?;
                match self.prove(&partition, &[leader]).await {
                    Err(Setback::Refused(why)) => return self.discard_again(&group, why).await,
                    proof => proof?,
                }
            }
            Covered::NoMember { reach } => {
                let proof = Proof { witness: None, digest: self.digest(&partition, None).await? };
                set_withheld(self.groups.env(), self.dir(), Some(Withheld::Discarded { reach })).await?;
                self.groups.ballots().withhold_until(self.id, reach);
                return Ok(self.discharge(group, proof, Fetched::default(), true));
            }
        };
        set_withheld(self.groups.env(), self.dir(), None).await?;
        chronos_env::sometimes!("repair.caught_up");
        self.groups.ballots().release(self.id);
        if let Phase::Serving(running) = group.consensus.phase_now() {
            running.raft.runtime_config().elect(true);
        }
        Ok(self.discharge(group, proof, Fetched::default(), true))
    }

    async fn start_withheld(&self) -> Result<Arc<Group>, Setback> {
        match self.groups.open(self.id).await {
            Ok(partition) => {
                let group = self.groups.start_group(self.id, partition);
                self.groups.repairs().keep(self.id, &group);
                group.consensus.phase().await;
                Ok(group)
            }
            // Damaged again meanwhile.
            Err(Fault::Corrupt(what)) => {
                set_withheld(self.groups.env(), self.dir(), Some(Withheld::Damaged)).await?;
                Err(Setback::Goes(what))
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Waits until the log has what was the last entry of a leader of a term from `term` on, asked for just now, and has
    /// applied it; gives back who that leader is.
    async fn cover(&self, group: &Group, term: u64) -> Result<Covered, Setback> {
        let words = self.words().await;
        let leads =
            |(_, word): &(NodeId, Word)| word.leads && word.standing == Standing::Whole && word.term >= term;
        let Some((leader, word)) = words.into_iter().filter(leads).max_by_key(|(_, word)| word.term) else {
            return Err(Setback::Waits("no leader is known".to_owned()));
        };
        if !word.members.contains(&self.groups.node()) {
            return Ok(Covered::NoMember { reach: word.last.index });
        }
        let reach = word.last;
        let noted = Withheld::CatchingUp { term, reach: reach.index };
        set_withheld(self.groups.env(), self.dir(), Some(noted)).await?;
        let (log, partition, clock) = (self.log(), &group.subject.partition, &self.groups.env().clock);
        let covered = clock.timeout(COVERED_WITHIN, async {
            while !covers(&log, reach) || partition.applied_index().get() < reach.index {
                clock.sleep(LOOK_AGAIN).await;
            }
        });
        if covered.await.is_ok() {
            return Ok(Covered::By(leader));
        }
        let has = log.state().flushed;
        Err(Setback::Goes(format!("its log has entries up to {has} of {} that {leader} has", reach.index)))
    }

    /// Reads everything that was got together, as it is on the disk.
    async fn read_back(&self, group: &Arc<Group>, partition: &Partition) -> Result<(), Setback> {
        let mut scrub = partition.scrub();
        let read = move || {
            let mut findings = Vec::new();
            while let Some(step) = scrub.step(&mut |_| ()) {
                findings.extend(step.findings);
            }
            findings
        };
        let findings = self.groups.env().tasks.blocking(read).await;
        match findings.first() {
            None => Ok(()),
            Some(finding) => {
                let why = format!("what was got together is damaged: {}", finding.damage);
                self.discard_again(group, why).await.map(drop)
            }
        }
    }

    /// What was got together is not what the others have. It is discarded, a few times.
    async fn discard_again(&self, group: &Arc<Group>, why: String) -> Result<Repaired, Setback> {
        chronos_env::sometimes!("repair.damaged_again");
        self.groups.end_group(self.id, group).await;
        set_withheld(self.groups.env(), self.dir(), Some(Withheld::Damaged)).await?;
        self.stage(Stage::Withheld);
        if self.groups.repairs().mismatched(self.id) < MISMATCHES_MAX {
            return Err(Setback::Waits(why));
        }
        Err(Setback::Refused(why))
    }

    /// Compares the digest at a common position with that of another replica. The setback is [`Setback::Refused`] when
    /// they differ.
    async fn prove(&self, partition: &Partition, asked: &[NodeId]) -> Result<Proof, Setback> {
        let own = self.digest(partition, None).await?;
        let mut why = "nobody else is known".to_owned();
        for node in asked {
            let question = Sealed { position: own.position, digest: [0; 32] };
            let answer = match self.ask(*node, DIGEST, question.encode()).await {
                Ok(answer) => answer,
                Err(error) => {
                    why = error;
                    continue;
                }
            };
            let Some(theirs) = Sealed::decode(&answer) else { continue };
            let ours = self.digest(partition, Some(theirs.position)).await?;
            if ours.position == theirs.position && ours.digest.0 == theirs.digest {
                return Ok(Proof { witness: Some(*node), digest: ours });
            }
            let (position, node) = (theirs.position, *node);
            return Err(Setback::Refused(format!(
                "its digest at position {position} differs from that of {node}"
            )));
        }
        Err(Setback::Waits(format!("no other replica confirms its digest: {why}")))
    }

    async fn digest(&self, partition: &Partition, at: Option<Position>) -> Result<Digest, Setback> {
        let partition = partition.clone();
        Ok(self.groups.env().tasks.blocking(move || partition.digest(at)).await?)
    }

    /// Puts the group into service.
    fn discharge(&self, group: Arc<Group>, proof: Proof, fetched: Fetched, is_anew: bool) -> Repaired {
        let (why, began) = self.groups.repairs().close_case(self.id);
        self.groups.put(self.id, group);
        Repaired {
            id: self.id,
            why,
            is_anew,
            parts: fetched.parts,
            bytes: fetched.bytes,
            witness: proof.witness,
            position: proof.digest.position,
            digest: proof.digest.digest.0,
            took: self.groups.env().clock.monotonic().saturating_sub(began),
        }
    }
}

/// Whether the log holds this entry of the leader on disk, or parts that were taken over from it do.
fn covers(log: &Log, reach: Mark) -> bool {
    let state = log.state();
    if state.purged.is_some_and(|purged| purged.index >= reach.index) {
        return true;
    }
    reach.index == 0 || state.flushed >= reach.index && log.mark_at(reach.index) == Some(reach)
}
