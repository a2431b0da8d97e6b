//! What has changed between two looks at a cluster, in the order in which a person would tell it.

use chronos_domain::PartitionId;
use chronos_proto::cluster::{Change, ChangeKind, Node, NodeId, NodeState, Partition, Status};

/// All changes. Two looks that differ only in how far replicas have come give none.
pub(super) fn changes(before: &Status, after: &Status) -> Vec<Change> {
    let mut seen = Seen { after, changes: Vec::new() };
    seen.settings(before);
    for node in &after.nodes {
        match before.node(node.node) {
            Some(was) => seen.node(was, node),
            None => seen.say(
                ChangeKind::NodeJoined,
                Some(node.node),
                None,
                format!("{} belongs to the cluster", node.node),
            ),
        }
    }
    for was in before.nodes.iter().filter(|was| after.node(was.node).is_none()) {
        seen.say(ChangeKind::NodeLeft, Some(was.node), None, format!("{} is gone for ever", was.node));
    }
    for partition in &after.partitions {
        if let Some(was) = before.partition(partition.id) {
            seen.partition(was, partition);
        }
    }
    seen.changes
}

struct Seen<'a> {
    after: &'a Status,
    changes: Vec<Change>,
}

impl Seen<'_> {
    fn say(&mut self, kind: ChangeKind, node: Option<NodeId>, partition: Option<PartitionId>, text: String) {
        let (at, epoch) = (self.after.at, self.after.epoch);
        self.changes.push(Change { at, epoch, kind, node, partition, text });
    }

    fn settings(&mut self, before: &Status) {
        let after = self.after;
        if before.is_paused != after.is_paused {
            let text = if after.is_paused { "placement is paused" } else { "placement goes on" };
            self.say(ChangeKind::Settings, None, None, text.to_owned());
        }
        if before.replication != after.replication {
            let text = format!("replication is {} now, it was {}", after.replication, before.replication);
            self.say(ChangeKind::Settings, None, None, text);
        }
    }

    fn node(&mut self, was: &Node, is: &Node) {
        let id = is.node;
        match (was.is_up, is.is_up) {
            (true, false) => {
                self.say(ChangeKind::NodeDown, Some(id), None, format!("{id} is not heard of any more"));
            }
            (false, true) => self.say(ChangeKind::NodeUp, Some(id), None, format!("{id} is heard of")),
            _ => {}
        }
        if was.incarnation != is.incarnation && was.incarnation != 0 {
            let text = format!("{id} was started again, for the {}. time", is.incarnation);
            self.say(ChangeKind::NodeRestarted, Some(id), None, text);
        }
        if was.state != is.state {
            let text = match is.state {
                NodeState::Active => format!("{id} takes its share"),
                NodeState::Draining => format!("{id} is being drained"),
                NodeState::Removed => format!("{id} is removed"),
            };
            self.say(ChangeKind::NodeState, Some(id), None, text);
        }
    }

    fn partition(&mut self, was: &Partition, is: &Partition) {
        let name = name(is.id);
        if was.leader != is.leader {
            let text = match (was.leader, is.leader) {
                (_, None) => format!("{name} has no leader"),
                (None, Some(now)) => format!("{name} is led by {now}"),
                (Some(then), Some(now)) => format!("{name} is led by {now}, it was by {then}"),
            };
            self.say(ChangeKind::Leader, is.leader, Some(is.id), text);
        }
        if was.voters != is.voters || was.learners != is.learners {
            let text = format!("{name} has the members {}, it had {}", members(is), members(was));
            self.say(ChangeKind::Members, None, Some(is.id), text);
        }
        for replica in &is.replicas {
            let before = was.replica(replica.node).map(|replica| &replica.health);
            if before.is_some_and(|before| *before != replica.health) {
                let why = replica.health.why().map_or_else(String::new, |why| format!(": {why}"));
                let text = format!("{name} is {} on {}{why}", replica.health.as_str(), replica.node);
                self.say(ChangeKind::Health, Some(replica.node), Some(is.id), text);
            }
        }
    }
}

fn name(partition: PartitionId) -> String {
    if partition == PartitionId::SYSTEM {
        return "the system partition".to_owned();
    }
    format!("partition {partition}")
}

/// Voters; learners with a plus.
fn members(of: &Partition) -> String {
    let voters = of.voters.iter().map(NodeId::to_string);
    let learners = of.learners.iter().map(|learner| format!("+{learner}"));
    voters.chain(learners).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use chronos_domain::{Position, Timestamp};
    use chronos_proto::cluster::Health;

    use super::super::sample::cluster;
    use super::*;

    fn told(before: &Status, after: &Status) -> Vec<(ChangeKind, String)> {
        changes(before, after).into_iter().map(|change| (change.kind, change.text)).collect()
    }

    #[test]
    fn progress_is_no_change() {
        let before = cluster(3);
        let mut after = before.clone();
        after.at = Timestamp::new(9);
        after.partitions[7].replicas[1].marks.applied = Position::new(100);
        after.nodes[1].heard = None;
        assert_eq!(told(&before, &after), []);
    }

    #[test]
    fn a_node_that_dies_takes_its_leaders_with_it_and_is_told_first() {
        let before = cluster(3);
        let mut after = before.clone();
        after.nodes[0].is_up = false;
        after.partitions[7].leader = None;
        after.partitions[8].leader = Some(NodeId::new(2));
        let expected = [
            (ChangeKind::NodeDown, "n1 is not heard of any more".to_owned()),
            (ChangeKind::Leader, "partition 7 has no leader".to_owned()),
            (ChangeKind::Leader, "partition 8 is led by n2, it was by n1".to_owned()),
        ];
        assert_eq!(told(&before, &after), expected);
        assert_eq!(told(&after, &before)[1].1, "partition 7 is led by n1");
    }

    #[test]
    fn members_health_and_settings_are_told() {
        let before = cluster(3);
        let mut after = cluster(4);
        after.is_paused = true;
        after.nodes[1].state = NodeState::Draining;
        after.nodes[2].incarnation = 2;
        after.partitions[32].learners.push(NodeId::new(4));
        after.partitions[0].replicas[1].health = Health::Refused("damage".to_owned());
        let expected = [
            (ChangeKind::Settings, "placement is paused"),
            (ChangeKind::NodeState, "n2 is being drained"),
            (ChangeKind::NodeRestarted, "n3 was started again, for the 2. time"),
            (ChangeKind::NodeJoined, "n4 belongs to the cluster"),
            (ChangeKind::Health, "partition 0 is refused on n2: damage"),
            (ChangeKind::Members, "the system partition has the members n1 n2 n3 +n4, it had n1 n2 n3"),
        ];
        assert_eq!(told(&before, &after), expected.map(|(kind, text)| (kind, text.to_owned())));
        assert_eq!(told(&after, &before)[0], (ChangeKind::Settings, "placement goes on".to_owned()));
    }
}
