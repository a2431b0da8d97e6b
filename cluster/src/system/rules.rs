//! Which changes of a cluster are allowed: decided on a state, and written only if that is still the state.

use std::collections::BTreeSet;
use std::time::Duration;

use chronos_bugs::{Bug, is_seeded};

use super::change::{Change, Entrant};
use super::state::State;
use super::token::TokenHash;
use crate::addresses::Addresses;
use crate::node::NodeId;
use crate::order::Order;
use crate::peer::{Denial, Denied};
use crate::view::{Member, MemberState};

/// What a rule says to a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decided<T> {
    /// It is so already.
    Already(T),
    /// It will be so when this is written.
    Write(Change, T),
}

/// A node that asks to become a member, or to be known again.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Newcomer {
    pub(crate) token: Option<String>,
    pub(crate) name: String,
    pub(crate) machine: u128,
    pub(crate) addresses: Addresses,
}

/// The members a cluster can have: what names them fits into a manifest several times over.
const MEMBERS_MAX: usize = 64;
/// Who is silent for less is not given up.
const REPLACE_AFTER_MIN: Duration = Duration::from_secs(10);

impl State {
    /// Founds the cluster, unless that has happened.
    pub(crate) fn found(
        &self,
        cluster: u128,
        replication: u8,
        token: Option<TokenHash>,
        founder: Entrant,
    ) -> Result<Decided<()>, Denied> {
        if self.is_founded() {
            return Ok(Decided::Already(()));
        }
        is_a_replication(replication)?;
        Ok(Decided::Write(Change::Founded { cluster, replication, token, founder }, ()))
    }

    /// Gives a node its number. The same machine has the same number as long as it is a member, so that a node that did
    /// not hear the answer may ask again.
    pub(crate) fn admit(&self, who: &Newcomer) -> Result<Decided<NodeId>, Denied> {
        if !self.is_founded() {
            return Err(Denied::new(Denial::NotNow, "the cluster is being founded; ask again in a moment"));
        }
        self.knows_the_token(who.token.as_deref())?;
        if let Some(member) = self.members.values().find(|member| member.machine == who.machine) {
            return self.readmit(member, who);
        }
        if let Some(lost) = self.members.values().find(|member| is_seeded(Bug::M18) && is_where(member, who))
        {
            let (node, Newcomer { name, machine, addresses, .. }) = (lost.node, who.clone());
            return Ok(Decided::Write(Change::Admitted(Entrant { node, name, machine, addresses }), node));
        }
        let present = self.members.values().filter(|member| member.state != MemberState::Removed);
        if present.count() >= MEMBERS_MAX {
            return Err(no(format!(
                "the cluster has {MEMBERS_MAX} members already, which is as many as it can have"
            )));
        }
        let last = self.members.last_key_value().map_or(0, |(node, _)| node.get());
        let node = NodeId::new(last + 1);
        let Newcomer { name, machine, addresses, .. } = who.clone();
        let name = if name.is_empty() { node.to_string() } else { name };
        self.is_free(&name, node, &addresses)?;
        Ok(Decided::Write(Change::Admitted(Entrant { node, name, machine, addresses }), node))
    }

    fn readmit(&self, member: &Member, who: &Newcomer) -> Result<Decided<NodeId>, Denied> {
        let node = member.node;
        if member.state == MemberState::Removed {
            let text = format!(
                "this data directory belonged to {node}, which was removed from the cluster; a removed node never comes \
                 back: join with an empty directory"
            );
            return Err(Denied::new(Denial::Removed, text));
        }
        let moved = self.announce(node, &who.name, &who.addresses)?;
        Ok(match moved {
            Decided::Already(()) => Decided::Already(node),
            Decided::Write(change, ()) => Decided::Write(change, node),
        })
    }

    fn knows_the_token(&self, shown: Option<&str>) -> Result<(), Denied> {
        let Some(wanted) = self.token else { return Ok(()) };
        match shown.map(|secret| TokenHash::of(self.cluster, secret)) {
            Some(hash) if hash == wanted => Ok(()),
            Some(_) => {
                let text = "the join token is wrong; ask the operator of the cluster for the present one";
                Err(Denied::new(Denial::Token, text))
            }
            None => {
                let text = "this cluster wants a join token; give one with --token or CHRONOS_JOIN_TOKEN";
                Err(Denied::new(Denial::Token, text))
            }
        }
    }

