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
use super::sighting::{Double, Sighting};
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
mod tests {
    use chronos_env::sim::World;

    use super::*;

    fn identity(node: u64, incarnation: u64, process: u64) -> Identity {
        Identity { cluster: 5, node: NodeId::new(node), incarnation, process, machine: 0 }
    }

    fn doorman() -> Arc<Doorman> {
        at(&World::new(1))
    }

    fn at(world: &World) -> Arc<Doorman> {
        Arc::new(Doorman::new(identity(1, 10, 100), 2..=4, "ours".into(), world.env().clock))
    }

    fn hello(from: Identity) -> Hello {
        let (earlier, release) = (Vec::new(), "theirs".into());
        Hello { from, earlier, to: NodeId::new(1), versions: 1..=3, release }
    }

    fn why(judged: Result<(Pass, Welcome), Turned>) -> Why {
        judged.expect_err("a caller was let in").why
    }

    #[test]
    fn a_fitting_caller_is_welcome_in_the_highest_common_version() {
        let (pass, welcome) = doorman().greet(&hello(identity(2, 1, 7)), Purpose::Link).unwrap();
        assert_eq!((pass.node, pass.incarnation), (NodeId::new(2), 1));
        assert_eq!(welcome.version, 3);
        assert_eq!(welcome.by, identity(1, 10, 100));
    }

    #[test]
    fn who_does_not_fit_is_turned_away_with_the_reason() {
        let doorman = doorman();
        let fitting = hello(identity(2, 1, 7));
        let cases = [
            (Why::Cluster, Hello { from: Identity { cluster: 6, ..fitting.from }, ..fitting.clone() }),
            (Why::NotMe, Hello { to: NodeId::new(3), ..fitting.clone() }),
            (Why::Ourselves, hello(identity(1, 10, 100))),
            (Why::Duplicate, hello(identity(1, 11, 101))),
            (Why::Version, Hello { versions: 5..=9, ..fitting.clone() }),
            (Why::Version, Hello { versions: 0..=1, ..fitting }),
        ];
        for (wanted, hello) in cases {
            assert_eq!(why(doorman.greet(&hello, Purpose::Link)), wanted, "{hello:?}");
        }
    }

    #[test]
    fn who_was_removed_is_turned_away_in_every_incarnation_and_its_link_is_over() {
        let doorman = doorman();
        let greet = |node, incarnation, purpose| {
            doorman.greet(&hello(identity(node, incarnation, 7)), purpose).map_err(|turned| turned.why)
        };
        let (link, _) = greet(2, 1, Purpose::Link).unwrap();
        assert!(doorman.ban(NodeId::new(2)));
        assert!(futures::FutureExt::now_or_never(link.superseded()).is_some(), "its link goes on");
        drop(link);
        for (incarnation, purpose) in [(1, Purpose::Link), (2, Purpose::Link), (2, Purpose::Bulk)] {
            assert_eq!(greet(2, incarnation, purpose).map(drop), Err(Why::Removed));
        }
        let answer =
            Welcome { by: identity(2, 3, 8), earlier: Vec::new(), version: 3, release: String::new() };
        assert_eq!(doorman.believe(&answer, NodeId::new(2)).unwrap_err().why, Why::Removed);
        assert!(greet(3, 1, Purpose::Link).is_ok(), "somebody else is turned away, too");
        assert!(!doorman.ban(NodeId::new(2)), "it is news twice");
    }

    #[test]
    fn a_directory_that_was_restored_is_never_taken_for_the_node_it_came_from() {
        let doorman = doorman();
        doorman.know_machine(NodeId::new(2), 77);
        let of = |machine| Identity { machine, ..identity(2, 9, 7) };
        let greet = |machine| doorman.greet(&hello(of(machine)), Purpose::Link).map(drop);
        let turned = greet(78).unwrap_err();
        assert_eq!(turned.why, Why::Outdated, "a later incarnation is no proof");
        assert!(turned.text.contains("restored from a backup"), "{}", turned.text);
        let answer = |machine| {
            let (earlier, release) = Default::default();
            Welcome { by: of(machine), earlier, version: 3, release }
        };
        assert_eq!(doorman.believe(&answer(78), NodeId::new(2)).map(drop).unwrap_err().why, Why::Outdated);
        assert_eq!(greet(77), Ok(()));
        doorman.know_machine(NodeId::new(2), 0);
        assert!(greet(78).is_err(), "nothing said is nothing new");
    }

    #[test]
    fn who_wants_to_join_must_mean_this_cluster_and_speak_its_protocol() {
        let judge = |cluster, versions| doorman().may_join(cluster, &versions).map_err(|denied| denied.why);
        assert_eq!([judge(None, 1..=3), judge(Some(5), 4..=9)], [Ok(()), Ok(())]);
        assert_eq!(judge(Some(6), 1..=3), Err(Denial::Cluster));
        assert_eq!(judge(None, 5..=9), Err(Denial::Version));
    }

    #[test]
    fn a_second_process_waits_for_the_end_of_the_first_and_must_be_newer() {
        let doorman = doorman();
        let greet =
            |incarnation, process| doorman.greet(&hello(identity(2, incarnation, process)), Purpose::Link);
        let first = greet(5, 7).unwrap();
        assert_eq!(why(greet(5, 8)), Why::Duplicate);
        assert_eq!(why(greet(4, 8)), Why::Outdated);
        assert_eq!(why(greet(6, 8)), Why::Duplicate);
        drop(first);
        assert_eq!(why(greet(5, 8)), Why::Duplicate);
        let second = greet(6, 8).unwrap();
        assert_eq!(why(greet(5, 7)), Why::Outdated);
        drop(second);
        assert_eq!(why(greet(5, 7)), Why::Outdated);
    }

