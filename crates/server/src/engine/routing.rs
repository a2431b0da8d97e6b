//! Which node does what is asked: this one, or one that leads or holds the partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronos_app::{Class, Error, Reason};
use chronos_cluster::{NodeId, Outcome, Request};
use chronos_domain::{ForkId, PartitionId, TenantId};
use chronos_proto::peer::v1::forward_request::Ask;
use chronos_proto::peer::v1::forward_response::Answer;

use super::forward::{Answers, Away, Forward};
use super::{ELECTION_RETRY_MS, Engine, refused};

/// Between two looks at who leads, while nobody does.
const ELECTION_POLL: Duration = Duration::from_millis(100);
/// How many nodes that are said to lead are asked to do one thing.
const LEADERS_MAX: usize = 2;

impl Engine {
    /// The same node for callers who want nobody else to be asked.
    pub(crate) fn direct(&self) -> Engine {
        Engine { forward: None, anyway: None, ..self.clone() }
    }

    /// The same node for operators: others are asked whether or not its callers may have them asked.
    pub(crate) fn for_operators(&self) -> Engine {
        Engine { forward: self.anyway.clone(), ..self.clone() }
    }

    /// Whether others are asked for what this node does not lead or hold.
    pub(crate) const fn asks_others(&self) -> bool {
        self.forward.is_some()
    }

    /// Lets this node's callers be served by others, where there are any. What others ask for theirs is answered in any
    /// case.
    pub(crate) fn among_others(self, forwards: bool) -> Engine {
        self.cluster.answer_forwarded(Arc::new(Answers::new(&self)));
        let anyway = Forward::new(self.env.clock.clone(), &self.cluster, &self.floors).map(Arc::new);
        Engine { forward: anyway.clone().filter(|_| forwards), anyway, ..self }
    }

    /// Commands and reads that this node passed on, and how many of them failed; `None` where it passes nothing on.
    pub(crate) fn forwarded(&self) -> Option<[u64; 3]> {
        self.forward.as_ref().map(|forward| forward.counts())
    }