    /// Notes where a member is reached, and what it is called.
    pub(crate) fn announce(
        &self,
        node: NodeId,
        name: &str,
        addresses: &Addresses,
    ) -> Result<Decided<()>, Denied> {
        let member = self.known(node)?;
        if member.state == MemberState::Removed {
            return Err(no(format!("{node} was removed from the cluster")));
        }
        let name = if name.is_empty() { &member.name } else { name };
        if *name != member.name {
            self.is_free(name, node, addresses)?;
        }
        if (member.name.as_str(), &member.addresses) == (name, addresses) {
            return Ok(Decided::Already(()));
        }
        let (name, addresses) = (name.to_owned(), addresses.clone());
        Ok(Decided::Write(Change::Moved { node, name, addresses }, ()))
    }

    /// Whether a node may be called so: a name is that of one member, because operators name nodes by it. A machine that is
    /// found where that member was has taken its place, which nobody else can, and may have its name as well: who
    /// lost a disk comes back with the same flags and has to be let in before the other one can be replaced.
    fn is_free(&self, name: &str, node: NodeId, addresses: &Addresses) -> Result<(), Denied> {
        let takes_place_of =
            |other: &Member| !addresses.peer.is_empty() && other.addresses.peer == addresses.peer;
        let is_other =
            |other: &&Member| other.node != node && other.state != MemberState::Removed && other.name == name;
        let Some(holder) = self.members.values().find(|other| is_other(other) && !takes_place_of(other))
        else {
            return Ok(());
        };
        let text = format!(
            "the name {name:?} is that of {0}; give another one with --name, or, if this machine shall be there instead of \
             {0}, give that one up first: chronos cluster replace {0}",
            holder.node
        );
        Err(Denied::new(Denial::Taken, text))
    }

    /// What an operator wants of the cluster as a whole.
    pub(crate) fn order(&self, order: &Order) -> Result<Decided<()>, Denied> {
        let write = |change| Ok(Decided::Write(change, ()));
        match order {
            Order::Drain(node) => match self.known(*node)?.state {
                MemberState::Draining => Ok(Decided::Already(())),
                MemberState::Removed => Err(no(format!("{node} was removed from the cluster"))),
                MemberState::Active => self.can_spare(*node).and_then(|()| write(Change::Draining(*node))),
            },
            Order::Undrain(node) => match self.known(*node)?.state {
                MemberState::Active => Ok(Decided::Already(())),
                MemberState::Removed => {
                    Err(no(format!("{node} was removed from the cluster and does not come back")))
                }
                MemberState::Draining => write(Change::Undrained(*node)),
            },
            Order::Remove(node) => match self.known(*node)?.state {
                MemberState::Removed => Ok(Decided::Already(())),
                MemberState::Draining => write(Change::Removed(*node)),
                MemberState::Active => self.can_spare(*node).and_then(|()| write(Change::Removed(*node))),
            },
            Order::Pause if self.is_paused => Ok(Decided::Already(())),
            Order::Pause => write(Change::Paused),
            Order::Resume if !self.is_paused => Ok(Decided::Already(())),
            Order::Resume => write(Change::Resumed),
            Order::Replication(replicas) if *replicas == self.replication => Ok(Decided::Already(())),
            Order::Replication(replicas) => {
                is_a_replication(*replicas)?;
                write(Change::Settings { replication: Some(*replicas), replace_after: None })
            }
            Order::ReplaceAfter(silence) if *silence == self.replace_after => Ok(Decided::Already(())),
            Order::ReplaceAfter(silence) if *silence < REPLACE_AFTER_MIN => Err(no(format!(
                "{silence:?} of silence is what a restart may take; give at least {REPLACE_AFTER_MIN:?}"
            ))),
            Order::ReplaceAfter(silence) => {
                write(Change::Settings { replication: None, replace_after: Some(*silence) })
            }
            Order::Token(secret) => {
                let hash = secret.as_deref().map(|secret| TokenHash::of(self.cluster, secret));
                if hash == self.token { Ok(Decided::Already(())) } else { write(Change::Token(hash)) }
            }
            Order::Transfer { .. } => Err(no("a transfer concerns one partition, not the cluster")),
        }
    }

