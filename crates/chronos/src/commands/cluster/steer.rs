//! What is done to the cluster, and what is said of it when it is.

use std::cell::Cell;
use std::time::{Duration, Instant};

use chronos_client::cluster::{NodeId, NodeState, Partition, Replica, Status};
use chronos_client::{ClusterAdmin, PartitionId};
use serde_json::json;

use crate::failure::Outcome;
use crate::operator::cluster::{held, replicas_of};
use crate::operator::{failed, name, units, wait_until};
use crate::output::{Format, Out};

/// What a node has left on its disk is waited for as long as it gets less: other steps may come before.
const DELETED_WITHIN: Duration = Duration::from_secs(60);

/// A transfer is waited for that long, unless somebody says how long: what has not led by then is led by another one again.
const LED_WITHIN: Duration = Duration::from_secs(30);

/// One who has things done.
pub(crate) struct Done<'a> {
    pub(crate) admin: &'a ClusterAdmin,
    pub(crate) format: Format,
    /// How long it may take in all, where somebody said so.
    pub(crate) asked_timeout: Option<Duration>,
}

impl Done<'_> {
    pub(super) async fn drain(&self, node: NodeId, wait: bool) -> Outcome {
        let (began, before) = (Instant::now(), self.admin.status().await.map_err(failed)?);
        let epoch = self.admin.drain(node).await.map_err(failed)?;
        if !wait {
            let text =
                format!("{node} is being drained; see how far it is with: chronos cluster status --watch");
            return self.say(epoch, &text);
        }
        let leftovers = Leftovers::of(node);
        let left = |status: &Status| left_on(status, node).or_else(|| leftovers.left_on(status));
        let after = wait_until(self.admin, self.asked_timeout, left).await?;
        self.say(after.epoch, &drained((&before, &after), node, began.elapsed()))
    }

    pub(super) async fn undrain(&self, node: NodeId) -> Outcome {
        let before = self.admin.status().await.map_err(failed)?;
        let epoch = self.admin.undrain(node).await.map_err(failed)?;
        let was_drained = before.node(node).is_some_and(|of| of.state == NodeState::Draining);
        let text = if was_drained {
            format!("{node} takes its share again")
        } else {
            format!("{node} is not being drained, so there is nothing to take back")
        };
        self.say(epoch, &text)
    }

    pub(super) async fn remove(&self, node: NodeId, force: bool) -> Outcome {
        let epoch = self.admin.remove(node, force).await.map_err(failed)?;
        self.say(
            epoch,
            &format!(
                "{node} is removed; its number is never given again, and its server ends by itself once nothing that it holds \
                 is needed: `chronos cluster nodes` does not list it then, and its data directory can be deleted"
            ),
        )
    }

    pub(super) async fn replace(&self, node: NodeId) -> Outcome {
        let epoch = self.admin.replace(node).await.map_err(failed)?;
        let text = format!("{node} is given up; what takes its place shows: chronos cluster plan");
        self.say(epoch, &text)
    }

    pub(super) async fn pause(&self) -> Outcome {
        let epoch = self.admin.pause().await.map_err(failed)?;
        self.say(epoch, "placement is paused; go on with: chronos cluster resume")
    }

    pub(super) async fn resume(&self) -> Outcome {
        let epoch = self.admin.resume().await.map_err(failed)?;
        self.say(epoch, "placement goes on; what it does next shows: chronos cluster plan")
    }

    pub(super) async fn replication(&self, replicas: u8) -> Outcome {
        let epoch = self.admin.set_replication(replicas).await.map_err(failed)?;
        let status = self.admin.status().await.map_err(failed)?;
        self.say(epoch, &replicated(&status, replicas))
    }

    pub(super) async fn token(&self, token: Option<String>) -> Outcome {
        let text = match token {
            Some(_) => "a new node must show the token from now on: chronos server --join ADDR --token TOKEN",
            None => "a new node needs no token from now on",
        };
        let epoch = self.admin.set_token(token).await.map_err(failed)?;
        self.say(epoch, text)
    }

    pub(crate) async fn transfer(&self, partition: PartitionId, to: NodeId, wait: bool) -> Outcome {
        let epoch = self.admin.transfer(partition, to).await.map_err(failed)?;
        let id = name(partition);
        let leads = format!("partition {id} is led by {to}");
        let led_by = |status: &Status| status.partition(partition).and_then(|partition| partition.leader);
        if !wait {
            let leads_already = self.admin.status().await.is_ok_and(|status| led_by(&status) == Some(to));
            let goes = format!("partition {id} is being handed over to {to}");
            return self.say(epoch, if leads_already { &leads } else { &goes });
        }
        let wanted = |status: &Status| {
            (led_by(status) != Some(to)).then(|| format!("{to} does not lead partition {id} yet"))
        };
        let within = Some(self.asked_timeout.unwrap_or(LED_WITHIN));
        let after = wait_until(self.admin, within, wanted).await?;
        self.say(after.epoch, &leads)
    }

    fn say(&self, epoch: u64, text: &str) -> Outcome {
        let mut out = Out::new(self.format);
        match self.format {
            Format::Table => out.line(text)?,
            Format::Json => out.object(&json!({"epoch": epoch, "text": text}))?,
        }
        out.finish()
    }
}

