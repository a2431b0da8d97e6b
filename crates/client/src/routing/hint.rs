//! What a node that does not lead says of who does.

use chronos_proto::{Failure, NodeId};

/// The reason of a failure that says: not here.
pub(crate) const NOT_LEADER: &str = "NOT_LEADER";

/// Who leads, by the word of a node that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) leader: NodeId,
    /// Where clients reach it; empty when the node that says so does not know.
    pub(crate) address: String,
    /// The placement that this is known from; 0 when it was not said.
    pub(crate) epoch: u64,
}

impl Hint {
    /// The hint in a failure, if there is one.
    pub(crate) fn of(failure: &Failure) -> Option<Self> {
        if failure.reason != NOT_LEADER {
            return None;
        }
        let number = |name: &str| failure.metadata.get(name)?.parse().ok();
        Some(Self {
            leader: NodeId::new(number("leader_node")?)?,
            address: failure.metadata.get("leader").cloned().unwrap_or_default(),
            epoch: number("epoch").unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use chronos_proto::Class;

    use super::*;

    #[test]
    fn a_hint_needs_a_node_and_may_come_without_the_rest() {
        let bare = Failure::new(Class::NotApplied, NOT_LEADER, "not here").with("partition", 3);
        assert_eq!(Hint::of(&bare), None);
        let two = NodeId::new(2).unwrap();
        let named = bare.with("leader_node", 2);
        assert_eq!(Hint::of(&named), Some(Hint { leader: two, address: String::new(), epoch: 0 }));
        let whole = named.clone().with("leader", "b:1").with("epoch", 7);
        assert_eq!(Hint::of(&whole), Some(Hint { leader: two, address: "b:1".to_owned(), epoch: 7 }));
        assert_eq!(Hint::of(&named.with("leader_node", 0)), None);
        let other = Failure { reason: "UNAVAILABLE".to_owned(), ..whole };
        assert_eq!(Hint::of(&other), None);
    }
}