    /// Whether the cluster keeps as many copies of everything without a node as it has with it.
    fn can_spare(&self, node: NodeId) -> Result<(), Denied> {
        let mut without = self.clone();
        if let Some(member) = without.members.get_mut(&node) {
            member.state = MemberState::Draining;
        }
        let (now, then) = (self.replicas(), without.replicas());
        let left: BTreeSet<NodeId> = without.active().collect();
        if left.is_empty() {
            return Err(no(format!("{node} is the last node that serves; somebody must hold the data")));
        }
        if then < now {
            let are = if left.len() == 1 { "is 1 node" } else { &format!("are {} nodes", left.len()) };
            return Err(no(format!(
                "without {node} there {are} left, too few for the {now} replicas of every partition: have another node \
                 join first (chronos server --join ADDR), or, if fewer copies are meant, lower the replication (chronos \
                 cluster replication {then})"
            )));
        }
        Ok(())
    }

    fn known(&self, node: NodeId) -> Result<&Member, Denied> {
        self.members.get(&node).ok_or_else(|| no(format!("there is no node {node} in this cluster")))
    }
}

/// Whether the machine that asks is found where that member was.
fn is_where(member: &Member, who: &Newcomer) -> bool {
    !who.addresses.peer.is_empty() && member.addresses.peer == who.addresses.peer
}

/// A rule says no.
fn no(text: impl Into<String>) -> Denied {
    Denied::new(Denial::Malformed, text)
}

fn is_a_replication(replicas: u8) -> Result<(), Denied> {
    match replicas {
        1 | 3 | 5 => Ok(()),
        other => Err(no(format!("a replication of {other} is not possible; give 1, 3 or 5"))),
    }
}

#[cfg(test)]
mod tests {
    use chronos_domain::Timestamp;

    use super::*;

    fn entrant(node: u64) -> Entrant {
        let addresses =
            Addresses { client: format!("c{node}"), peer: format!("p{node}"), admin: String::new() };
        Entrant { node: NodeId::new(node), name: format!("name{node}"), machine: u128::from(node), addresses }
    }

    fn newcomer(machine: u64) -> Newcomer {
        let Entrant { name, machine, addresses, .. } = entrant(machine);
        Newcomer { token: None, name, machine, addresses }
    }

    fn take<T>(state: &mut State, decided: Result<Decided<T>, Denied>) -> T {
        match decided.unwrap() {
            Decided::Already(so) => so,
            Decided::Write(change, so) => {
                state.apply(Some(&change), Timestamp::new(1));
                so
            }
        }
    }

    /// A cluster of so many nodes that wants three replicas.
    fn cluster(nodes: u64) -> State {
        let mut state = State::default();
        let founded = state.found(7, 3, None, entrant(1));
        take(&mut state, founded);
        for machine in 2..=nodes {
            let admitted = state.admit(&newcomer(machine));
            assert_eq!(take(&mut state, admitted), NodeId::new(machine));
        }
        state
    }

    #[test]
    fn a_machine_keeps_its_number_until_it_is_removed_and_never_comes_back() {
        let mut state = cluster(4);
        assert_eq!(state.admit(&newcomer(2)), Ok(Decided::Already(NodeId::new(2))));
        let elsewhere = Newcomer { addresses: Addresses::default(), ..newcomer(2) };
        let moved = state.admit(&elsewhere);
        assert!(matches!(moved, Ok(Decided::Write(Change::Moved { .. }, node)) if node == NodeId::new(2)));
        let removed = state.order(&Order::Remove(NodeId::new(2)));
        take(&mut state, removed);
        assert!(state.admit(&newcomer(2)).unwrap_err().text.contains("never comes back"));
        // Not even the number does.
        let next = state.admit(&newcomer(9));
        assert_eq!(take(&mut state, next), NodeId::new(5));
    }

