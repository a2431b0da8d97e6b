//! What follows from everything that has happened to the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chronos_domain::{PartitionId, Timestamp};

use super::change::{Change, Entrant};
use super::token::TokenHash;
use crate::node::NodeId;
use crate::view::{Member, MemberState};

/// Replicas of a node that is silent for so long are made anew elsewhere, unless the cluster is set otherwise.
const REPLACE_AFTER: Duration = Duration::from_secs(600);

/// The cluster, folded from its events. A pure function of them: every node that has read as far holds the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// How many events this is the fold of. The epoch.
    pub(crate) version: u64,
    /// The cluster's id; 0 before it is founded.
    pub(crate) cluster: u128,
    /// How many replicas a partition shall have.
    pub(crate) replication: u8,
    /// Whether the placement driver is to hold still.
    pub(crate) is_paused: bool,
    /// After what silence the replicas of a node are made anew elsewhere.
    pub(crate) replace_after: Duration,
    /// What a joining node must show, if anything.
    pub(crate) token: Option<TokenHash>,
    /// Everybody who ever was a member. Nobody leaves this table, so no number is given twice.
    pub(crate) members: BTreeMap<NodeId, Member>,
    /// Who belonged to each group when that was last noted.
    pub(crate) placed: BTreeMap<PartitionId, Placed>,
}

/// The members of a group, as noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) voters: BTreeSet<NodeId>,
    pub(crate) learners: BTreeSet<NodeId>,
}

impl Default for State {
    fn default() -> State {
        State {
            version: 0,
            cluster: 0,
            replication: 1,
            is_paused: false,
            replace_after: REPLACE_AFTER,
            token: None,
            members: BTreeMap::new(),
            placed: BTreeMap::new(),
        }
    }
}

impl State {
    /// Takes in the next event, recorded at that moment; one that means nothing to this release only counts. What
    /// contradicts the state changes nothing: rules are checked before an event is written, and a fold must not fail.
    pub(crate) fn apply(&mut self, change: Option<&Change>, at: Timestamp) {
        self.version += 1;
        match change {
            Some(Change::Founded { cluster, replication, token, founder }) if self.members.is_empty() => {
                (self.cluster, self.replication, self.token) = (*cluster, *replication, *token);
                self.enter(founder, at);
            }
            None | Some(Change::Founded { .. }) => {}
            Some(Change::Admitted(entrant)) => self.enter(entrant, at),
            Some(Change::Moved { node, name, addresses }) => {
                if let Some(member) = self.members.get_mut(node) {
                    (member.name, member.addresses) = (name.clone(), addresses.clone());
                }
            }
            Some(Change::Draining(node)) => self.become_now(*node, MemberState::Draining, at),
            Some(Change::Undrained(node)) => self.become_now(*node, MemberState::Active, at),
            Some(Change::Removed(node)) => self.become_now(*node, MemberState::Removed, at),
            Some(Change::Placed { partition, voters, learners, .. }) => {
                let placed = Placed { voters: voters.clone(), learners: learners.clone() };
                self.placed.insert(*partition, placed);
            }
            Some(Change::Paused) => self.is_paused = true,
            Some(Change::Resumed) => self.is_paused = false,
            Some(Change::Settings { replication, replace_after }) => {
                self.replication = replication.unwrap_or(self.replication);
                self.replace_after = replace_after.unwrap_or(self.replace_after);
            }
            Some(Change::Token(hash)) => self.token = *hash,
        }
    }

    fn enter(&mut self, entrant: &Entrant, at: Timestamp) {
        let Entrant { node, name, machine, addresses } = entrant.clone();
        let member = Member { node, name, machine, addresses, state: MemberState::Active, since: at };
        self.members.entry(node).or_insert(member);
    }

    fn become_now(&mut self, node: NodeId, state: MemberState, at: Timestamp) {
        let member = self.members.get_mut(&node);
        if let Some(member) = member.filter(|member| member.state != MemberState::Removed) {
            (member.state, member.since) = (state, at);
        }
    }

    /// Whether there is a cluster.
    pub(crate) fn is_founded(&self) -> bool {
        !self.members.is_empty()
    }

    /// What a node is to the cluster; `None` for a stranger.
    pub(crate) fn state_of(&self, node: NodeId) -> Option<MemberState> {
        self.members.get(&node).map(|member| member.state)
    }

