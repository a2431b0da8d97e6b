//! What is missing when a partition takes no command: who would have to be there, and who is not.

use std::fmt::Write;

use chronos_cluster::NodeId;
use chronos_domain::PartitionId;

use super::Engine;
use super::routing::list;

/// The voters of a partition, and which of them are taken to be up.
pub(super) struct Plight {
    id: PartitionId,
    voters: Vec<NodeId>,
    down: Vec<NodeId>,
    /// This node, if the log of its replica has no room.
    full: Option<NodeId>,
}

impl Engine {
    /// How a partition's group is, as far as this node knows.
    pub(super) fn plight(&self, id: PartitionId) -> Plight {
        let voters = self.cluster.voters(id);
        let down = voters.iter().copied().filter(|node| !self.cluster.is_up(*node)).collect();
        let full = self.groups.is_full(id).then(|| self.cluster.me());
        Plight { id, voters, down, full }
    }
}

impl Plight {
    /// Why there is no leader, and what to do.
    pub(super) fn leaderless(&self) -> String {
        let Self { id, voters, full, .. } = self;
        if let Some(me) = full {
            return format!(
                "partition {id} has no leader that this node, {me}, knows of, whose disk is full: free space in its data \
                 directory, or ask another of the replicas {}",
                list(voters)
            );
        }
        match self.without_majority() {
            Some(without) => format!("partition {id} has no leader: {without}; see `chronos cluster status`"),
            None if voters.is_empty() => format!(
                "partition {id} has no leader that this node knows of, nor does it know who holds it; retry, or ask another \
                 node"
            ),
            None => format!(
                "partition {id} has no leader now; one is perhaps being elected among its replicas {}: retry within \
                 seconds, on any node",
                list(voters)
            ),
        }
    }

    /// What happened to a command of the partition, and that nobody could have agreed to it, if that is so.
    pub(super) fn told(&self, what: &str) -> String {
        let mut text = format!("partition {}: {what}", self.id);
        if let Some(without) = self.without_majority() {
            write!(text, "; {without}").expect("a text takes what is written to it");
        }
        text
    }

    /// Whether enough of them are up to agree on something, as far as it is known who they are.
    pub(super) fn has_majority(&self) -> bool {
        self.without_majority().is_none()
    }

    fn without_majority(&self) -> Option<String> {
        let up = self.voters.len() - self.down.len();
        if up > self.voters.len() / 2 || self.voters.is_empty() {
            return None;
        }
        let verb = if self.down.len() == 1 { "is" } else { "are" };
        let (all, down) = (list(&self.voters), list(&self.down));
        Some(format!("no majority of its replicas {all} can be reached, {down} {verb} down"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plight(voters: &[u64], down: &[u64]) -> Plight {
        let nodes = |numbers: &[u64]| numbers.iter().copied().map(NodeId::new).collect();
        Plight { id: PartitionId::new(7).unwrap(), voters: nodes(voters), down: nodes(down), full: None }
    }

    #[test]
    fn who_is_missing_for_a_majority_is_named() {
        let text = plight(&[1, 2, 3], &[2, 3]).leaderless();
        let expected = "partition 7 has no leader: no majority of its replicas n1, n2, n3 can be reached, n2, n3 are down; \
                        see `chronos cluster status`";
        assert_eq!(text, expected);
        let text = plight(&[1, 2, 3], &[2, 3]).told("it is late");
        assert!(
            text.starts_with("partition 7: it is late; no majority of its replicas n1, n2, n3"),
            "{text}"
        );
        assert!(plight(&[1, 2], &[2]).leaderless().contains("n2 is down"), "half of two is no majority");
    }

    #[test]
    fn a_full_disk_is_named_before_an_election_is_guessed() {
        let text = Plight { full: Some(NodeId::new(3)), ..plight(&[1, 2, 3], &[]) }.leaderless();
        assert!(text.contains("this node, n3, knows of, whose disk is full: free space"), "{text}");
    }

    #[test]
    fn an_election_is_no_loss_of_a_majority() {
        let text = plight(&[1, 2, 3], &[3]).leaderless();
        assert!(text.starts_with("partition 7 has no leader now; one is perhaps being elected"), "{text}");
        assert_eq!(plight(&[1, 2, 3], &[3]).told("it is late"), "partition 7: it is late");
        assert!(plight(&[], &[]).leaderless().contains("nor does it know who holds it"));
    }
}
