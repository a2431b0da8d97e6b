//! Steps as bytes.

use bytes::Bytes;
use chronos_domain::PartitionId;
use chronos_proto::peer::v1::{self, steer};
use chronos_wal::Mark;
use prost::Message;

use super::step::Action;
use crate::node::NodeId;
use crate::peer::Refusal;

/// A step, as whoever takes it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Steer {
    pub(crate) partition: PartitionId,
    pub(crate) action: Action,
    /// The entry that must name the members; any may where this is `None`.
    pub(crate) at: Option<Mark>,
    /// The term of the driver; 0 for an operator's wish.
    pub(crate) driver_term: u64,
}

impl Steer {
    pub(crate) fn encode(&self) -> Bytes {
        let action = match &self.action {
            Action::AddLearner(node) => steer::Action::AddLearner(node.get()),
            Action::DropLearner(node) => steer::Action::DropLearner(node.get()),
            Action::SetVoters(voters) => steer::Action::SetVoters(v1::NodeSet {
                nodes: voters.iter().map(|node| node.get()).collect(),
            }),
            Action::Transfer(node) => steer::Action::Transfer(node.get()),
            Action::Free { last, .. } => steer::Action::Free(*last),
        };
        let steer = v1::Steer {
            partition: self.partition.get().into(),
            members_term: self.at.map(|at| at.term),
            members_index: self.at.map_or(0, |at| at.index),
            driver_term: self.driver_term,
            action: Some(action),
        };
        Bytes::from(steer.encode_to_vec())
    }

    /// Reads a step that is for the node `me`.
    pub(crate) fn decode(body: &Bytes, me: NodeId) -> Result<Steer, Refusal> {
        let malformed = |what: String| Refusal::new(Refusal::MALFORMED, what);
        let steer = v1::Steer::decode(body.clone()).map_err(|error| malformed(error.to_string()))?;
        let partition = u8::try_from(steer.partition).ok().and_then(PartitionId::of_group);
        let action = match steer.action {
            Some(steer::Action::AddLearner(node)) => Action::AddLearner(NodeId::new(node)),
            Some(steer::Action::DropLearner(node)) => Action::DropLearner(NodeId::new(node)),
            Some(steer::Action::SetVoters(set)) => {
                Action::SetVoters(set.nodes.into_iter().map(NodeId::new).collect())
            }
            Some(steer::Action::Transfer(node)) => Action::Transfer(NodeId::new(node)),
            Some(steer::Action::Free(last)) => Action::Free { node: me, last },
            None => return Err(malformed("the step says nothing".to_owned())),
        };
        Ok(Steer {
            partition: partition
                .ok_or_else(|| malformed(format!("there is no partition {}", steer.partition)))?,
            action,
            at: steer.members_term.map(|term| Mark { index: steer.members_index, term }),
            driver_term: steer.driver_term,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_step_survives_the_wire() {
        let n = NodeId::new;
        let actions = [
            Action::AddLearner(n(2)),
            Action::DropLearner(n(3)),
            Action::SetVoters(BTreeSet::from([n(1), n(4)])),
            Action::Transfer(n(5)),
            Action::Free { node: n(9), last: 77 },
        ];
        for action in actions {
            for at in [None, Some(Mark { index: 4, term: 2 })] {
                let steer =
                    Steer { partition: PartitionId::SYSTEM, action: action.clone(), at, driver_term: 3 };
                assert!(Steer::decode(&steer.encode(), n(9)).is_ok_and(|read| read == steer));
            }
        }
        assert!(Steer::decode(&Bytes::new(), n(9)).is_err());
    }
}
