//! Three nodes whose disks rot, and some partitions that live on all of them.

use std::ops::Range;
use std::time::Duration;

use chronos_cluster::peer::Limits;
use chronos_domain::PartitionId;
use chronos_env::sim::World;

use crate::machine::{Kind, agree, make_members};
pub(crate) use crate::machine::{LONG, Node, n, until};

/// The partitions that have events.
pub(crate) fn used() -> [PartitionId; 3] {
    [1, 2, 5].map(|id| PartitionId::new(id).unwrap())
}

impl Node {
    /// Starts a process on what the machine's disk holds; it is the `life`-th one.
    pub(crate) async fn start(world: &World, number: u64, life: u64) -> Node {
        let kind = Kind { lanes: 2, limits: Limits::default(), is_unharmed: false };
        Node::begin(world, number, life, kind).await
    }
}

/// Three nodes that hold the used partitions together, with so many events in each.
pub(crate) async fn three(world: &World, events: u64) -> [Node; 3] {
    (1..=3).for_each(|number| drop(world.host(&format!("n{number}"))));
    let first = Node::start(world, 1, 1).await;
    let (second, third) = (Node::start(world, 2, 1).await, Node::start(world, 3, 1).await);
    for id in used() {
        make_members(&first, id, &[1, 2, 3]).await;
    }
    let nodes = [first, second, third];
    append(&nodes, 0..events).await;
    converge(&nodes, events).await;
    nodes
}

/// Has a node read everything it has of the used partitions, and repair what is damaged.
pub(crate) async fn examine(node: &Node) {
    for id in used() {
        let deadline = node.env.clock.monotonic() + LONG;
        node.groups.repair(id, deadline).await.unwrap();
    }
}

/// Appends these events to every used partition, each as often as it takes.
pub(crate) async fn append(nodes: &[Node], events: Range<u64>) {
    for (number, id) in events.flat_map(|number| used().map(|id| (number, id))) {
        append_one(nodes, id, number).await;
    }
}

/// Appends one event to whoever leads.
pub(crate) async fn append_one(nodes: &[Node], id: PartitionId, number: u64) {
    let clock = &nodes[0].env.clock;
    let appending = clock.timeout(LONG, async {
        loop {
            for node in nodes {
                if node.groups.leader(id) == Some(n(node.number)) && node.try_append(id, number).await.is_ok()
                {
                    return;
                }
            }
            clock.sleep(Duration::from_millis(50)).await;
        }
    });
    appending.await.unwrap_or_else(|_| panic!("event {number} of partition {id} is never taken"));
}

/// Waits until every node serves everything, and compares them.
pub(crate) async fn converge(nodes: &[Node], events: u64) {
    agree(&nodes.iter().collect::<Vec<_>>(), &used(), events).await;
}

/// Seeds of a campaign: `CHRONOS_REPAIR_ROUNDS` of them, from `CHRONOS_REPAIR_FROM` on.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let from: u64 = number("CHRONOS_REPAIR_FROM").unwrap_or(0);
    from..from + number("CHRONOS_REPAIR_ROUNDS").unwrap_or(usual)
}
