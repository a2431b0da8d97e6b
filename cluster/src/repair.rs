//! Repair: a replica that is damaged heals itself from the others, and endangers nothing while it does.
//!
//! ```text
//!  damage found ──► out of service ──► what exactly? ──┬─ nothing ───────────────────────────────► in service
//!  (start, read,                                       ├─ files of parts: fetched by hash ─► digest ─┘    ▲
//!   scrub, order)                                      └─ log, or nobody knows which parts:               │
//!          WITHHOLD ─► census ─► log discarded, vote in the census' term ─► follows ─► covered ─► digest ─┘
//! ```
//!
//! Besides what is found on its own disk, a replica is damaged when others remember what it promised and it does not have
//! that any more (`raft::lost`): then everything it holds looks whole, and its log is begun anew all the same.
//!
//! # Why a damaged replica must not simply go on
//!
//! A replica makes two kinds of promises, and both are kept by what is on its disk. By casting a *vote* in a term it
//! promises to cast no other one in it, and to take nothing from leaders of earlier terms. By acknowledging an *entry* it
//! promises that no candidate whose log lacks the entry gets its vote. A commit and an election both rest on majorities
//! that meet in one replica which keeps its promises. If that replica has forgotten, they do not meet:
//!
//! * with a lost vote it may vote twice in one term: two leaders;
//! * with a lost vote it may acknowledge an entry of an old leader, although its vote made a newer one: the old one
//!   believes the entry committed, the newer one overwrites it;
//! * with lost entries it may make a leader of a replica that lags behind: what was acknowledged is overwritten.
//!
//! So a replica whose log is damaged (the vote is in the log) casts no vote, asks for none and takes no entry until each
//! of the three is impossible again. Damage to parts alone breaks no promise: parts hold what is committed, by hash.
//!
//! # The census ends what lost votes can do
//!
//! Before anything is discarded, all other voters are asked for their terms, and all have to answer; besides, of every
//! set of voters in force a majority has to have lost nothing ([`census`]). Say `T` is the greatest term they name. A lost
//! vote was cast for a candidate that had written down its term before it asked. Such a candidate answered, so its term is
//! at most `T`; or it is withholding itself, then its candidacy died with it, and if it won before that, some whole
//! replica had voted for it, too, and named its term. So *every vote that was lost was cast in a term up to `T`*. The log
//! is begun anew with a vote of this replica for itself in `T`: it will never vote in a term up to `T`, nor take entries
//! of a leader before `T`. (It does not lead in `T` by it: whoever is to lead must have asked for votes in this life.)
//!
//! One voter that does not answer may be a candidate that holds a lost vote and goes on collecting: therefore *all* have to
//! answer, not just a majority. One that is gone for good is replaced by the placement, and is no voter then.
//!
//! # Covering ends what lost entries can do
//!
//! After the census the replica takes entries, and what it acknowledges from now on it holds. Only its vote has to wait.
//! It may vote again when its log has the last entry that a leader of a term from `T` on named after the log was
//! discarded. Let `e` be an entry that was committed, or may yet be, with an acknowledgement that was lost. It was sent by
//! a leader of a term up to `T`, and is in the log of the leader that is asked: either that is the same leader, or a later
//! one, whose majority met the one of `e` in a replica that kept its promises. Leaders that come after it while votes are
//! withheld are elected by replicas that are whole, and these meet every majority of `e` outside of this one. (A leader
//! may count a lost acknowledgement for a while. It has learned that the log went back before it sends the entries by
//! which the log covers anything; and `e` is among them, for its last entry was asked for, not its last committed one.)
//!
//! That is also why a leader is told to bear with a log that goes back (`raft::settings`).
//!
//! # Discarding on purpose
//!
//! A replica that the placement took away, and deletes, has kept all its promises and forgets them. Should the node ever
//! be given the partition again, it meets the history from its beginning, with the members of that time: of the founder's
//! replica they were the founder alone, which by that may elect itself and commit what nobody else knows of. So the same
//! holds for it. Its log is sound, so no census is needed, and what it acknowledged goes no further than the log went: that
//! entry is written down before anything is discarded (`WITHHOLD`: `discarded`), and once everything up to it is applied again
//! the replica knows at least what it knew, the members that left it out included, and votes as any other.
//!
//! # What is not repaired
//!
//! A replica that has diverged (`raft::diverged`) has lost nothing. Others have, and it may hold the only copy of that. To
//! make it whole would be to discard it, so it is looked after here and left alone, with `WITHHOLD` that says so, until
//! somebody gives it up by name ([`Groups::give_up`](crate::Groups::give_up)). Meanwhile it answers a census: its log and
//! its vote keep every promise that they made.
//!
//! # What is durable, and when
//!
//! `WITHHOLD` lies in the partition's directory before anything is discarded, and goes when all is proven. It says
//! `damaged` until log and vote are begun anew: a crash before that repeats all of it, including the census. Then it says
//! what the term was, and which entry is to be reached. An unreadable one says `damaged`.
//!
//! # What never happens
//!
//! * With a majority damaged there is no census: everything stays as it is on all of their disks, and every question is
//!   answered with an error that says so. Nothing is invented; going on with a minority is an operator's decision, and not
//!   one that is made here.
//! * A replica that is alone has nobody to ask, and stays refused.
//! * Nothing is served before what was got together is read back from the disk, every byte of it, and its digest at a
//!   common position equals that of another replica.

