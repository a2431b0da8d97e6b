//! The same for machines.

use chronos_client::Failure;
use chronos_client::cluster::{
    Change, Compacted, Comparison, Node, NodeId, Partition, Plan, PlannedStep, Repaired, Replica, ScrubBegun,
    SettingChanged, Status, VerifiedReplica,
};
use serde_json::{Value, json};

use super::cluster::{concerns, on_its_way};
use super::page::Tone;

/// The cluster as one object: what the page says, whether all is well, and whether everything is where it belongs by `plan`,
/// which is asked for where all is well.
pub(crate) fn status(status: &Status, plan: Option<&Plan>) -> Value {
    let concerns = concerns(status);
    let on_its_way = plan.and_then(on_its_way);
    json!({
        "cluster": chronos_client::EventId::from_u128(status.cluster).to_string(),
        "epoch": status.epoch,
        "replication": status.replication,
        "paused": status.is_paused,
        "me": status.me.get(),
        "at": status.at.get(),
        "healthy": concerns.is_empty(),
        "settled": plan.is_some() && on_its_way.is_none(),
        "on_its_way": on_its_way,
        "available": concerns.iter().all(|(tone, _)| *tone != Tone::Bad),
        "concerns": concerns.into_iter().map(|(_, text)| text).collect::<Vec<_>>(),
        "nodes": status.nodes.iter().map(node).collect::<Vec<_>>(),
        "partitions": status.partitions.iter().map(|of| partition(status, of)).collect::<Vec<_>>(),
    })
}

pub(crate) fn node(node: &Node) -> Value {
    json!({
        "node": node.node.get(),
        "name": node.name,
        "machine": chronos_client::EventId::from_u128(node.machine).to_string(),
        "client_address": node.addresses.client,
        "peer_address": node.addresses.peer,
        "admin_address": node.addresses.admin,
        "state": format!("{:?}", node.state).to_lowercase(),
        "since": node.since.get(),
        "up": node.is_up,
        "heard_ms": node.heard.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
        "release": node.release,
        "incarnation": node.incarnation,
        "leads": node.leads,
        "replicas": node.replicas,
        "silent": node.is_silent,
        "clock_offset_micros": node.clock_offset_micros,
        "heard_by": numbers(&node.heard_by),
        "missed_by": numbers(&node.missed_by),
    })
}

fn numbers(nodes: &[NodeId]) -> Vec<u64> {
    nodes.iter().map(|node| node.get()).collect()
}

pub(crate) fn partition(status: &Status, partition: &Partition) -> Value {
    json!({
        "partition": partition.id.get(),
        "leader": partition.leader.map(NodeId::get),
        "term": partition.term,
        "voters": numbers(&partition.voters),
        "learners": numbers(&partition.learners),
        "replicas": partition.replicas.iter().map(|of| replica(status, partition, of)).collect::<Vec<_>>(),
    })
}

fn replica(status: &Status, partition: &Partition, of: &Replica) -> Value {
    // What is told of a node that is not reached is what it said last.
    let reached = status.node(of.node).is_some_and(|node| node.is_up && !node.is_silent);
    json!({
        "reached": reached,
        "node": of.node.get(),
        "role": of.role.as_str(),
        "health": of.health.as_str(),
        "why": of.health.why(),
        "term": of.term,
        "member": super::partition::is_member(partition, of.node),
        "lag": super::partition::lag(status, partition, of),
        "appended": of.marks.appended.get(),
        "flushed": of.marks.flushed.get(),
        "committed": of.marks.committed.get(),
        "applied": of.marks.applied.get(),
        "indexed": of.marks.indexed.get(),
        "compacted": of.marks.compacted.get(),
        "purged": of.marks.purged.get(),
        "log_first": of.log_first,
        "log_last": of.log_last,
        "log_committed": of.log_committed,
        "lane": of.lane,
        "parts": of.parts,
        "parts_bytes": of.parts_bytes,
        "last_scrub": of.last_scrub.map(|then| then.get()),
        "knows_leader": of.knows_leader.map(NodeId::get),
        "stuck_ms": of.stuck.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
    })
}

pub(crate) fn step(step: &PlannedStep) -> Value {
    json!({
        "partition": step.partition.map(|id| id.get()),
        "node": step.node.map(NodeId::get),
        "what": step.what,
        "why": step.why,
    })
}

