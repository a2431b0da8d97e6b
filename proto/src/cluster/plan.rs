//! What the placement driver would do.

use chronos_domain::{Invalid, PartitionId};

use super::{NodeId, each, v1};

/// What the placement driver would do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whether it is paused, so that it does nothing of it.
    pub is_paused: bool,
    /// In the order in which the steps would be taken.
    pub steps: Vec<PlannedStep>,
    /// What is not as it should be even then, and what it waits for.
    pub waits: Vec<String>,
}

/// One step of the placement driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedStep {
    /// What would be done.
    pub what: String,
    /// Why.
    pub why: String,
    /// The partition it is about.
    pub partition: Option<PartitionId>,
    /// The node it is about.
    pub node: Option<NodeId>,
}

impl From<PlannedStep> for v1::PlannedStep {
    fn from(of: PlannedStep) -> Self {
        Self {
            what: of.what,
            why: of.why,
            partition: of.partition.map(|partition| partition.get().into()),
            node: of.node.map(NodeId::get),
        }
    }
}

impl TryFrom<v1::PlannedStep> for PlannedStep {
    type Error = Invalid;

    fn try_from(message: v1::PlannedStep) -> Result<Self, Invalid> {
        Ok(Self {
            what: message.what,
            why: message.why,
            partition: message.partition.map(super::partition).transpose()?,
            node: message.node.map(NodeId::new),
        })
    }
}

impl From<Plan> for v1::PlanResponse {
    fn from(of: Plan) -> Self {
        let steps = of.steps.into_iter().map(Into::into).collect();
        Self { paused: of.is_paused, steps, waits: of.waits }
    }
}

impl TryFrom<v1::PlanResponse> for Plan {
    type Error = Invalid;

    fn try_from(message: v1::PlanResponse) -> Result<Self, Invalid> {
        Ok(Self { is_paused: message.paused, steps: each(message.steps)?, waits: message.waits })
    }
}
