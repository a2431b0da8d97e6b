//! What operators ask: is the process alive, is it ready, and how much of what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chronos_domain::PartitionId;
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::edge::Edge;

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Whether callers may be sent to this node: 200 while what they ask is done, here or, where that is allowed, by the node
/// that this one passes it on to. 503 once it can acknowledge nothing any more, while it stops, when all its partitions are
/// out of service, or as long as it knows of no leader that is alive for one that it holds. A node that holds none passes
/// everything on, and has to know all leaders.
///
/// A replica that is out of service here (damaged, diverged) makes no node unready: others serve the partition, and were
/// each to turn callers away for one replica, nobody would be left. Which ones are is said all the same.
pub(super) async fn ready(State(edge): State<Arc<Edge>>) -> Response {
    let readiness = Readiness::of(&edge);
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness.told())).into_response()
}

/// What a node can do for callers.
struct Readiness {
    served: usize,
    /// Partitions that are out of service here, and why.
    refused: Vec<(PartitionId, String)>,
    /// Partitions of which no living leader is known.
    leaderless: Vec<PartitionId>,
    fault: Option<String>,
    is_stopping: bool,
    /// Whether other nodes do what this one cannot.
    passes_on: bool,
}

impl Readiness {
    fn of(edge: &Edge) -> Readiness {
        let node = edge.app.node();
        let (mut refused, mut wanted) = (Vec::new(), Vec::new());
        for id in PartitionId::all() {
            match node.marks_here(id) {
                Err(error) => refused.push((id, error.message)),
                Ok(_) if node.cluster().holds(id) => wanted.push(id),
                Ok(_) => {}
            }
        }
        let (served, passes_on) = (wanted.len(), node.asks_others());
        if passes_on {
            wanted.extend(refused.iter().map(|(id, _)| *id));
            wanted.sort_unstable();
        }
        if wanted.is_empty() {
            wanted.extend(PartitionId::all());
        }
        wanted.retain(|id| node.cluster().living_leader(*id).is_none());
        Readiness {
            served,
            refused,
            leaderless: wanted,
            fault: edge.wal().and_then(|wal| wal.fault()).map(|fault| fault.to_string()),
            is_stopping: *edge.stopping().borrow(),
            passes_on,
        }
    }

    fn is_ready(&self) -> bool {
        let refuses_all = self.refused.len() == PartitionId::all().len();
        self.fault.is_none() && !self.is_stopping && !refuses_all && self.leaderless.is_empty()
    }

    fn told(&self) -> Value {
        let refused = self.refused.iter().map(|(id, why)| json!({"partition": id.get(), "reason": why}));
        json!({
            "ready": self.is_ready(),
            "detail": self.detail(),
            "served": self.served,
            "refused": refused.collect::<Vec<_>>(),
            "leaderless": self.leaderless.iter().map(|id| id.get()).collect::<Vec<_>>(),
            "fault": self.fault,
            "stopping": self.is_stopping,
        })
    }

    /// All of it in words, for who looks with `curl`.
    fn detail(&self) -> String {
        let mut said = vec![if self.is_ready() { "ready" } else { "not ready" }.to_owned()];
        said.extend(self.fault.as_ref().map(|fault| format!("nothing is acknowledged any more: {fault}")));
        if self.is_stopping {
            said.push("this node is stopping".to_owned());
        }
        if !self.leaderless.is_empty() {
            let of = partitions(self.leaderless.iter());
            said.push(format!("no leader that is alive is known of {of}"));
        }
        if !self.refused.is_empty() {
            let of = partitions(self.refused.iter().map(|(id, _)| id));
            let callers = if self.passes_on { "passed on to other nodes" } else { "refused" };
            said.push(format!("out of service on this node: {of} (callers are {callers})"));
        }
        said.join("; ")
    }
}

/// `partition 7`, or `partitions 7, 9`.
fn partitions<'a>(ids: impl ExactSizeIterator<Item = &'a PartitionId>) -> String {
    let noun = if ids.len() == 1 { "partition" } else { "partitions" };
    let numbers: Vec<String> = ids.map(ToString::to_string).collect();
    format!("{noun} {}", numbers.join(", "))
}

/// Everything that is counted, for Prometheus.
pub(super) async fn metrics(State(edge): State<Arc<Edge>>) -> Response {
    let (form, text) = edge.metrics.render(edge.app.node(), edge.wal().as_deref());
    ([(header::CONTENT_TYPE, form)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readiness() -> Readiness {
        Readiness {
            served: 32,
            refused: Vec::new(),
            leaderless: Vec::new(),
            fault: None,
            is_stopping: false,
            passes_on: true,
        }
    }

    fn refusing(numbers: impl IntoIterator<Item = u8>) -> Vec<(PartitionId, String)> {
        let damaged = |number| (PartitionId::new(number).unwrap(), "it is damaged".to_owned());
        numbers.into_iter().map(damaged).collect()
    }

    #[test]
    fn a_replica_that_is_out_of_service_is_named_and_keeps_nobody_away() {
        assert_eq!(readiness().detail(), "ready");
        let hurt = Readiness { refused: refusing([7, 9]), served: 30, ..readiness() };
        let expected =
            "ready; out of service on this node: partitions 7, 9 (callers are passed on to other nodes)";
        assert!(hurt.is_ready());
        assert_eq!(hurt.detail(), expected);
        let alone = Readiness { refused: refusing([7]), served: 31, passes_on: false, ..readiness() };
        let expected = "ready; out of service on this node: partition 7 (callers are refused)";
        assert!(alone.is_ready(), "there is no better node to send anybody to");
        assert_eq!(alone.detail(), expected);
        assert_eq!(alone.told()["refused"][0], json!({"partition": 7, "reason": "it is damaged"}));
    }

    #[test]
    fn a_node_that_can_do_nothing_for_anybody_is_not_ready_and_says_why() {
        let leaderless = vec![PartitionId::new(3).unwrap()];
        for (unready, wanted) in [
            (Readiness { leaderless, ..readiness() }, "no leader that is alive is known of partition 3"),
            (Readiness { fault: Some("a sync failed".to_owned()), ..readiness() }, "any more: a sync failed"),
            (Readiness { is_stopping: true, ..readiness() }, "this node is stopping"),
            (Readiness { refused: refusing(0..32), served: 0, ..readiness() }, "partitions 0, 1, 2"),
        ] {
            let said = unready.told();
            let detail = said["detail"].as_str().unwrap();
            assert_eq!(said["ready"], false, "{said}");
            assert!(detail.starts_with("not ready; ") && detail.contains(wanted), "{detail}");
        }
    }
}
