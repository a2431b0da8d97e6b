//! Whether a cluster has come to rest.

use std::collections::BTreeMap;

use chronos_client::{NodeId, PlacedPartition, Placement};

/// How far the busiest node may be ahead of the idlest one.
const SPREAD_MAX: usize = 1;

/// Why it has not: what is missing or uneven over the nodes at these addresses, which are to hold everything, if anything.
pub(crate) fn unrest(placement: &Placement, up: &[String], replication: u8) -> Option<String> {
    let known = placement.nodes.iter().filter(|node| up.contains(&node.address));
    let mut leads: BTreeMap<NodeId, usize> = known.map(|node| (node.node, 0)).collect();
    // Two members with one address are a node that was wiped, and who came in its place.
    if leads.len() != up.len() {
        return Some(format!("{} of {} nodes are known", leads.len(), up.len()));
    }
    let mut holds = leads.clone();
    // An even number of voters survives no more than one fewer.
    let wanted = odd(usize::from(replication).min(up.len()));
    for placed in &placement.partitions {
        let present = placed.replicas.iter().filter(|node| holds.contains_key(node)).count();
        if present != wanted || placed.replicas.len() != wanted {
            let (id, all) = (placed.partition, placed.replicas.len());
            return Some(format!(
                "partition {id} has {present} of {wanted} replicas, {} elsewhere",
                all - present
            ));
        }
        for node in &placed.replicas {
            holds.entry(*node).and_modify(|count| *count += 1);
        }
        match placed.leader.and_then(|leader| leads.get_mut(&leader)) {
            Some(count) => *count += 1,
            None => return Some(format!("partition {} has no leader that runs", placed.partition)),
        }
    }
    uneven("replicas", &holds).or_else(|| uneven("leaders", &leads))
}

/// As many voters as so many nodes give.
pub(super) const fn odd(n: usize) -> usize {
    if n.is_multiple_of(2) { n.saturating_sub(1) } else { n }
}

fn uneven(what: &str, counts: &BTreeMap<NodeId, usize>) -> Option<String> {
    let (least, most) = (counts.values().min()?, counts.values().max()?);
    (most - least > SPREAD_MAX).then(|| {
        let each: Vec<String> = counts.iter().map(|(node, count)| format!("{node} {count}")).collect();
        format!("{what} are uneven: {}", each.join(", "))
    })
}

/// The fewest and the most partitions that a node of these addresses leads, and holds.
pub(crate) fn spread(placement: &Placement, up: &[String]) -> [(usize, usize); 2] {
    let nodes = placement.nodes.iter().filter(|node| up.contains(&node.address)).map(|node| node.node);
    let of = |counted: &dyn Fn(&PlacedPartition, NodeId) -> bool| {
        let count = |node| placement.partitions.iter().filter(|placed| counted(placed, node)).count();
        let counts: Vec<usize> = nodes.clone().map(count).collect();
        (counts.iter().copied().min().unwrap_or(0), counts.iter().copied().max().unwrap_or(0))
    };
    [of(&|placed, node| placed.leader == Some(node)), of(&|placed, node| placed.replicas.contains(&node))]
}

/// How many partitions each node leads, by its address.
pub(crate) fn leaders(placement: &Placement) -> BTreeMap<&str, usize> {
    let mut counts: BTreeMap<&str, usize> =
        placement.nodes.iter().map(|node| (node.address.as_str(), 0)).collect();
    for placed in &placement.partitions {
        let leader = placed.leader.and_then(|leader| placement.node(leader));
        if let Some(count) = leader.and_then(|node| counts.get_mut(node.address.as_str())) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use chronos_client::{PartitionId, PlacedNode};

    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::new(number).unwrap()
    }

    /// Three nodes that hold everything; partition `p` is led by node `leader(p)`.
    fn placement(leader: impl Fn(u64) -> Option<u64>) -> Placement {
        let nodes =
            (1..=3).map(|n| PlacedNode { node: node(n), address: format!("a{n}"), name: String::new() });
        let partitions = PartitionId::all().map(|partition| PlacedPartition {
            partition,
            leader: leader(partition.get().into()).map(node),
            replicas: (1..=3).map(node).collect(),
        });
        Placement {
            cluster_id: String::new(),
            epoch: 1,
            node: node(1),
            nodes: nodes.collect(),
            partitions: partitions.collect(),
        }
    }

    fn up(nodes: &[u64]) -> Vec<String> {
        nodes.iter().map(|n| format!("a{n}")).collect()
    }

    #[test]
    fn a_cluster_is_at_rest_when_leaders_and_replicas_are_spread() {
        let even = placement(|p| Some(1 + p % 3));
        assert_eq!(unrest(&even, &up(&[1, 2, 3]), 3), None);
        assert_eq!(leaders(&even).into_values().collect::<Vec<_>>(), [11, 11, 10]);
        assert_eq!(spread(&even, &up(&[1, 2, 3])), [(10, 11), (32, 32)]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = |placement: &Placement, nodes: &[u64]| unrest(placement, &up(nodes), 3).unwrap();
        let one_leads_all = placement(|_| Some(1));
        assert!(said(&one_leads_all, &[1, 2, 3]).contains("leaders are uneven: n1 32"));
        let headless = placement(|p| (p != 7).then_some(1 + p % 3));
        assert!(said(&headless, &[1, 2, 3]).contains("partition 7 has no leader"));
        let even = placement(|p| Some(1 + p % 3));
        let two_leaders_less = placement(|p| Some(if p < 20 { 1 + p % 2 } else { 3 }));
        assert!(said(&two_leaders_less, &[1, 2, 3]).contains("leaders are uneven: n1 10, n2 10, n3 12"));
        assert!(said(&even, &[1, 2]).contains("has 2 of 1 replicas, 1 elsewhere"));
        assert!(said(&even, &[1, 2, 3, 4]).contains("3 of 4 nodes"));
        let mut short = placement(|p| Some(1 + p % 3));
        short.partitions[4].replicas.pop();
        assert!(said(&short, &[1, 2, 3]).contains("partition 4 has 2 of 3"));
        let mut wiped = placement(|p| Some(1 + p % 3));
        wiped.nodes.push(PlacedNode { node: node(4), address: "a2".to_owned(), name: String::new() });
        assert!(said(&wiped, &[1, 2, 3]).contains("4 of 3 nodes"));
    }
}