/// What it means for the cluster as it is that each partition shall have so many replicas.
fn replicated(status: &Status, replicas: u8) -> String {
    let wanted = format!("each partition shall have {}", replicas_of(replicas.into()));
    let active = status.nodes.iter().filter(|node| node.state == NodeState::Active).count();
    let missing = usize::from(replicas).saturating_sub(active);
    if missing == 0 {
        return format!("{wanted}; the way there shows: chronos cluster plan");
    }
    let nodes = |count: usize, verb: [&str; 2]| match count {
        1 => format!("1 node {}", verb[0]),
        many => format!("{many} nodes {}", verb[1]),
    };
    // An even number would bear no more losses than the odd one below it.
    let until = if active % 2 == 0 { active.saturating_sub(1) } else { active };
    format!(
        "{wanted}, but there {are} to hold them: {more} needed (chronos server --join ADDR); until then each has at most \
         {until}",
        are = if active == 1 { "is 1 node".to_owned() } else { format!("are {active} nodes") },
        more = nodes(missing, ["more is", "more are"]),
    )
}

/// That a node has nothing that is needed, and what that took, going by what it held before; and what it has left.
fn drained((before, after): (&Status, &Status), node: NodeId, took: Duration) -> String {
    let moved: Vec<&Replica> =
        before.partitions.iter().filter(|of| of.needs(node)).filter_map(|of| of.replica(node)).collect();
    let bytes = moved.iter().map(|replica| replica.parts_bytes).sum();
    let moved = match moved.len() {
        0 => String::new(),
        _ => format!(
            " after {}: {}, with {} of parts, are on other nodes now",
            units::ago(took),
            held(before, node),
            units::bytes(bytes)
        ),
    };
    let left = match leftovers(after, node) {
        0 => String::new(),
        count => format!(
            "; what is still on its disk, of {}, is deleted when it is up and its turn has come (chronos cluster plan)",
            partitions_of(count)
        ),
    };
    let nothing = if left.is_empty() { "nothing any more" } else { "nothing that is needed any more" };
    format!("{node} holds {nothing}{moved}{left}; it can go with: chronos cluster remove {node}")
}

/// What a node still holds, in words.
fn left_on(status: &Status, node: NodeId) -> Option<String> {
    status
        .partitions
        .iter()
        .any(|of| of.needs(node))
        .then(|| format!("{} to go from {node}", held(status, node)))
}

/// Of how many partitions a node still has something that nobody needs.
fn leftovers(status: &Status, node: NodeId) -> usize {
    // A copy of the system partition stays as long as the node belongs to the cluster.
    let is_left = |of: &Partition| !of.members().any(|member| member == node) && of.replica(node).is_some();
    status.partitions.iter().filter(|of| is_left(of)).count()
}

fn partitions_of(count: usize) -> String {
    if count == 1 { "1 partition".to_owned() } else { format!("{count} partitions") }
}

