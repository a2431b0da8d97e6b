//! Who is let in, and who is believed.
//!
//! Invariants: at any moment at most one process of a node has a [`Pass`]; the incarnations let in of a node never
//! decrease; no pass is given to another cluster, to ourselves, to who was removed, or without a common version.
//!
//! **Doubles.** Of two processes of one node the later one is the node, unless its directory is a copy, or was set back to an
//! earlier state. What is known of their directories decides that, see [`known`](super::known); this is what follows from it.
//! Who does not go on from the process that was let in last is turned away for good; so is who was found to be on a copy, or
//! goes on from one who was, however often it is started and also when the original is gone. That is written down and outlives
//! our own restarts.
//!
//! **What it may do.** Who is turned away for good ends, and is turned away again the next time. Only one verdict is so certain
//! that a directory may be marked by it and never be started again: that it goes on from a process which was alive beside it
//! (`Why::Copy`). Who gives it names that process, and who is told looks whether it is in its own line: else it was not meant,
//! and means no more than any other no. All other verdicts may be about the right one of two: a node that was cut off from the
//! original lets its copy in when that comes, and can afterwards only say that the two have parted. It says so, turns the
//! original away, which knows nothing of what the copy has promised meanwhile, and leaves the rest to people. A copy that others
//! let in before it came here is a copy all the same: what it promised them is on its disk, but a node that two processes were at
//! once has voted twice, and nothing that is started in its name makes that good. It has to be replaced.
//!
//! **What it does not see.** A copy that first comes when its original is dead already, or to a node that is not connected to
//! the original at that moment, goes on from it as far as can be told there. So does a directory that was set back to a state
//! of its latest life.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chronos_domain::EventId;
use chronos_env::Clock;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::hello::{Hello, Identity, Turned, Welcome, Why};
use super::known::{self, ALIVE_AFTER, Known, Life, Verdict};
use super::registrar::{Denial, Denied};
use super::{Double, Sighting};
use crate::NodeId;

/// Guards one node's door, for those who come and for those we visit.
pub(super) struct Doorman {
    me: Identity,
    /// The processes of our directory's starts before this one, the latest first, as far as they are known.
    earlier: Vec<u64>,
    versions: RangeInclusive<u32>,
    release: String,
    clock: Clock,
    known: Mutex<BTreeMap<NodeId, Known>>,
    /// What of it is to be kept.
    seen: watch::Sender<BTreeMap<NodeId, Sighting>>,
    /// Nodes that were removed from the cluster.
    removed: watch::Sender<BTreeSet<NodeId>>,
    /// The data directory of each node, as the cluster admitted it.
    machines: Mutex<BTreeMap<NodeId, u128>>,
    is_closed: AtomicBool,
}

/// Held while talking to another node's process: as long as it is held, that process counts as alive.
pub(super) struct Pass {
    doorman: Arc<Doorman>,
    pub(super) node: NodeId,
    pub(super) incarnation: u64,
    superseded: Arc<Notify>,
    life: Arc<Life>,
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pass of {} in incarnation {}", self.node, self.incarnation)
    }
}

impl Pass {
    /// Whether its holder may still ask for something.
    pub(super) fn is_good(&self) -> bool {
        !self.doorman.is_closed.load(Ordering::SeqCst)
    }

    /// Its holder has answered something that was asked of it at `asked`, or after that.
    pub(super) fn answered(&self, asked: Duration) {
        if self.life.answered(asked) {
            self.doorman.look_again(self.node);
        }
    }

    /// Waits until the same process comes again with another link: then this one is over. Cancel-safe.
    pub(super) async fn superseded(&self) {
        self.superseded.notified().await;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut known = self.doorman.known.lock();
        if let Some(known) = known.get_mut(&self.node)
            && known.incarnation == self.incarnation
        {
            known.passes -= 1;
            known.link.take_if(|link| Arc::ptr_eq(link, &self.superseded));
        }
    }
}

impl Doorman {
    pub(super) fn new(me: Identity, versions: RangeInclusive<u32>, release: String, clock: Clock) -> Doorman {
        let (earlier, known, seen, removed, machines) = Default::default();
        let is_closed = AtomicBool::new(false);
        Doorman { me, earlier, versions, release, clock, known, seen, removed, machines, is_closed }
    }

