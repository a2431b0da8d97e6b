//! What nodes say of their replicas, again and again.

use std::time::Duration;

use chronos_client::cluster::{Comparison, Health, Replica, Role, Status, Verdict};
use chronos_client::{Digest, PartitionId, ReadError};
use chronos_history as history;
use chronos_history::fact::{self, Fact, NodeState};
use chronos_history::line::Process;

use super::cluster::Cluster;
use crate::workload::Recorder;

/// Asks every node, for ever, how far its replicas are, with so much time between two rounds.
pub(super) async fn observe<C: Cluster>(cluster: C, recorder: Recorder, between: Duration) {
    loop {
        cluster.wait(between).await;
        for seat in cluster.all() {
            let asked = cluster.env().clock.timeout(between, cluster.operator(seat).status()).await;
            if let Ok(Ok(status)) = asked {
                record(&recorder, &status);
            }
        }
    }
}

/// What a node says of its own replicas; of others it knows by hearsay.
fn record(recorder: &Recorder, status: &Status) {
    let Some(node) = status.node(status.me) else { return };
    for partition in status.partitions.iter().filter(|partition| partition.id != PartitionId::SYSTEM) {
        let Some(replica) = partition.replica(status.me).filter(|replica| knows(replica)) else { continue };
        let state = state(recorder, partition.id, replica, node.incarnation);
        recorder.fact(Process::Node(history::Node(status.me.get() as u32)), Fact::Node(state));
    }
}

/// Whether a replica knows its own state: one whose group has not begun yet, that does not know yet whether it is as far as
/// it was before its start, that has gone back to what its full disk holds, or that is being made whole, does not.
fn knows(replica: &Replica) -> bool {
    replica.health == Health::Serving
}

fn state(recorder: &Recorder, partition: PartitionId, replica: &Replica, incarnation: u64) -> NodeState {
    let at = |position| recorder.origin().seen(partition, position);
    let marks = &replica.marks;
    NodeState {
        part: history::Partition(partition.get().into()),
        inc: history::Incarnation(u32::try_from(incarnation).expect("no node has so many lives")),
        term: history::Term(replica.term),
        role: role(replica.role),
        committed: at(marks.committed),
        applied: at(marks.applied),
        wm: at(marks.applied),
        purged: at(marks.purged),
        snap: at(marks.compacted),
        end: Some(at(marks.appended)),
        ..NodeState::default()
    }
}

fn role(role: Role) -> fact::Role {
    match role {
        Role::Leader => fact::Role::Leader,
        Role::Follower => fact::Role::Follower,
        Role::Candidate => fact::Role::Candidate,
        Role::Learner | Role::Outside => fact::Role::Learner,
    }
}

/// Has all replicas of every partition compared, each partition at one position, and records what they gave. A replica
/// that finds damage only now says so instead, is repaired, and asked again.
///
/// # Errors
/// Which replicas differ, or which did not say when `patience` was over.
pub(super) async fn agree<C: Cluster>(
    cluster: &C,
    recorder: &Recorder,
    patience: Duration,
) -> Result<(), String> {
    let until = cluster.now() + patience;
    loop {
        match compare(cluster, recorder).await? {
            None => return Ok(()),
            Some(incomplete) if cluster.now() > until => {
                return Err(format!("not all replicas could be compared: {incomplete:?}"));
            }
            Some(_) => cluster.wait(Duration::from_secs(5)).await,
        }
    }
}

/// Has replicas compared as far as anybody can be asked; returns how many partitions had two or more that said the same.
///
/// # Errors
/// Which replicas differ.
pub(super) async fn contradict<C: Cluster>(cluster: &C) -> Result<u64, String> {
    let mut equal = 0;
    for seat in cluster.all() {
        let Ok(mut answers) = cluster.operator(seat).compare(&[]).await else { continue };
        while let Ok(Some(comparison)) = answers.next().await {
            match comparison.verdict {
                Verdict::Equal => equal += 1,
                Verdict::Different => return Err(format!("replicas do not agree: {comparison:?}")),
                // Who says nothing says nothing wrong.
                Verdict::Incomplete => {}
            }
        }
    }
    Ok(equal)
}

/// Compares them once; returns what could not be compared in full.
async fn compare<C: Cluster>(cluster: &C, recorder: &Recorder) -> Result<Option<Comparison>, String> {
    let failed = |error: ReadError| format!("replicas cannot be compared: {error}");
    let mut statuses = Vec::new();
    for seat in cluster.all() {
        statuses.push(cluster.operator(seat).status().await.map_err(failed)?);
    }
    let mut answers = cluster.operator(1).compare(&[]).await.map_err(failed)?;
    let mut incomplete = None;
    while let Some(comparison) = answers.next().await.map_err(failed)? {
        let is_judged = comparison.partition != PartitionId::SYSTEM;
        for given in comparison.replicas.iter().filter(|_| is_judged) {
            let of = statuses.iter().find(|status| status.me == given.node);
            if let (Some(status), Ok(digest)) = (of, &given.digest.digest) {
                record_digest(recorder, status, comparison.partition, digest);
            }
        }
        match comparison.verdict {
            Verdict::Equal => {}
            Verdict::Different => return Err(format!("replicas do not agree: {comparison:?}")),
            Verdict::Incomplete => incomplete = Some(comparison),
        }
    }
    Ok(incomplete)
}

fn record_digest(recorder: &Recorder, status: &Status, partition: PartitionId, digest: &Digest) {
    let node = status.node(status.me);
    let replica = status.partition(partition).and_then(|of| of.replica(status.me));
    let (Some(node), Some(replica)) = (node, replica) else { return };
    let first = digest.digest.0.first_chunk().expect("a digest has more than 64 bits");
    let hash = history::Hash(u64::from_be_bytes(*first));
    let h_at = Some((recorder.origin().seen(partition, digest.position), hash));
    let state = NodeState { h_at, ..state(recorder, partition, replica, node.incarnation) };
    recorder.fact(Process::Node(history::Node(status.me.get() as u32)), Fact::Node(state));
}