/// What a drained node still has on its disk, which the cluster has it delete one after the other.
struct Leftovers {
    node: NodeId,
    /// The fewest that were seen, and when that was first.
    fewest: Cell<(usize, Instant)>,
}

impl Leftovers {
    fn of(node: NodeId) -> Self {
        Self { node, fewest: Cell::new((usize::MAX, Instant::now())) }
    }

    /// What is worth waiting for, in words: nothing on a node that is down, nor where nothing happens for long.
    fn left_on(&self, status: &Status) -> Option<String> {
        let left = leftovers(status, self.node);
        let (fewest, since) = self.fewest.get();
        if left < fewest {
            self.fewest.set((left, Instant::now()));
        } else if since.elapsed() >= DELETED_WITHIN {
            return None;
        }
        let is_up = status.node(self.node).is_some_and(|node| node.is_up);
        let what =
            || format!("what {} still has on its disk of {} to be deleted", self.node, partitions_of(left));
        (left > 0 && is_up).then(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::sample;

    #[test]
    fn a_drain_that_is_over_says_how_long_it_took_and_what_has_moved() {
        let (status, node) = (sample::healthy(), NodeId::new(3));
        let said = drained((&status, &gone_from(&status, node)), node, Duration::from_secs(12));
        let expected =
            "n3 holds nothing any more after 12 s: 32 replicas and that of the system partition, with ";
        assert!(said.starts_with(expected), "{said}");
        assert!(
            said.ends_with("are on other nodes now; it can go with: chronos cluster remove n3"),
            "{said}"
        );
    }

    /// The same, where a node belongs to nothing any more and has nothing left.
    fn gone_from(status: &Status, node: NodeId) -> Status {
        let mut after = status.clone();
        for partition in &mut after.partitions {
            partition.voters.retain(|voter| *voter != node);
            partition.replicas.retain(|replica| replica.node != node);
        }
        after
    }

    #[test]
    fn a_drain_ends_when_what_is_left_on_the_disk_is_deleted_too_or_cannot_be() {
        let (before, node) = (sample::healthy(), NodeId::new(3));
        let after = gone_from(&before, node);
        let mut status = after.clone();
        for left in [7, 9] {
            status.partitions[left].replicas = before.partitions[left].replicas.clone();
        }
        assert_eq!(left_on(&status, node), None, "it is needed nowhere");
        let leftovers = Leftovers::of(node);
        let told = leftovers.left_on(&status);
        assert_eq!(told.as_deref(), Some("what n3 still has on its disk of 2 partitions to be deleted"));
        assert_eq!(leftovers.left_on(&after), None);
        status.nodes[2].is_up = false;
        assert_eq!(Leftovers::of(node).left_on(&status), None, "who is down deletes nothing");
        let said = drained((&before, &status), node, Duration::from_secs(12));
        assert!(said.contains("still on its disk, of 2 partitions, is deleted when it is up"), "{said}");
    }

    #[test]
    fn replicas_that_there_are_no_nodes_for_are_told_with_what_is_missing() {
        let status = sample::healthy();
        assert!(replicated(&status, 3).ends_with("the way there shows: chronos cluster plan"));
        let expected = "each partition shall have 5 replicas, but there are 3 nodes to hold them: 2 nodes more are needed \
                        (chronos server --join ADDR); until then each has at most 3";
        assert_eq!(replicated(&status, 5), expected);
    }

    #[test]
    fn a_node_is_drained_when_only_what_every_node_has_of_the_system_partition_is_left() {
        let (mut status, node) = (sample::healthy(), NodeId::new(3));
        let all = "32 replicas and that of the system partition to go from n3";
        assert_eq!(left_on(&status, node).as_deref(), Some(all));
        for partition in &mut status.partitions {
            partition.voters.retain(|voter| *voter != node);
        }
        let system = status.partitions.iter_mut().find(|of| of.id == PartitionId::SYSTEM).unwrap();
        system.learners.push(node);
        assert_eq!(left_on(&status, node), None);
        status.partitions[7].learners.push(node);
        assert_eq!(left_on(&status, node).as_deref(), Some("1 replica to go from n3"));
    }
}