    /// The same, for a directory that was started before, and that kept what was seen of others.
    pub(super) fn remembering(self, earlier: Vec<u64>, seen: BTreeMap<NodeId, Sighting>) -> Doorman {
        let known = seen.iter().map(|(node, sighting)| (*node, Known::seen(sighting.clone()))).collect();
        Doorman { earlier, known: Mutex::new(known), seen: watch::Sender::new(seen), ..self }
    }

    /// Follows what was seen of others and is to be kept.
    pub(super) fn watch_seen(&self) -> watch::Receiver<BTreeMap<NodeId, Sighting>> {
        self.seen.subscribe()
    }

    /// Whether `process` was a start of our own directory before this one.
    pub(super) fn goes_on_from(&self, process: u64) -> bool {
        self.earlier.contains(&process)
    }

    /// Perhaps somebody is a double of a node that has just answered.
    fn look_again(&self, node: NodeId) {
        if let Some(known) = self.known.lock().get_mut(&node) {
            for Double { process, of } in known.convict() {
                tracing::warn!(
                    %node,
                    process = %format_args!("{process:016x}"),
                    of = %format_args!("{of:016x}"),
                    "a copy of a node's directory was started while the node went on; it is never let in"
                );
            }
            self.keep(node, known);
        }
    }

    /// Has kept what is known of a node by now.
    fn keep(&self, node: NodeId, known: &Known) {
        let now = known.sighting();
        self.seen.send_if_modified(|seen| {
            let is_news = seen.get(&node) != Some(&now);
            if is_news {
                seen.insert(node, now);
            }
            is_news
        });
    }

    /// From now on a node is turned away, whatever its process; the link it has is over. False if it was so before.
    pub(super) fn ban(&self, node: NodeId) -> bool {
        let is_new = self.removed.send_if_modified(|removed| removed.insert(node));
        // Who greets at this moment has looked at the list before, and is found here.
        if let Some(link) = self.known.lock().get_mut(&node).and_then(|known| known.link.take()) {
            link.notify_one();
        }
        is_new
    }

    /// Whether a node is turned away for good.
    pub(super) fn is_banned(&self, node: NodeId) -> bool {
        self.removed.borrow().contains(&node)
    }

    /// Follows who is turned away for good.
    pub(super) fn watch_banned(&self) -> watch::Receiver<BTreeSet<NodeId>> {
        self.removed.subscribe()
    }

    /// A node is that machine, and no other one. A node that was admitted keeps its machine for ever.
    pub(super) fn know_machine(&self, node: NodeId, machine: u128) {
        if machine != 0 {
            self.machines.lock().insert(node, machine);
        }
    }

    /// Whether `who` has the data directory that was admitted as that node.
    fn is_that_machine(&self, who: &Identity) -> Result<(), Turned> {
        match self.machines.lock().get(&who.node) {
            Some(known) if who.machine != 0 && *known != who.machine => {
                let text = format!(
                    "{} is machine {known:032x}, and this is machine {:032x}; a directory that was restored from a backup, or \
                     founded anew, is a cluster of its own and never a node of this one: to join, clear it",
                    who.node, who.machine
                );
                Err(self.turned(Why::Outdated, text))
            }
            _ => Ok(()),
        }
    }

    /// From now on nothing is done for anybody.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// Our greeting to `to`.
    pub(super) fn hello(&self, to: NodeId) -> Hello {
        let (versions, release) = (self.versions.clone(), self.release.clone());
        Hello { from: self.me, earlier: self.earlier.clone(), to, versions, release }
    }

    /// Judges a caller's greeting. A caller with a new link ends its earlier one.
    pub(super) fn greet(
        self: &Arc<Self>,
        hello: &Hello,
        purpose: Purpose,
    ) -> Result<(Pass, Welcome), Turned> {
        self.same_cluster(hello.from.cluster)?;
        self.is_for_us(hello)?;
        let version = self.common_version(&hello.versions)?;
        let pass = self.admit(&hello.from, &hello.earlier, purpose)?;
        let (earlier, release) = (self.earlier.clone(), self.release.clone());
        Ok((pass, Welcome { by: self.me, earlier, version, release }))
    }