    /// The nodes that hold their share.
    pub(crate) fn active(&self) -> impl Iterator<Item = NodeId> {
        let active = self.members.values().filter(|member| member.state == MemberState::Active);
        active.map(|member| member.node)
    }

    /// The nodes that belong to the cluster, those that are on their way out included.
    pub(crate) fn present(&self) -> impl Iterator<Item = NodeId> {
        let present = self.members.values().filter(|member| member.state != MemberState::Removed);
        present.map(|member| member.node)
    }

    /// How many replicas a data partition can have: as many as it shall, or the greatest odd number that there are nodes
    /// for. An even number would bear no more losses than the odd one below it.
    pub(crate) fn replicas(&self) -> usize {
        odd(usize::from(self.replication).min(self.active().count()))
    }
}

/// The greatest odd number that is not above; 0 for 0.
pub(crate) fn odd(number: usize) -> usize {
    if number == 0 { 0 } else { number - (number + 1) % 2 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::addresses::Addresses;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    fn any_node() -> impl Strategy<Value = NodeId> {
        (1_u64..8).prop_map(NodeId::new)
    }

    fn any_addresses() -> impl Strategy<Value = Addresses> {
        ("[a-z]{1,4}:[0-9]{2}", "[a-z]{1,4}:[0-9]{2}", "([a-z]{1,4}:[0-9]{2})?")
            .prop_map(|(client, peer, admin)| Addresses { client, peer, admin })
    }

    fn any_entrant() -> impl Strategy<Value = Entrant> {
        (any_node(), "[a-z]{1,5}", any::<u128>(), any_addresses())
            .prop_map(|(node, name, machine, addresses)| Entrant { node, name, machine, addresses })
    }

    fn any_token() -> impl Strategy<Value = Option<TokenHash>> {
        proptest::option::of(any::<[u8; 32]>().prop_map(TokenHash::from_bytes))
    }

    /// Any event at all, whether it makes sense or not.
    pub(crate) fn any_change() -> impl Strategy<Value = Change> {
        let replication = prop_oneof![Just(1_u8), Just(3), Just(5)];
        let after = (0_u64..100_000).prop_map(Duration::from_millis);
        prop_oneof![
            (any::<u128>(), replication.clone(), any_token(), any_entrant()).prop_map(
                |(cluster, replication, token, founder)| Change::Founded {
                    cluster,
                    replication,
                    token,
                    founder
                }
            ),
            any_entrant().prop_map(Change::Admitted),
            (any_node(), "[a-z]{1,5}", any_addresses()).prop_map(|(node, name, addresses)| Change::Moved {
                node,
                name,
                addresses
            }),
            any_node().prop_map(Change::Draining),
            any_node().prop_map(Change::Undrained),
            any_node().prop_map(Change::Removed),
            (0_u8..=32, btree_set(any_node(), 1..4), btree_set(any_node(), 0..2), "[a-z ]{0,9}").prop_map(
                |(partition, voters, learners, why)| {
                    let partition = PartitionId::of_group(partition).expect("there are 33");
                    Change::Placed { partition, voters, learners, why }
                }
            ),
            Just(Change::Paused),
            Just(Change::Resumed),
            (proptest::option::of(replication), proptest::option::of(after))
                .prop_map(|(replication, replace_after)| Change::Settings { replication, replace_after }),
            any_token().prop_map(Change::Token),
        ]
    }

    proptest! {
        #[test]
        fn folding_never_fails_counts_every_event_and_forgets_nobody(changes in vec(any_change(), 0..60)) {
            let mut state = State::default();
            let mut everybody = BTreeSet::new();
            for (n, change) in changes.iter().enumerate() {
                let removed: Vec<NodeId> =
                    state.members.values().filter(|m| m.state == MemberState::Removed).map(|m| m.node).collect();
                state.apply(Some(change), Timestamp::new(n as i64));
                prop_assert_eq!(state.version, n as u64 + 1);
                everybody.extend(state.members.keys().copied());
                prop_assert!(everybody.iter().eq(state.members.keys()));
                for node in removed {
                    prop_assert_eq!(state.state_of(node), Some(MemberState::Removed), "{} came back", node);
                }
            }
        }
    }

    #[test]
    fn odd_numbers_are_what_a_quorum_is_made_of() {
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(odd), [0, 1, 1, 3, 3, 5, 5]);
    }
}
