//! How changes get into the log of the system partition, and out of it into the state.

use std::sync::Arc;
use std::time::Duration;

use chronos_block::{Compression, Draft, Packer};
use chronos_domain::{
    EntityId, EventId, EventType, Expectation, ForkId, PartitionId, Rejection, Space, TenantId, Verdict,
    Version,
};
use chronos_env::{Entropy, Env};
use chronos_store::entry::Outcome;
use chronos_store::{Fault, Partition, Range, Recorded};
use tokio::sync::{Mutex, watch};

use super::change::Change;
use super::rules::Decided;
use super::state::State;
use crate::groups::Groups;
use crate::node::NodeId;
use crate::peer::{Denial, Denied};
use crate::proposal::ProposeError;
use crate::request::Request;

const TENANT: &str = "$system";
const ENTITY: &str = "cluster";
const SPACE: Space<'static> = Space { tenant: TENANT, fork: ForkId::MAIN };

/// A replica that cannot be read now is looked at again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// Why a change was not written here, or perhaps was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotWritten {
    /// A rule says no.
    #[error("{}", .0.text)]
    Refused(Denied),
    /// Another node leads, if anybody does. Certainly not written.
    #[error("{}", elsewhere(*.0))]
    Elsewhere(Option<NodeId>),
    /// Certainly not written, for this reason.
    #[error("{0}")]
    Unavailable(String),
    /// Perhaps written.
    #[error("{0}; perhaps it was done all the same")]
    Unknown(String),
}

fn elsewhere(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "nobody leads now".to_owned(), |leader| format!("{leader} leads by now"))
}

/// This node's replica of the cluster's own data, folded.
pub(crate) struct Ledger {
    env: Env,
    groups: Groups,
    me: NodeId,
    ids: Entropy,
    state: watch::Sender<Arc<State>>,
    epoch: watch::Sender<u64>,
    /// Held by whoever folds.
    folding: Mutex<()>,
}

impl Ledger {
    pub(crate) fn new(env: &Env, groups: Groups, me: NodeId) -> Ledger {
        Ledger {
            env: env.clone(),
            groups,
            me,
            ids: env.entropy.child("system events"),
            state: watch::Sender::default(),
            epoch: watch::Sender::new(0),
            folding: Mutex::default(),
        }
    }

