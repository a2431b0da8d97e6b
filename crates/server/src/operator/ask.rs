//! Having something done on a node, this one or another.

use std::time::Duration;

use chronos_app::{Class, Error, Reason};
use chronos_proto::Failure;
use chronos_proto::cluster::v1::node_request::Ask;
use chronos_proto::cluster::v1::node_response::Answer;
use chronos_proto::cluster::{NodeId, Status, v1};
use prost::Message as _;

use super::{Operators, number};

/// What the answer of another node needs on its way, on top of what its work may take.
const ON_THE_WAY: Duration = Duration::from_secs(2);

impl Operators {
    /// Asks a node, and waits for the answer for at most `within` and a little.
    ///
    /// # Errors
    /// Why there is no answer; what the node itself said against it.
    pub(super) async fn ask(
        &self,
        status: &Status,
        node: NodeId,
        ask: Ask,
        within: Duration,
    ) -> Result<Answer, Failure> {
        let answer = if node == status.me {
            self.here.answer(ask).await
        } else {
            self.ask_there(status, node, ask, within).await?
        };
        match answer {
            Answer::Failure(failure) => {
                Err(Failure::try_from(failure).unwrap_or_else(|invalid| unreadable(node, &invalid)))
            }
            answer => Ok(answer),
        }
    }

    async fn ask_there(
        &self,
        status: &Status,
        node: NodeId,
        ask: Ask,
        within: Duration,
    ) -> Result<Answer, Failure> {
        let known = status.node(node);
        if known.is_some_and(|node| !node.is_up) {
            return Err(unavailable(format!("{node} is down; start it again, or leave it out")));
        }
        let body = v1::NodeRequest { ask: Some(ask) }.encode_to_vec().into();
        let answer = self.cluster.ask_operators(number(node), body, within + ON_THE_WAY).await;
        let answer = answer.map_err(|error| unavailable(format!("{node} gave no answer: {error}")))?;
        let response = v1::NodeResponse::decode(answer).map_err(|error| unreadable(node, &error))?;
        response.answer.ok_or_else(|| unreadable(node, &"it is empty"))
    }

    /// The nodes that are meant: those that are named, or all that still belong to the cluster.
    ///
    /// # Errors
    /// When one is named that there is not.
    pub(super) fn meant(&self, status: &Status, named: &[NodeId]) -> Result<Vec<NodeId>, Error> {
        for node in named {
            super::permit::known(status, *node)?;
        }
        let is_meant = |node: &NodeId| named.is_empty() || named.contains(node);
        Ok(status.nodes.iter().map(|node| node.node).filter(is_meant).collect())
    }
}

/// An answer of another kind than was asked for.
pub(super) fn odd(node: NodeId) -> Failure {
    unreadable(node, &"it is of another kind than was asked for")
}

pub(super) fn unreadable(node: NodeId, why: &dyn std::fmt::Display) -> Failure {
    let text = format!("the answer of {node} cannot be read: {why}; use releases that fit together");
    Failure::new(chronos_proto::Class::Unknown, Reason::Internal.as_str(), text)
}

/// As one of the answers that a call gives, so that nobody repeats the call because of it.
pub(super) fn unavailable(text: String) -> Failure {
    let error = Error::new(Class::Failed, Reason::Unavailable, text);
    crate::grpc::failure::failure(error)
}