mod answers;
pub(crate) mod ballot;
mod census;
mod mending;
mod rounds;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronos_domain::{PartitionId, Position, Timestamp};
use chronos_env::Task;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::group::Group;
use crate::groups::Groups;
use crate::node::NodeId;

pub(crate) use answers::Answers;
pub(crate) use ballot::{Ballots, Gate, Withheld, set_withheld};
pub(crate) use rounds::Rounds;

/// A partition that this node does not serve because of damage, and what is being done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ward {
    /// Which partition.
    pub id: PartitionId,
    /// What was found.
    pub why: Arc<str>,
    /// When.
    pub since: Timestamp,
    /// How far its repair is.
    pub stage: Stage,
    /// How often repair was begun.
    pub attempts: u64,
    /// Why the last attempt did not come to its end.
    pub setback: Option<Arc<str>>,
}

/// How far a repair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// What is damaged is not known yet.
    Examined,
    /// Parts are being fetched. Log and vote are whole.
    PartsWanted,
    /// The log is damaged. Nothing is discarded before the others have said what they know.
    Withheld,
    /// The log was begun anew, and takes what the leader sends; votes are withheld.
    CatchingUp,
    /// It is not damaged: what it has applied is not what its leader has. It stays as it is until somebody gives it up.
    Diverged,
}

/// What a repair has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Which partition.
    pub id: PartitionId,
    /// What was found.
    pub why: Arc<str>,
    /// Whether the log was discarded and had from the leader again.
    pub is_anew: bool,
    /// Parts that were fetched because theirs were damaged, and their bytes; without those a snapshot brought.
    pub parts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Which node's digest proved it whole.
    pub witness: Option<NodeId>,
    /// At which position.
    pub position: Position,
    /// The digest.
    pub digest: [u8; 32],
    /// From the finding to the return into service.
    pub took: Duration,
}

/// Why a repair that was ordered is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepairError {
    /// There is nobody to repair it from, or the damage is of another kind. It is not tried again before the next start.
    #[error("partition {id} is not repaired: {why}")]
    Refused {
        /// Which partition.
        id: PartitionId,
        /// Why.
        why: Arc<str>,
    },
    /// It goes on.
    #[error("partition {id} is not repaired before the deadline, and repair goes on: {why}")]
    Late {
        /// Which partition.
        id: PartitionId,
        /// What the last attempt ran into.
        why: Arc<str>,
    },
}

/// Counters since the start of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairStats {
    /// Partitions that left service because they were found damaged, or to have diverged.
    pub found: u64,
    /// Repairs that came to their end.
    pub repaired: u64,
    /// Of these, with a new log.
    pub anew: u64,
    /// Parts that were fetched, and their bytes.
    pub parts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Attempts that did not come to their end.
    pub setbacks: u64,
    /// Repairs that were given up until the next start.
    pub refused: u64,
    /// Partitions that have applied what their leader does not have, and are left as they are.
    pub diverged: u64,
    /// Of the system partition alone, which the counts above include: found, repaired, setbacks, refused.
    pub system: [u64; 4],
    /// The last repair of each partition.
    pub last: BTreeMap<PartitionId, Repaired>,
}