    /// The greeting of a directory with these starts, the latest last.
    fn of(line: &[u64]) -> Hello {
        let (process, earlier) = line.split_last().unwrap();
        let from = identity(2, line.len() as u64, *process);
        Hello { earlier: earlier.iter().rev().copied().collect(), ..hello(from) }
    }

    #[test]
    fn a_copy_is_never_let_in_once_both_were_alive_also_when_the_original_is_gone() {
        let world = World::new(1);
        world.run(async {
            let (doorman, clock) = (at(&world), world.env().clock);
            let greet = |line: &[u64]| doorman.greet(&of(line), Purpose::Link);
            let (original, _) = greet(&[1, 2]).unwrap();
            assert_eq!(why(greet(&[1, 2, 30])), Why::Duplicate);
            clock.sleep(ALIVE_AFTER * 2).await;
            assert_eq!(why(greet(&[1, 2, 30])), Why::Duplicate, "nothing was heard of the original since");
            original.answered(clock.monotonic());
            let turned = greet(&[1, 2, 30]).unwrap_err();
            assert_eq!((turned.why, turned.of), (Why::Copy, 2));
            assert!(turned.text.contains("incarnation 2, which it goes on from"), "{turned}");
            drop(original);
            let seen = doorman.watch_seen().borrow().clone();
            let (clock, me) = (clock.clone(), identity(1, 11, 101));
            let again = Doorman::new(me, 2..=4, String::new(), clock).remembering(vec![100], seen);
            for doorman in [doorman, Arc::new(again)] {
                let greet = |line: &[u64]| doorman.greet(&of(line), Purpose::Link);
                assert_eq!(why(greet(&[1, 2, 30, 31])), Why::Copy, "it takes over");
                assert_eq!(why(greet(&[1, 2, 30, 31, 32])), Why::Copy, "it takes over");
                assert!(greet(&[1, 2, 3]).is_ok(), "the original is kept out");
                assert_eq!(why(greet(&[1, 2, 30, 31, 32])), Why::Copy);
                assert!(greet(&[1, 2, 3, 4]).is_ok(), "the original is kept out");
            }
        });
    }

    #[test]
    fn who_does_not_go_on_from_the_latest_is_turned_away_for_good_and_told_no_more_than_is_known() {
        let doorman = doorman();
        let greet = |line: &[u64]| doorman.greet(&of(line), Purpose::Link);
        let answer = |line: &[u64]| {
            let Hello { from: by, earlier, .. } = of(line);
            doorman.believe(&Welcome { by, earlier, version: 3, release: String::new() }, NodeId::new(2))
        };
        // The copy came first, or the original did: nobody here knows.
        assert!(greet(&[1, 2, 30]).is_ok());
        assert_eq!(why(greet(&[1, 2, 3])), Why::Duplicate);
        for line in [&[1, 2, 3, 4][..], &[1, 2, 3, 4, 5]] {
            let turned = greet(line).unwrap_err();
            assert_eq!((turned.why, turned.of), (Why::Outdated, 0));
            let both = ["it is a copy or was set back", "or the other directory is a copy", "replace n2"];
            assert!(both.iter().all(|said| turned.text.contains(said)), "{turned}");
            assert_eq!(answer(line).unwrap_err().why, Why::Outdated);
        }
        assert!(answer(&[1, 2, 30, 31]).is_ok());
    }

    #[test]
    fn the_same_process_may_come_again_and_its_earlier_link_is_over() {
        let doorman = doorman();
        let greet = |purpose| doorman.greet(&hello(identity(2, 5, 7)), purpose).unwrap().0;
        let (first, bulk) = (greet(Purpose::Link), greet(Purpose::Bulk));
        let is_over = |pass: &Pass| futures::FutureExt::now_or_never(pass.superseded()).is_some();
        assert!(!is_over(&first));
        let second = greet(Purpose::Link);
        assert!(is_over(&first));
        drop(first);
        assert!(!is_over(&second), "the end of an earlier link ended the later one");
        assert!(!is_over(&bulk));
    }

    #[test]
    fn the_node_that_answers_must_be_the_one_that_was_called() {
        let doorman = doorman();
        let welcome = |by, version| {
            let (earlier, release) = Default::default();
            Welcome { by, earlier, version, release }
        };
        let judge =
            |welcome| doorman.believe(&welcome, NodeId::new(2)).map(drop).map_err(|turned| turned.why);
        assert_eq!(judge(welcome(identity(2, 1, 7), 3)), Ok(()));
        assert_eq!(judge(welcome(identity(3, 1, 7), 3)), Err(Why::NotMe));
        assert_eq!(judge(welcome(identity(2, 1, 7), 9)), Err(Why::Version));
        assert_eq!(judge(welcome(Identity { cluster: 6, ..identity(2, 1, 7) }, 3)), Err(Why::Cluster));
        assert_eq!(judge(welcome(identity(2, 0, 7), 3)), Err(Why::Outdated));
    }
}