    #[test]
    fn a_name_is_that_of_one_member_until_it_is_removed_or_another_machine_is_in_its_place() {
        let mut state = cluster(4);
        let called = |machine, name: &str| Newcomer { name: name.to_owned(), ..newcomer(machine) };
        let denied = state.admit(&called(9, "name2")).unwrap_err();
        assert_eq!(denied.why, Denial::Taken);
        assert!(
            denied.text.contains("is that of n2") && denied.text.contains("cluster replace n2"),
            "{denied}"
        );
        let moves = state.announce(NodeId::new(3), "name2", &entrant(3).addresses);
        assert_eq!(moves.unwrap_err().why, Denial::Taken, "nor does a member take the name of another");
        let same = state.announce(NodeId::new(2), "name2", &Addresses::default());
        assert!(matches!(same, Ok(Decided::Write(..))), "it keeps its own, wherever it is");
        let in_its_place = Newcomer { addresses: entrant(2).addresses, ..called(9, "name2") };
        assert!(matches!(state.admit(&in_its_place), Ok(Decided::Write(_, node)) if node == NodeId::new(5)));
        // A number is a name, too.
        let mut other = cluster(2);
        let named = other.admit(&called(9, "n4"));
        take(&mut other, named);
        assert_eq!(other.admit(&called(8, "")).unwrap_err().why, Denial::Taken);
        let removed = state.order(&Order::Remove(NodeId::new(2)));
        take(&mut state, removed);
        assert!(matches!(state.admit(&called(9, "name2")), Ok(Decided::Write(..))));
    }

    #[test]
    fn where_a_token_is_set_nobody_joins_without_it() {
        let mut state = cluster(1);
        let set = state.order(&Order::Token(Some("open sesame".to_owned())));
        take(&mut state, set);
        let with = |token: Option<&str>| {
            let token = token.map(str::to_owned);
            state.admit(&Newcomer { token, ..newcomer(2) }).map(drop)
        };
        assert!(with(None).is_err() && with(Some("open barley")).is_err());
        assert_eq!(with(Some("open sesame")), Ok(()));
        assert!(!format!("{state:?}").contains("sesame"));
    }

    #[test]
    fn nobody_leaves_at_the_price_of_a_copy() {
        let state = cluster(3);
        let refused = state.order(&Order::Drain(NodeId::new(3))).unwrap_err().text;
        let wanted = "without n3 there are 2 nodes left, too few for the 3 replicas of every partition";
        assert!(refused.contains(wanted) && refused.contains("cluster replication 1"), "{refused}");
        assert!(cluster(1).order(&Order::Remove(NodeId::FIRST)).unwrap_err().text.contains("the last node"));
        assert!(cluster(4).order(&Order::Drain(NodeId::new(3))).is_ok());
        // Two nodes hold no more than one copy, so one of them can be spared.
        assert!(cluster(2).order(&Order::Remove(NodeId::FIRST)).is_ok());
        let mut state = cluster(3);
        let lowered = state.order(&Order::Replication(1));
        take(&mut state, lowered);
        assert!(state.order(&Order::Remove(NodeId::new(3))).is_ok());
    }

    #[test]
    fn an_order_that_is_carried_out_already_writes_nothing() {
        let mut state = cluster(4);
        let orders = [
            Order::Drain(NodeId::new(2)),
            Order::Remove(NodeId::new(2)),
            Order::Pause,
            Order::Replication(5),
            Order::ReplaceAfter(Duration::from_secs(20)),
            Order::Token(Some("a".to_owned())),
        ];
        for order in orders {
            let decided = state.order(&order);
            assert!(matches!(decided, Ok(Decided::Write(..))), "{order:?}: {decided:?}");
            take(&mut state, decided);
            assert_eq!(state.order(&order), Ok(Decided::Already(())), "{order:?}");
        }
        assert!(state.order(&Order::Replication(2)).is_err());
        assert!(state.order(&Order::ReplaceAfter(Duration::from_secs(9))).is_err());
        assert!(state.order(&Order::Undrain(NodeId::new(2))).is_err());
        assert!(state.order(&Order::Drain(NodeId::new(17))).is_err());
    }
}