    /// Judges the answer of the node we called, which should be `to`.
    pub(super) fn believe(self: &Arc<Self>, welcome: &Welcome, to: NodeId) -> Result<Pass, Turned> {
        self.same_cluster(welcome.by.cluster)?;
        if welcome.by.node != to {
            let text = format!("{to} was called and {} answered; {}", welcome.by.node, whose_address(to));
            return Err(self.turned(Why::NotMe, text));
        }
        self.common_version(&(welcome.version..=welcome.version))?;
        self.admit(&welcome.by, &welcome.earlier, Purpose::Outgoing)
    }

    /// Whose nodes these are.
    pub(super) fn cluster(&self) -> u128 {
        self.me.cluster
    }

    /// Judges a machine that wants to become a node of `cluster`, or of whatever cluster this is.
    pub(super) fn may_join(
        &self,
        cluster: Option<u128>,
        versions: &RangeInclusive<u32>,
    ) -> Result<(), Denied> {
        if let Some(wanted) = cluster.filter(|wanted| *wanted != self.me.cluster) {
            let text = format!(
                "it belongs to cluster {}, and the one to join is {} (--cluster-id); give the address of a node of that one",
                uuid(self.me.cluster),
                uuid(wanted)
            );
            return Err(Denied::new(Denial::Cluster, text));
        }
        self.common_version(versions).map(drop).map_err(|turned| Denied::new(Denial::Version, turned.text))
    }

    /// A no of ours.
    pub(super) fn turned(&self, why: Why, text: String) -> Turned {
        Turned { why, by: self.me.node, text, of: 0 }
    }

    fn same_cluster(&self, cluster: u128) -> Result<(), Turned> {
        if cluster == self.me.cluster {
            return Ok(());
        }
        let text = format!(
            "{} here belongs to cluster {}, and the other side to cluster {}; correct the address under which one of them \
             knows the other",
            self.me.node,
            uuid(self.me.cluster),
            uuid(cluster)
        );
        Err(self.turned(Why::Cluster, text))
    }

    fn is_for_us(&self, hello: &Hello) -> Result<(), Turned> {
        if hello.from.node == self.me.node {
            return Err(self.our_own_id(&hello.from));
        }
        if hello.to == self.me.node {
            return Ok(());
        }
        let text =
            format!("{} was called and this is {}; {}", hello.to, self.me.node, whose_address(hello.to));
        Err(self.turned(Why::NotMe, text))
    }

    fn our_own_id(&self, other: &Identity) -> Turned {
        if other.process == self.me.process {
            let text = format!("{} called itself; correct the addresses of its peers", self.me.node);
            return self.turned(Why::Ourselves, text);
        }
        let text = format!(
            "this is {} already, in incarnation {}, and the caller claims to be it, in incarnation {}; a node id is never \
             used twice",
            self.me.node, self.me.incarnation, other.incarnation
        );
        self.turned(Why::Duplicate, text)
    }

    fn common_version(&self, theirs: &RangeInclusive<u32>) -> Result<u32, Turned> {
        let highest = *self.versions.end().min(theirs.end());
        if highest >= *self.versions.start().max(theirs.start()) {
            return Ok(highest);
        }
        let text = format!(
            "{} here speaks versions {} to {} of the protocol between nodes, and the other side {} to {}; upgrade a cluster \
             one release at a time",
            self.me.node,
            self.versions.start(),
            self.versions.end(),
            theirs.start(),
            theirs.end()
        );
        Err(self.turned(Why::Version, text))
    }