    /// The state as of what has been folded.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.borrow().clone()
    }

    /// Follows the state.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.state.subscribe()
    }

    /// Follows the state's version.
    pub(crate) fn watch_epoch(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// Folds what is applied, as it is applied, for ever.
    pub(crate) async fn follow(&self) {
        loop {
            if let Err(why) = self.follow_one().await {
                tracing::error!(why, "the cluster's own data cannot be read on this node");
            }
            self.env.clock.sleep(AGAIN).await;
        }
    }

    /// Follows one replica until it fails or gives way to another.
    async fn follow_one(&self) -> Result<(), String> {
        let mut applied = self.partition()?.watch();
        loop {
            applied.borrow_and_update();
            self.fold().await?;
            if applied.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    fn partition(&self) -> Result<Partition, String> {
        self.groups.partition(PartitionId::SYSTEM).map_err(|why| why.to_string())
    }

    /// Folds everything that is applied now.
    pub(crate) async fn fold(&self) -> Result<(), String> {
        let _folding = self.folding.lock().await;
        let partition = self.partition()?;
        let mut state = State::clone(&self.state());
        loop {
            let (reader, from) = (partition.clone(), state.version + 1);
            let read = move || reader.entity(SPACE, ENTITY, Range::forward().starting(from));
            let page = if partition.reads_disk() { self.env.tasks.blocking(read).await } else { read() };
            let page = page.map_err(|fault| self.unread(&fault))?;
            for event in &page.events {
                take_in(&mut state, event)?;
            }
            if page.events.is_empty() || page.next.is_none() {
                break;
            }
        }
        if state.version > self.state().version {
            let version = state.version;
            self.state.send_replace(Arc::new(state));
            self.epoch.send_replace(version);
        }
        Ok(())
    }

    /// Damage closes the partition, as it does when a client's read finds it: then it is repaired.
    fn unread(&self, fault: &Fault) -> String {
        if let Fault::Corrupt(damage) = fault {
            chronos_env::sometimes!("ledger.found_damage");
            self.groups.quarantine(PartitionId::SYSTEM, damage);
        }
        fault.to_string()
    }

    /// Has `decide` look at the present state and writes what it wants, on condition that the state is still the same;
    /// else it looks again. When this returns, what it decided is on a quorum's disks and in this node's state.
    pub(crate) async fn change<T>(
        &self,
        within: Duration,
        decide: impl Fn(&State) -> Result<Decided<T>, Denied>,
    ) -> Result<T, NotWritten> {
        let deadline = self.env.clock.monotonic() + within;
        loop {
            match self.groups.leader(PartitionId::SYSTEM) {
                // What no quorum hears of is not written before the caller has gone, if ever.
                Some(leader) if leader == self.me => {
                    self.groups.living_leader(PartitionId::SYSTEM).ok_or(NotWritten::Elsewhere(None))?;
                }
                leader => return Err(NotWritten::Elsewhere(leader)),
            }
            self.fold().await.map_err(NotWritten::Unavailable)?;
            let state = self.state();
            let (change, so) = match decide(&state).map_err(NotWritten::Refused)? {
                Decided::Already(so) => return Ok(so),
                Decided::Write(change, so) => (change, so),
            };
            if self.append(&change, state.version, deadline).await? {
                self.fold().await.map_err(NotWritten::Unknown)?;
                tracing::info!(
                    event = change.event_type(),
                    version = state.version + 1,
                    "cluster changed: {change}"
                );
                return Ok(so);
            }
        }
    }

    /// Appends a change to a state of that version; false when the state has moved on.
    async fn append(&self, change: &Change, version: u64, deadline: Duration) -> Result<bool, NotWritten> {
        let mut id = [0; 16];
        self.ids.fill(&mut id);
        let block = pack(change, version, EventId::from_u128(u128::from_le_bytes(id) | 1));
        let tenant = TenantId::parse(TENANT).expect("the cluster's own tenant is well named");
        let request = Request::Append { tenant, fork: ForkId::MAIN, block };
        match self.groups.propose(PartitionId::SYSTEM, request, deadline).await {
            Ok(Outcome::Append(Verdict::Stored(_) | Verdict::Duplicate(_))) => Ok(true),
            Ok(Outcome::Append(Verdict::Rejected(Rejection::WrongExpectedVersion { .. }))) => Ok(false),
            Ok(Outcome::Append(Verdict::Rejected(why))) => {
                let what = format!("the system partition did not take it: {why}");
                Err(NotWritten::Refused(Denied::new(Denial::Malformed, what)))
            }
            Ok(Outcome::Truncate(_) | Outcome::Cut(_) | Outcome::Tick(_)) => {
                unreachable!("an append has the outcome of an append")
            }
            Err(ProposeError::NotLeader { leader }) => Err(NotWritten::Elsewhere(leader)),
            Err(ProposeError::Unknown(why)) => Err(NotWritten::Unknown(why.to_string())),
            Err(error) => Err(NotWritten::Unavailable(error.to_string())),
        }
    }
}

fn pack(change: &Change, version: u64, id: EventId) -> chronos_block::Block {
    const SMALL: &str = "a change of the cluster keeps all bounds of events";
    let entity = EntityId::parse(ENTITY).expect("the cluster's entity is well named");
    let event_type = EventType::parse(change.event_type()).expect("types of changes are well named");
    let mut packer = Packer::new();
    packer.expect(entity.clone(), Expectation::Exact(Version::new(version))).expect(SMALL);
    packer.push(Draft::json(id, entity, event_type, change.payload())).expect(SMALL);
    packer.finish(Compression::None).expect(SMALL)
}

/// Applies one stored event.
fn take_in(state: &mut State, event: &Recorded) -> Result<(), String> {
    assert_eq!(event.version.get(), state.version + 1, "events of one entity have no gaps");
    let change =
        Change::read(event.event().event_type, &event.payload()).map_err(|error| error.to_string())?;
    if change.is_none() {
        tracing::warn!(
            event = event.event().event_type,
            "a later release wrote something that this one does not know"
        );
    }
    state.apply(change.as_ref(), event.recorded_at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_something_was_not_written_is_told_in_words() {
        let told = [
            NotWritten::Refused(Denied::new(Denial::Malformed, "n3 is down")),
            NotWritten::Elsewhere(Some(NodeId::new(2))),
            NotWritten::Elsewhere(None),
            NotWritten::Unavailable("the disk is full".to_owned()),
            NotWritten::Unknown("n2 did not answer".to_owned()),
        ];
        let expected = [
            "n3 is down",
            "n2 leads by now",
            "nobody leads now",
            "the disk is full",
            "n2 did not answer; perhaps it was done all the same",
        ];
        assert_eq!(told.map(|why| why.to_string()), expected);
    }
}