impl RepairStats {
    /// Counts something that happened to a repair of `id`, for its kind of partition too.
    fn count(&mut self, id: PartitionId, what: Turn) {
        let total = match what {
            Turn::Found => &mut self.found,
            Turn::Repaired => &mut self.repaired,
            Turn::SetBack => &mut self.setbacks,
            Turn::Refused => &mut self.refused,
        };
        *total += 1;
        if id == PartitionId::SYSTEM {
            self.system[what as usize] += 1;
        }
    }
}

/// What happens to a repair, in the order in which [`RepairStats::system`] counts it.
#[derive(Clone, Copy)]
enum Turn {
    Found,
    Repaired,
    SetBack,
    Refused,
}

/// All wards of a node.
pub(crate) struct Repairs {
    wards: Mutex<BTreeMap<PartitionId, Case>>,
    stats: Mutex<RepairStats>,
    /// Somebody wants it tried again now.
    wake: Notify,
    changed: watch::Sender<u64>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<Task<()>>>,
}

/// A ward with what only the repair needs to know.
struct Case {
    ward: Ward,
    /// Runs while votes are withheld.
    group: Option<Arc<Group>>,
    began: Duration,
    /// When it is tried next; `None` while an attempt is under way.
    next: Option<Duration>,
    pause: Duration,
    /// Not tried again.
    is_refused: bool,
    /// How often what was got together did not have the digest of the others.
    mismatches: u64,
}

impl Repairs {
    pub(crate) fn new() -> Repairs {
        Repairs {
            wards: Mutex::default(),
            stats: Mutex::default(),
            wake: Notify::new(),
            changed: watch::Sender::new(0),
            stop: watch::Sender::new(false),
            task: Mutex::default(),
        }
    }

    /// Keeps the task that repairs, so that it ends with the node.
    pub(crate) fn run(&self, task: Task<()>) {
        *self.task.lock() = Some(task);
    }

    /// Ends what is under way, and gives back the groups that still run.
    pub(crate) async fn stop(&self) -> Vec<Arc<Group>> {
        self.stop.send_replace(true);
        let task = self.task.lock().take();
        if let Some(task) = task
            && task.await.is_err()
        {
            tracing::error!("repair died before it could be stopped");
        }
        self.wards.lock().values_mut().filter_map(|case| case.group.take()).collect()
    }

    /// Why a partition is not served.
    fn sentence(ward: &Ward) -> Arc<str> {
        let (id, why) = (ward.id, &ward.why);
        if ward.stage == Stage::Diverged {
            return Arc::from(format!("partition {id} is refused on this node: {why}"));
        }
        let setback =
            ward.setback.as_ref().map_or_else(String::new, |setback| format!("; so far: {setback}"));
        Arc::from(format!("partition {id} is being repaired on this node: {why}{setback}"))
    }

    /// Why a partition is under repair and not served, if it is.
    pub(crate) fn refusal(&self, id: PartitionId) -> Option<Arc<str>> {
        self.wards.lock().get(&id).map(|case| Repairs::sentence(&case.ward))
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// The group that runs while votes are withheld.
    fn group(&self, id: PartitionId) -> Option<Arc<Group>> {
        self.wards.lock().get(&id)?.group.clone()
    }

    fn keep(&self, id: PartitionId, group: &Arc<Group>) {
        if let Some(case) = self.wards.lock().get_mut(&id) {
            case.group = Some(Arc::clone(group));
        }
    }

    /// How often, this time included, what was got together was not what the others have.
    fn mismatched(&self, id: PartitionId) -> u64 {
        let mut wards = self.wards.lock();
        wards.get_mut(&id).map_or(0, |case| {
            (case.group, case.mismatches) = (None, case.mismatches + 1);
            case.mismatches
        })
    }

    /// Forgets a ward; gives back what was found, and when.
    fn close_case(&self, id: PartitionId) -> (Arc<str>, Duration) {
        let case =
            self.wards.lock().remove(&id).expect("a ward stays until its only attempt has repaired it");
        (case.ward.why, case.began)
    }

    /// What a partition has is not to be discarded, for this reason, until somebody says so.
    fn set_apart(&self, id: PartitionId, why: &str) {
        let mut wards = self.wards.lock();
        let Some(case) = wards.get_mut(&id) else { return };
        (case.ward.stage, case.ward.why) = (Stage::Diverged, Arc::from(why));
        self.stats.lock().diverged += 1;
    }

    /// Whether a partition is out of service because it has diverged.
    fn is_apart(&self, id: PartitionId) -> bool {
        self.wards.lock().get(&id).is_some_and(|case| case.ward.stage == Stage::Diverged)
    }

    /// Has it repaired like any other one from now on.
    fn is_given_up(&self, id: PartitionId) {
        if let Some(case) = self.wards.lock().get_mut(&id) {
            case.ward.stage = Stage::Withheld;
            (case.is_refused, case.next) = (false, Some(Duration::ZERO));
        }
    }

    fn stage(&self, id: PartitionId, stage: Stage) {
        if let Some(case) = self.wards.lock().get_mut(&id) {
            case.ward.stage = stage;
        }
    }
}

impl Groups {
    /// Partitions that this node does not serve because of damage, and how far their repair is.
    pub fn wards(&self) -> Vec<Ward> {
        self.repairs().wards.lock().values().map(|case| case.ward.clone()).collect()
    }