    /// A partition that has to be asked about elsewhere; `None` where this node may answer.
    ///
    /// # Errors
    /// When it may not, and nobody else may be asked: who holds it, or why this node does not serve what it has.
    pub(super) fn away(&self, class: Class, id: PartitionId) -> Result<Option<Away<'_>>, Error> {
        if self.cluster.holds(id) {
            return Ok(None);
        }
        let holders = self.cluster.others_holding(id);
        match &self.forward {
            Some(forward) if !holders.is_empty() => {
                Ok(Some(Away { forward, id, holders, until: self.until }))
            }
            _ => Err(self.not_held(class, id, &holders)),
        }
    }

    /// The partition, for what is done on this node or not at all.
    ///
    /// # Errors
    /// When this node does not hold or serve it.
    pub(super) fn only_here(&self, id: PartitionId) -> Result<(), Error> {
        if self.cluster.holds(id) {
            return Ok(());
        }
        Err(self.not_held(Class::Failed, id, &self.cluster.others_holding(id)))
    }

    /// Refuses what needs all of the history, where this node has only part of it and asks nobody for the rest; `instead`
    /// says what else to do.
    ///
    /// # Errors
    /// Which partitions are missing, and who holds them.
    pub(crate) fn all_here(&self, what: &str, instead: &str) -> Result<(), Error> {
        let missing: Vec<PartitionId> = PartitionId::all().filter(|id| !self.cluster.holds(*id)).collect();
        if missing.is_empty() || self.asks_others() {
            return Ok(());
        }
        let mut by_holders: BTreeMap<String, Vec<PartitionId>> = BTreeMap::new();
        for id in &missing {
            by_holders.entry(list(&self.cluster.others_holding(*id))).or_default().push(*id);
        }
        let places = by_holders.iter().map(|(holders, ids)| format!("{} on {holders}", numbers(ids)));
        let text = format!(
            "{what} needs every partition, and this node, {}, does not hold {}: {}; it is told not to ask them (--forward \
             off, or chronos-routing: direct): {instead}",
            self.cluster.me(),
            numbers(&missing),
            places.collect::<Vec<_>>().join("; ")
        );
        Err(Error::new(Class::Failed, Reason::NotLeader, text).with("partitions", numbers(&missing)))
    }

    fn not_held(&self, class: Class, id: PartitionId, holders: &[NodeId]) -> Error {
        if let Err(why) = self.groups.partition(id) {
            return refused(class, id, &why);
        }
        let (me, names) = (self.cluster.me(), list(holders));
        let text = match holders {
            _ if self.cluster.is_of(id) => format!(
                "this node, {me}, was started and does not know yet whether its replica of partition {id} is as far as it was \
                 before; ask again, or ask another that holds it: {names}"
            ),
            [] => format!(
                "this node, {me}, holds no replica of partition {id}, and knows nobody yet who does; ask again"
            ),
            _ => format!("this node, {me}, holds no replica of partition {id}; ask one that does: {names}"),
        };
        let error = Error::new(class, Reason::NotLeader, text).with("partition", id);
        let leader = self.cluster.leader(id).filter(|leader| *leader != me);
        self.naming_leader(error, leader).with("holders", names)
    }

    /// A command that came to the wrong node. What says where it belongs are the details; where nobody is known, why.
    pub(super) fn not_leader(&self, id: PartitionId, leader: Option<NodeId>, text: String) -> Error {
        let text = if leader.is_none() { self.plight(id).leaderless() } else { text };
        let error = Error::new(Class::NotApplied, Reason::NotLeader, text).with("partition", id);
        self.naming_leader(error, leader)
    }

    fn naming_leader(&self, error: Error, leader: Option<NodeId>) -> Error {
        let Some(leader) = leader else { return error.retry_after_ms(ELECTION_RETRY_MS) };
        let error = error.with("leader_node", leader.get()).with("epoch", self.cluster.epoch());
        let address = self.cluster.member(leader).map(|member| member.addresses.client).unwrap_or_default();
        if address.is_empty() { error } else { error.with("leader", address) }
    }

    /// What a command comes to that this node does not take.
    pub(super) fn not_taken(&self, id: PartitionId) -> Error {
        self.not_held(Class::NotApplied, id, &self.cluster.others_holding(id))
    }

    /// Has the leader do what this node may not: one node, and whoever leads by then when that one certainly did not do
    /// it. While an election is on that is waited for, since the caller may have nobody else to ask; then this node may be
    /// the one that leads, and does it itself.
    pub(super) async fn command(
        &self,
        id: PartitionId,
        tenant: &TenantId,
        request: Request,
        (ask, deadline): (Ask, Duration),
    ) -> Result<Done, Error> {
        loop {
            let turned_away = match self.here(id, request.clone(), deadline).await? {
                Ok(outcome) => return Ok(Done::Here(outcome)),
                Err(turned_away) => turned_away,
            };
            let Some(forward) = &self.forward else { return Err(turned_away) };
            match self.at_leader(forward, id, (tenant, &ask, deadline), turned_away).await {
                // Nobody leads, or those that are said to lead send to one another: an election is on.
                Err(error) if is_not_led(&error) && self.left(deadline) > ELECTION_POLL => {
                    chronos_env::sometimes!("forward.waited_for_election");
                    self.env.clock.sleep(ELECTION_POLL).await;
                }
                answer => {
                    let explained = |error| passed_on_in_vain(self.explained(id, error));
                    return answer.map(Done::There).map_err(explained);
                }
            }
        }
    }

    /// A command that nobody took, with what is missing: a node that is turned away, or reaches nobody, knows no more than
    /// that.
    fn explained(&self, id: PartitionId, error: Error) -> Error {
        let plight = self.plight(id);
        if is_leaderless(&error) || (is_elsewhere(&error) && !plight.has_majority()) {
            return Error { message: plight.leaderless(), ..error };
        }
        error
    }

    async fn at_leader(
        &self,
        forward: &Forward,
        id: PartitionId,
        (tenant, ask, deadline): (&TenantId, &Ask, Duration),
        mut turned_away: Error,
    ) -> Result<Answer, Error> {
        let mut asked = None;
        for _ in 0..LEADERS_MAX {
            let leader = named(&turned_away).or_else(|| self.cluster.leader(id));
            let leader = leader.filter(|leader| *leader != self.cluster.me() && Some(*leader) != asked);
            let Some(leader) = leader else { break };
            chronos_env::sometimes!("forward.sent_on_to_another_leader", asked.is_some());
            let space = Some((tenant, ForkId::MAIN));
            match forward.ask((leader, id), space, ask.clone(), deadline).await {
                Err(error) if is_elsewhere(&error) => (turned_away, asked) = (error, Some(leader)),
                answer => return answer,
            }
        }
        Err(turned_away)
    }
}

/// What a command came to, and where.
pub(super) enum Done {
    /// On this node.
    Here(Outcome),
    /// On another one.
    There(Answer),
}

/// Whether the command was certainly not done because whoever was asked does not lead.
fn is_not_led(error: &Error) -> bool {
    is_elsewhere(error) && error.reason == Reason::NotLeader
}

/// What a caller is told for whom others were asked: to ask again, and not whom else to ask, which is for those who find the
/// way themselves.
pub(super) fn passed_on_in_vain(error: Error) -> Error {
    let names =
        |(name, value): &(&str, String)| matches!(*name, "leader_node" | "holders") && !value.is_empty();
    if error.reason != Reason::NotLeader || !error.details.iter().any(names) {
        return error;
    }
    Error { reason: Reason::Unavailable, ..error }.retry_after_ms(ELECTION_RETRY_MS)
}

/// Whether the command was certainly not done because nobody leads now.
fn is_leaderless(error: &Error) -> bool {
    is_not_led(error) && named(error).is_none()
}

/// The leader that an error names.
fn named(error: &Error) -> Option<NodeId> {
    let (_, number) = error.details.iter().find(|(name, _)| *name == "leader_node")?;
    number.parse().ok().map(NodeId::new)
}

/// Whether the command was certainly not done because of the node that was asked.
fn is_elsewhere(error: &Error) -> bool {
    error.class == Class::NotApplied && matches!(error.reason, Reason::NotLeader | Reason::Unavailable)
}

fn numbers(partitions: &[PartitionId]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