/// What stays undone, told as a step is.
pub(crate) fn wait(text: &str) -> Value {
    json!({"waits": text})
}

pub(crate) fn change(change: &Change) -> Value {
    json!({
        "at": change.at.get(),
        "epoch": change.epoch,
        "kind": change.kind.as_str(),
        "node": change.node.map(NodeId::get),
        "partition": change.partition.map(|id| id.get()),
        "text": change.text,
    })
}

pub(crate) fn compacted(of: &Compacted) -> Value {
    let (partition, node) = (of.outcome.partition.get(), of.node.map(NodeId::get));
    match &of.outcome.position {
        Ok(position) => json!({"partition": partition, "node": node, "position": position.get()}),
        Err(failure) => refused(json!({"partition": partition, "node": node}), failure),
    }
}

pub(crate) fn scrub(of: &ScrubBegun) -> Value {
    let node = of.node.get();
    match &of.partitions {
        Ok(partitions) => json!({"node": node, "partitions": partitions}),
        Err(failure) => refused(json!({"node": node}), failure),
    }
}

pub(crate) fn verified(of: &VerifiedReplica) -> Value {
    let (partition, node) = (of.outcome.partition.get(), of.node.get());
    match &of.outcome.outcome {
        Ok(seen) => json!({
            "partition": partition,
            "node": node,
            "parts": seen.parts,
            "events": seen.events,
            "log_entries": seen.log_entries,
            "bytes": seen.bytes,
            "findings": seen.findings,
        }),
        Err(failure) => refused(json!({"partition": partition, "node": node}), failure),
    }
}

pub(crate) fn comparison(of: &Comparison) -> Value {
    let replicas = of.replicas.iter().map(|replica| match &replica.digest.digest {
        Ok(digest) => json!({
            "node": replica.node.get(),
            "position": digest.position.get(),
            "digest": digest.digest.to_string(),
            "chain": digest.chain.to_string(),
            "root": digest.root.to_string(),
        }),
        Err(failure) => refused(json!({"node": replica.node.get()}), failure),
    });
    json!({
        "partition": of.partition.get(),
        "position": of.position.get(),
        "verdict": format!("{:?}", of.verdict).to_lowercase(),
        "replicas": replicas.collect::<Vec<_>>(),
    })
}

pub(crate) fn repaired(of: &Repaired) -> Value {
    let (partition, node) = (of.partition.get(), of.node.get());
    match &of.did {
        Ok(did) => json!({"partition": partition, "node": node, "did": did}),
        Err(failure) => refused(json!({"partition": partition, "node": node}), failure),
    }
}

pub(crate) fn changed(of: &SettingChanged) -> Value {
    let node = of.node.get();
    match &of.outcome {
        Ok((before, after, kept)) => {
            json!({"node": node, "before": value(before), "after": value(after), "kept": kept})
        }
        Err(failure) => refused(json!({"node": node}), failure),
    }
}

/// A setting, which is JSON already.
pub(crate) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// An object with why there is nothing more in it.
pub(crate) fn refused(mut object: Value, failure: &Failure) -> Value {
    object["reason"] = json!(failure.reason);
    object["message"] = json!(failure.message);
    object
}

#[cfg(test)]
mod tests {
    use chronos_client::cluster::Plan;

    use super::super::sample;

    #[test]
    fn machines_learn_whether_all_is_well_and_whether_all_is_served() {
        let healthy = super::status(&sample::healthy(), None);
        assert_eq!((&healthy["healthy"], &healthy["available"]), (&true.into(), &true.into()));
        assert_eq!(healthy["partitions"][7]["replicas"][2]["lag"], 2);
        let troubled = super::status(&sample::troubled(), None);
        assert_eq!((&troubled["healthy"], &troubled["available"]), (&false.into(), &false.into()));
        assert_eq!(troubled["partitions"][3]["replicas"][1]["why"], "part 12 is not as it was written");
    }

    #[test]
    fn machines_learn_whether_anything_is_left_to_move() {
        let settled = |plan: Option<&Plan>| super::status(&sample::healthy(), plan)["settled"].clone();
        let mut plan = Plan { is_paused: false, steps: Vec::new(), waits: Vec::new() };
        assert_eq!((settled(None), settled(Some(&plan))), (false.into(), true.into()));
        plan.waits.push("partition 3 is half-way between two sets of voters".to_owned());
        assert_eq!(settled(Some(&plan)), false);
    }
}
