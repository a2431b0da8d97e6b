//! Having something done on a node, this one or another.
//!
//! Everything ends: what is asked for may take so long ([`Within`]), a node that has fallen silent meanwhile is not waited
//! for to the end of that, and when the caller's own time is over what is left is answered at once, with that.

use std::time::Duration;

use chronos_app::{Class, Error, Reason};
use chronos_cluster::peer::{CallError, Cause};
use chronos_domain::Invalid;
use chronos_proto::Failure;
use chronos_proto::cluster::v1::node_request::Ask;
use chronos_proto::cluster::v1::node_response::Answer;
use chronos_proto::cluster::{NodeId, Status, v1};
use prost::Message as _;

use super::Operators;

/// What the answer of another node needs on its way, on top of what its work may take.
const ON_THE_WAY: Duration = Duration::from_secs(2);
/// A node that works is heard of all the while, once a second; one of which nothing was heard for so long is not waited for.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// How often it is seen whether one still is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the work on one replica may take, with its turn: everything it has is read, or fetched.
pub(super) const REPLICA_WITHIN: Duration = Duration::from_secs(3600);

/// How long one thing may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Within {
    /// The work itself.
    pub(super) work: Duration,
    /// Until its answer is here. Nothing when the caller's time is over.
    wait: Duration,
}

impl Within {
    /// At most that, and no longer than what is `left` of the caller's time, if he has said how long he waits.
    fn new(work: Duration, left: Option<Duration>) -> Within {
        let left = left.unwrap_or(Duration::MAX);
        Within { work: work.min(left), wait: (work + ON_THE_WAY).min(left) }
    }

    /// The same in the words of the wire.
    pub(super) fn work_ms(self) -> u64 {
        u64::try_from(self.work.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Operators {
    /// How long something may take that begins now, where all of it has to be done by `until`.
    pub(super) fn within(&self, work: Duration, until: Option<Duration>) -> Within {
        let now = self.edge.env.clock.monotonic();
        Within::new(work, until.map(|until| until.saturating_sub(now)))
    }

    /// Asks a node, and waits for the answer as long as that may take and the node is heard of.
    ///
    /// # Errors
    /// Why there is no answer; what the node itself said against it.
    pub(super) async fn ask(
        &self,
        status: &Status,
        node: NodeId,
        ask: Ask,
        within: Within,
    ) -> Result<Answer, Failure> {
        // As it is by now, and not when the first of many nodes was asked.
        if node != status.me && !self.cluster.is_up(node) {
            return Err(unavailable(format!(
                "{node} is down: start it again, or give it up with `chronos cluster replace {node}` if it is lost for good"
            )));
        }
        if within.wait.is_zero() {
            return Err(out_of_time(node));
        }
        let answer = if node == status.me {
            let answered = self.edge.env.clock.timeout(within.wait, self.here.answer(ask)).await;
            answered.map_err(|_| late(node, within))?
        } else {
            self.ask_there(node, ask, within).await?
        };
        match answer {
            Answer::Failure(failure) => {
                Err(Failure::try_from(failure).unwrap_or_else(|invalid| unreadable(node, &invalid)))
            }
            answer => Ok(answer),
        }
    }

    /// Asks a node, and reads its answer, which is one `of` the kind that was asked for.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); or that the answer is of another kind, or makes no sense.
    pub(super) async fn ask_for<M, T: TryFrom<M, Error = Invalid>>(
        &self,
        status: &Status,
        node: NodeId,
        ask: Ask,
        within: Within,
        of: fn(Answer) -> Option<M>,
    ) -> Result<T, Failure> {
        let message = of(self.ask(status, node, ask, within).await?).ok_or_else(|| odd(node))?;
        T::try_from(message).map_err(|invalid| unreadable(node, &invalid))
    }

    async fn ask_there(&self, node: NodeId, ask: Ask, within: Within) -> Result<Answer, Failure> {
        let body = v1::NodeRequest { ask: Some(ask) }.encode_to_vec().into();
        let answer = tokio::select! {
            biased; // an answer counts whatever else is heard of who gave it
            answer = self.cluster.ask_operators(node, body, within.wait) => answer,
            () = self.fallen_silent(node) => {
                let heard = format!("nothing was heard of it for {} s", SILENT_MAX.as_secs());
                return Err(unanswered(node, &heard));
            }
        };
        let answer = answer.map_err(|error| match error {
            CallError::Unreachable { cause: Cause::Deadline(_), .. }
            | CallError::Unknown { cause: Cause::Deadline(_), .. } => late(node, within),
            CallError::Unreachable { cause, .. } | CallError::Unknown { cause, .. } => {
                unanswered(node, &cause)
            }
            CallError::Refused { refusal, .. } => unavailable(format!("{node} refused: {refusal}")),
        })?;
        let response = v1::NodeResponse::decode(answer).map_err(|error| unreadable(node, &error))?;
        response.answer.ok_or_else(|| unreadable(node, &"it is empty"))
    }

    /// Resolves when nothing was heard of a node for too long.
    async fn fallen_silent(&self, node: NodeId) {
        let clock = &self.edge.env.clock;
        let began = clock.monotonic();
        loop {
            clock.sleep(LOOK_EVERY).await;
            // Who was up a moment ago has from the beginning.
            let waited = clock.monotonic().saturating_sub(began);
            let silent = self.cluster.heard(node).unwrap_or(Duration::MAX).min(waited);
            if silent >= SILENT_MAX {
                return;
            }
        }
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

/// The node is lost while it was asked.
fn unanswered(node: NodeId, why: &dyn std::fmt::Display) -> Failure {
    unavailable(format!(
        "{node} does not answer: {why}; see to it that it runs and can be reached, or give it up with `chronos cluster \
         replace {node}` if it is lost for good"
    ))
}

/// The node did not come to an end in the time that it had.
fn late(node: NodeId, within: Within) -> Failure {
    overdue(format!(
        "{node} was not done within {:.1} s: it may be busy, stand still or be cut off; see `chronos cluster nodes`, or give \
         it more time",
        within.wait.as_secs_f64()
    ))
}

/// The caller's time was over before the node was asked.
fn out_of_time(node: NodeId) -> Failure {
    overdue(format!("{node} was not asked: the time was over before; ask again, or give it more time"))
}

fn overdue(text: String) -> Failure {
    crate::grpc::failure::failure(Error::new(Class::Failed, Reason::DeadlineExceeded, text))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_waited_for_longer_than_the_caller_waits() {
        let seconds = Duration::from_secs;
        let within = |left| Within::new(seconds(60), left);
        assert_eq!(within(None), Within { work: seconds(60), wait: seconds(62) });
        assert_eq!(within(Some(seconds(61))), Within { work: seconds(60), wait: seconds(61) });
        assert_eq!(within(Some(seconds(5))), Within { work: seconds(5), wait: seconds(5) });
        assert!(within(Some(Duration::ZERO)).wait.is_zero());
    }
}
