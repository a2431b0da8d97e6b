//! Three nodes whose files take their time, and a partition that lives on some of them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chronos_cluster::peer::Limits;
use chronos_domain::PartitionId;
use chronos_env::sim::World;
use chronos_store::{Manifest, Partition};

use crate::machine::{self, Kind, LONG, agree};
pub(crate) use crate::machine::{Node, n, until};

pub(crate) fn id() -> PartitionId {
    PartitionId::new(3).unwrap()
}

impl Node {
    /// Starts a process on what the machine's disk holds; it is the `life`-th one.
    pub(crate) async fn start(world: &World, number: u64, life: u64, bytes_per_second: u64) -> Node {
        let limits = Limits {
            bulk_bytes_per_second: bytes_per_second,
            bulk_chunk_bytes: 2 << 10,
            bulk_patience: Duration::from_secs(4),
            ..Limits::default()
        };
        Node::begin(world, number, life, Kind { lanes: 1, limits, is_unharmed: true }).await
    }

    pub(crate) fn partition(&self) -> Partition {
        self.groups.partition(id()).unwrap()
    }

    /// Appends one event, trying until it is taken.
    pub(crate) async fn append(&self, number: u64) {
        let deadline = self.env.clock.monotonic() + LONG;
        while let Err(error) = self.try_append(id(), number).await {
            assert!(self.env.clock.monotonic() < deadline, "event {number} is never taken: {error}");
            self.env.clock.sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.partition().shelf().manifest)
    }

    pub(crate) fn first_in_log(&self) -> u64 {
        self.wal.log(chronos_wal::LogId::new(id().get())).state().purged.map_or(0, |mark| mark.index)
    }
}

/// The first node, with so many events in parts and a log that begins late.
pub(crate) async fn founder(world: &World, events: u64, bytes_per_second: u64) -> Node {
    for number in 1..=3 {
        world.host(&format!("n{number}"));
    }
    let first = Node::start(world, 1, 1, bytes_per_second).await;
    append(&first, 0..events).await;
    let clock = first.env.clock.clone();
    let is_purged = || first.first_in_log() + 8 >= first.manifest().applied.get();
    until(&clock, "the log is purged", is_purged).await;
    first
}

/// Appends these events, and waits until parts have taken in what they can.
pub(crate) async fn append(leader: &Node, events: Range<u64>) {
    for number in events {
        leader.append(number).await;
    }
    let clock = leader.env.clock.clone();
    let is_compacted = || leader.partition().debt().sealed_generations == 0;
    until(&clock, "everything is compacted", is_compacted).await;
}

/// Waits until every node has everything, and compares them.
pub(crate) async fn converge(nodes: &[&Node], events: u64) {
    agree(nodes, &[id()], events).await;
}

/// Makes these the voters of the partition; who is new learns first.
pub(crate) async fn make_members(leader: &Node, numbers: &[u64]) {
    machine::make_members(leader, id(), numbers).await;
}

/// Bytes of the files of all parts.
pub(crate) fn part_bytes(node: &Node) -> u64 {
    node.manifest().bytes()
}

/// What an offline check finds on a machine on which nothing runs. The directory has no identity, as in all these worlds.
pub(crate) fn looked_at(world: &World, number: u64) -> chronos_store::Report {
    let env = world.host(&format!("n{number}")).env();
    let mut report = chronos_store::verify(&env.disk, Path::new("/data")).unwrap();
    report.damages.retain(|damage| !damage.file.ends_with("IDENTITY"));
    report
}