    /// Whether a partition is out of service until it is repaired.
    pub fn is_being_repaired(&self, id: PartitionId) -> bool {
        self.repairs().wards.lock().get(&id).is_some_and(|case| case.ward.stage != Stage::Diverged)
    }

    /// Gives up what only this node's replica of a partition has, which has diverged from its leader: it is repaired from
    /// then on, by which everything it holds is discarded. Does nothing to any other one.
    ///
    /// # Errors
    /// When that could not be written down.
    pub async fn give_up(&self, id: PartitionId) -> Result<(), RepairError> {
        if !self.repairs().is_apart(id) {
            return Ok(());
        }
        let dir = self.store_config(id).dir;
        let noted = set_withheld(self.env(), dir, Some(Withheld::Damaged)).await;
        noted.map_err(|error| {
            let why = format!("that it is given up could not be written down: {error}");
            RepairError::Refused { id, why: why.into() }
        })?;
        tracing::warn!(partition = id.get(), "what only this replica has is given up, as ordered");
        self.repairs().is_given_up(id);
        Ok(())
    }

    /// What repair has done since the start.
    pub fn repair_stats(&self) -> RepairStats {
        self.repairs().stats.lock().clone()
    }

    /// Has a partition repaired now, and waits for it until `deadline` (since the start of `env`'s clock). One that is
    /// served is read as a whole first; of one without damage the answer is `None`.
    ///
    /// # Errors
    /// See [`RepairError`].
    pub async fn repair(&self, id: PartitionId, deadline: Duration) -> Result<Option<Repaired>, RepairError> {
        let mut changed = self.repairs().changed.subscribe();
        if self.repairs().refusal(id).is_none() {
            let seen = self.verify(id, None).await.map_err(|why| RepairError::Refused { id, why })?;
            if seen.findings.is_empty() {
                return Ok(None);
            }
        }
        self.repairs().hurry(id);
        let since = self.repairs().stats.lock().last.get(&id).cloned();
        let done = async {
            loop {
                if let Some(end) = self.repairs().end_of(id, since.as_ref()) {
                    return end;
                }
                // The sender lives in `self`, so waiting cannot fail.
                let _ = changed.changed().await;
            }
        };
        let left = deadline.saturating_sub(self.env().clock.monotonic());
        match self.env().clock.timeout(left, done).await {
            Ok(end) => end.map(Some),
            Err(_) => {
                let why = self.repairs().refusal(id).unwrap_or_else(|| Arc::from("it has just begun"));
                Err(RepairError::Late { id, why })
            }
        }
    }
}

impl Repairs {
    /// Tries again now what waits for its next attempt.
    fn hurry(&self, id: PartitionId) {
        if let Some(case) = self.wards.lock().get_mut(&id)
            && case.next.is_some()
            && !case.is_refused
        {
            case.next = Some(Duration::ZERO);
        }
        self.wake.notify_one();
    }

    /// How a repair has ended, if it has.
    fn end_of(&self, id: PartitionId, before: Option<&Repaired>) -> Option<Result<Repaired, RepairError>> {
        if let Some(case) = self.wards.lock().get(&id) {
            let why = case.ward.setback.clone().unwrap_or_else(|| Arc::clone(&case.ward.why));
            return case.is_refused.then_some(Err(RepairError::Refused { id, why }));
        }
        let last = self.stats.lock().last.get(&id).cloned();
        last.filter(|last| Some(last) != before).map(Ok)
    }
}