    fn admit(self: &Arc<Self>, who: &Identity, earlier: &[u64], purpose: Purpose) -> Result<Pass, Turned> {
        self.is_that_machine(who)?;
        let mut all = self.known.lock();
        if self.is_banned(who.node) {
            let text = format!(
                "{} was removed from this cluster, and a removed node never comes back; to use its machine again, clear \
                 the data directory and have it join as a new node",
                who.node
            );
            return Err(self.turned(Why::Removed, text));
        }
        let known = all.entry(who.node).or_insert_with(|| Known::new(who));
        let verdict = known.judge(who, earlier, self.clock.monotonic());
        if verdict == Verdict::Fits && known.process != who.process {
            known.succeeded(who);
        }
        self.keep(who.node, known);
        if let Some(turned) = self.refusal(verdict, who, earlier, known) {
            return Err(turned);
        }
        known.passes += 1;
        let superseded = Arc::new(Notify::new());
        if let Purpose::Link = purpose
            && let Some(earlier) = known.link.replace(Arc::clone(&superseded))
        {
            chronos_env::sometimes!("peer.link_superseded");
            earlier.notify_one();
        }
        let (node, incarnation) = (who.node, who.incarnation);
        let life = Arc::clone(&known.life);
        Ok(Pass { doorman: Arc::clone(self), node, incarnation, superseded, life })
    }

    /// What somebody is told who may not be the node that it says it is.
    fn refusal(&self, verdict: Verdict, who: &Identity, earlier: &[u64], known: &Known) -> Option<Turned> {
        let Identity { node, incarnation, .. } = *who;
        let latest = known.incarnation;
        let (why, text) = match verdict {
            Verdict::Fits => return None,
            Verdict::Earlier => (
                Why::Outdated,
                format!(
                    "{node} comes in incarnation {incarnation}, but {latest} was seen: this directory is an old copy or was \
                     set back, or the other one is a copy that took its place; before you remove either, see which of them \
                     has everything, and join as a new node with an empty one"
                ),
            ),
            Verdict::Twin => (
                Why::Duplicate,
                format!(
                    "{node} has been seen in incarnation {incarnation}, as another process: one of the two directories is a \
                     copy, or this one was set back to an earlier state; end the process on the copy and remove that, or, if \
                     this is all there is, have an empty directory join and give {node} up (chronos cluster replace {node})"
                ),
            ),
            Verdict::Parted => (
                Why::Outdated,
                format!(
                    "{node} comes in incarnation {incarnation}, but {latest} was another process than the one that this \
                     directory goes on from: it is a copy or was set back to an earlier state, or the other directory is a \
                     copy that took its place; only the one that was {node} in incarnation {latest} is let in: start that, \
                     or, if it is gone for good, have an empty directory join and give {node} up (chronos cluster replace \
                     {node})"
                ),
            ),
            Verdict::Connected => (
                Why::Duplicate,
                format!(
                    "{node} comes in incarnation {incarnation} while {latest} is still connected: if that one is dead, this \
                     shows within {ALIVE_AFTER:?}, and if it is alive, one of their directories is a copy"
                ),
            ),
            Verdict::Rival => (
                Why::Outdated,
                format!(
                    "{node} came in incarnation {incarnation}, or in one before that, while another process of it was alive \
                     and went on: one of the two directories is a copy, and this one knows nothing of what the other has \
                     promised since; remove it, and start the other one, or join as a new node with an empty directory"
                ),
            ),
            Verdict::Copy { of } => return Some(self.copy(who, earlier, of)),
        };
        Some(self.turned(why, text))
    }

    /// What a copy is told.
    fn copy(&self, who: &Identity, earlier: &[u64], of: u64) -> Turned {
        let Identity { node, incarnation, .. } = *who;
        let from = known::place(incarnation, earlier, of);
        let from = from.map_or_else(|| "an earlier one".to_owned(), |from| from.to_string());
        let text = format!(
            "{node} comes in incarnation {incarnation}, from a directory that was started while the process of incarnation \
             {from}, which it goes on from, was alive elsewhere and went on: this directory is a copy, and knows nothing of \
             what the original has promised since; remove it, and start the original again, or join as a new node with an \
             empty directory"
        );
        Turned { of, ..self.turned(Why::Copy, text) }
    }
}

/// What to do when somebody else answers where a node was.
fn whose_address(node: NodeId) -> String {
    format!(
        "if the address was given to another node because {node} is gone for good, replace it (chronos cluster replace {node}); \
         otherwise start {node} again with the address at which others reach it"
    )
}

/// A UUID as people know it; it has the form of an event id.
fn uuid(bits: u128) -> EventId {
    EventId::from_u128(bits)
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Requests from the other node; one for each process.
    Link,
    /// A file for the other node.
    Bulk,
    /// We called.
    Outgoing,
}

#[cfg(test)]
mod tests;
