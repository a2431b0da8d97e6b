//! Whether what an operator wants makes sense as the cluster is, decided from a status alone.
//!
//! The cluster itself refuses what would be wrong (its rules hold whoever asks, and whatever has changed since); here is
//! refused what is hardly meant, with what to do instead.

use chronos_app::{Class, Error, Reason};
use chronos_cluster::{DOWN_AFTER, Order};
use chronos_domain::PartitionId;
use chronos_proto::cluster::{Health, Node, NodeId, NodeState, Partition, Status};

/// What an operator wants.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    Drain(NodeId),
    Undrain(NodeId),
    Remove { node: NodeId, force: bool },
    Replace(NodeId),
    Transfer { partition: PartitionId, to: NodeId },
    Pause,
    Resume,
    Replication(u32),
    Token(Option<String>),
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// The cluster is told.
    Order(Order),
    /// It is so already.
    Done,
}

/// A voter that is so many events behind would keep a partition waiting if it led.
const LAG_TO_LEAD_MAX: u64 = 10_000;

/// Decides.
///
/// # Errors
/// What speaks against it, and what to do next.
pub(super) fn permit(status: &Status, wish: Wish) -> Result<Permit, Error> {
    match wish {
        Wish::Drain(node) => drain(status, node),
        Wish::Undrain(node) => undrain(status, node),
        Wish::Remove { node, force } => remove(status, node, force),
        Wish::Replace(node) => replace(status, node),
        Wish::Transfer { partition, to } => transfer(status, partition, to),
        Wish::Pause if status.is_paused => Ok(Permit::Done),
        Wish::Pause => Ok(Permit::Order(Order::Pause)),
        Wish::Resume if !status.is_paused => Ok(Permit::Done),
        Wish::Resume => Ok(Permit::Order(Order::Resume)),
        Wish::Replication(replicas) => replication(status, replicas),
        Wish::Token(token) => {
            if token.as_ref().is_some_and(String::is_empty) {
                return Err(Error::invalid("the token is empty; give one, or none").with("field", "token"));
            }
            Ok(Permit::Order(Order::Token(token)))
        }
    }
}

fn drain(status: &Status, id: NodeId) -> Result<Permit, Error> {
    let node = known(status, id)?;
    match node.state {
        NodeState::Draining => return Ok(Permit::Done),
        NodeState::Removed => return Err(rule(format!("{id} is removed already, which drains it"))),
        NodeState::Active => {}
    }
    if !status.nodes.iter().any(|other| other.node != id && other.state == NodeState::Active) {
        return Err(rule(format!(
            "{id} is the last node that can hold anything; add another one first (chronos server --join ADDR)"
        )));
    }
    if !node.is_up {
        return Err(rule(format!(
            "{id} is down, so nothing can move away from it; start it again, or give it up: chronos cluster replace {id}"
        )));
    }
    keeps_enough(status, id, "drained")?;
    Ok(Permit::Order(Order::Drain(id)))
}

/// Whether as many nodes are up without this one as its replicas need places: one that is down may come back, or may not.
fn keeps_enough(status: &Status, id: NodeId, done: &str) -> Result<(), Error> {
    let active = || status.nodes.iter().filter(|node| node.state == NodeState::Active);
    let (up, down): (Vec<&Node>, Vec<&Node>) =
        active().filter(|other| other.node != id).partition(|other| other.is_up && !other.is_silent);
    let (full, up): (Vec<&Node>, Vec<&Node>) = up.into_iter().partition(|other| is_full(status, other.node));
    let wanted = odd(usize::from(status.replication).min(active().count()));
    if up.len() >= wanted {
        return Ok(());
    }
    let names = |nodes: &[&Node]| {
        let names: Vec<String> = nodes.iter().map(|node| node.node.to_string()).collect();
        let verb = if nodes.len() == 1 { "is" } else { "are" };
        format!("{} {verb}", names.join(", "))
    };
    let others = if up.is_empty() { "no other node is".to_owned() } else { format!("only {}", names(&up)) };
    let first = match (full.as_slice(), down.as_slice()) {
        ([_, ..], _) => format!(
            "{} out of room: free space there first (in the data directory), or have another node join (chronos server --join \
             ADDR)",
            names(&full)
        ),
        ([], []) => format!(
            "have another node join first (chronos server --join ADDR), or, if fewer copies are meant, lower the \
             replication (chronos cluster replication {})",
            odd(up.len())
        ),
        ([], [one, ..]) => format!(
            "{} down: start {} again first, or have another node join (chronos server --join ADDR) and give it up (chronos \
             cluster replace {})",
            names(&down),
            if down.len() == 1 { "it" } else { "them" },
            one.node
        ),
    };
    Err(rule(format!(
        "{id} cannot be {done} now: partitions have {wanted} replicas, and beside it {others} up, with room to hold them; {first}"
    )))
}

/// Whether the disk of a node has no room for what it holds already.
fn is_full(status: &Status, id: NodeId) -> bool {
    status.partitions.iter().filter_map(|of| of.replica(id)).any(|replica| replica.health == Health::Full)
}

/// The greatest odd number that is not above, as the cluster counts replicas; 0 for 0.
const fn odd(number: usize) -> usize {
    if number == 0 { 0 } else { number - (number + 1) % 2 }
}

fn undrain(status: &Status, id: NodeId) -> Result<Permit, Error> {
    match known(status, id)?.state {
        NodeState::Active => Ok(Permit::Done),
        NodeState::Draining => Ok(Permit::Order(Order::Undrain(id))),
        NodeState::Removed => Err(rule(format!(
            "{id} is removed for ever; start its server on an empty directory, and it joins as another node"
        ))),
    }
}

fn remove(status: &Status, id: NodeId, force: bool) -> Result<Permit, Error> {
    let node = known(status, id)?;
    if node.state == NodeState::Removed {
        return Ok(Permit::Done);
    }
    not_last(status, id)?;
    let is_empty = node.replicas == 0 && !status.partitions.iter().any(|of| of.needs(id));
    let is_drained = is_empty && node.state == NodeState::Draining;
    if force && node.is_up && !is_empty {
        keeps_enough(status, id, "removed")?;
    }
    if force || is_drained {
        return Ok(Permit::Order(Order::Remove(id)));
    }
    let first = if node.is_up {
        format!(
            "drain it first (chronos cluster drain {id} --wait), or add --force: what it holds moves away then, too"
        )
    } else {
        format!("it is down: give it up with chronos cluster replace {id}")
    };
    Err(rule(format!("{id} still belongs to the cluster with {} replicas; {first}", node.replicas)))
}

fn replace(status: &Status, id: NodeId) -> Result<Permit, Error> {
    let node = known(status, id)?;
    if node.state == NodeState::Removed {
        return Ok(Permit::Done);
    }
    if node.is_up && node.is_silent {
        return Err(silent(node));
    }
    if node.is_up {
        return Err(rule(format!(
            "{id} is up: it answered just now, and only a dead node is replaced. To take a live one out: chronos cluster drain \
             {id} --wait"
        )));
    }
    if let [first, ..] = node.heard_by.as_slice() {
        return Err(rule(format!(
            "{id} does not answer {}, but it does answer {first}, so it is not dead: see to the way between {} and {id}, or \
             stop {id} first",
            status.me, status.me
        )));
    }
    not_last(status, id)?;
    let lost = lost_with(status, id);
    if let [first, ..] = lost.as_slice() {
        return Err(rule(format!(
            "without {id} {} partitions have no majority that is up ({first} is the first), so nothing can take its \
             place; start other nodes of theirs again first",
            lost.len()
        )));
    }
    Ok(Permit::Order(Order::Remove(id)))
}

/// A node that may be dead: `UNAVAILABLE`, upon which callers ask again by themselves, and by then it shows.
fn silent(node: &Node) -> Error {
    let id = node.node;
    let heard = node.heard.unwrap_or_default().as_secs_f64();
    let down = DOWN_AFTER.as_secs();
    let text = format!(
        "{id} does not answer, but was heard of {heard:.1} s ago, and only a dead node is replaced: it counts as down when \
         nothing was heard of it for {down} s; ask again then, or allow more time (--timeout)"
    );
    Error::new(Class::NotApplied, Reason::Unavailable, text).with("node", id)
}

/// Partitions that cannot decide anything while this node is gone.
fn lost_with(status: &Status, id: NodeId) -> Vec<PartitionId> {
    let is_up = |node: &&NodeId| **node != id && status.node(**node).is_some_and(|node| node.is_up);
    let is_lost = |of: &&Partition| {
        let is_of_it = of.voters.contains(&id);
        is_of_it && of.voters.iter().filter(is_up).count() * 2 <= of.voters.len()
    };
    status.partitions.iter().filter(is_lost).map(|of| of.id).collect()
}

fn transfer(status: &Status, id: PartitionId, to: NodeId) -> Result<Permit, Error> {
    let node = known(status, to)?;
    let partition = status.partition(id).ok_or_else(|| {
        Error::not_found(format!("there is no partition {id}; give 0 to 31, or system")).with("partition", id)
    })?;
    if partition.leader == Some(to) {
        return Ok(Permit::Done);
    }
    if !partition.voters.contains(&to) {
        let voters: Vec<String> = partition.voters.iter().map(NodeId::to_string).collect();
        return Err(rule(format!(
            "{to} has no vote in partition {id}, so it cannot lead it; its voters are {}",
            voters.join(", ")
        ))
        .with("partition", id));
    }
    if !node.is_up {
        return Err(rule(format!("{to} is down; choose another voter of partition {id}, or start it again")));
    }
    if node.state != NodeState::Active {
        return Err(rule(format!("{to} is being drained and shall lead nothing; choose another voter")));
    }
    gives_way(status, partition)?;
    let Some(replica) = partition.replica(to) else { return Ok(Permit::Order(order(id, to))) };
    if replica.health != Health::Serving {
        let health = replica.health.as_str();
        return Err(rule(format!(
            "partition {id} is {health} on {to}, so it cannot lead it; see chronos partition show {id}"
        )));
    }
    let lag = partition.lag(replica);
    if lag > LAG_TO_LEAD_MAX {
        return Err(rule(format!(
            "{to} is {lag} events behind in partition {id}, which would wait for it; try again when it has caught up: \
             chronos partition show {id} --watch"
        )));
    }
    Ok(Permit::Order(order(id, to)))
}

/// Whether somebody leads a partition who can be asked to hand it over.
fn gives_way(status: &Status, partition: &Partition) -> Result<(), Error> {
    let id = partition.id;
    let election = "another leader is being elected, if a majority is up: chronos partition show";
    let why = match partition.leader {
        None => format!("partition {id} has no leader that could hand it over; {election} {id}"),
        Some(leader) => match status.node(leader) {
            Some(node) if node.is_up && !node.is_silent => return Ok(()),
            _ => format!(
                "partition {id} is led by {leader}, which does not answer and so cannot hand it over; {election} {id}"
            ),
        },
    };
    Err(Error::new(Class::NotApplied, Reason::Unavailable, why).with("partition", id))
}

fn order(partition: PartitionId, to: NodeId) -> Order {
    Order::Transfer { partition, to }
}

fn replication(status: &Status, replicas: u32) -> Result<Permit, Error> {
    let Ok(replicas @ (1 | 3 | 5)) = u8::try_from(replicas) else {
        let text =
            format!("replication is {replicas}; give 1, 3 or 5: with an even number no more nodes may fail");
        return Err(Error::invalid(text).with("field", "replication"));
    };
    if status.replication == replicas {
        return Ok(Permit::Done);
    }
    Ok(Permit::Order(Order::Replication(replicas)))
}

/// A node that can go must leave somebody behind.
fn not_last(status: &Status, id: NodeId) -> Result<(), Error> {
    if status.nodes.iter().any(|other| other.node != id && other.is_up && other.state == NodeState::Active) {
        return Ok(());
    }
    Err(rule(format!(
        "{id} cannot go: no other node is up that could hold anything; add another one first (chronos server --join \
         ADDR)"
    )))
}

pub(super) fn known(status: &Status, id: NodeId) -> Result<&Node, Error> {
    status.node(id).ok_or_else(|| {
        let names: Vec<String> = status.nodes.iter().map(|node| node.node.to_string()).collect();
        let text = format!("there is no node {id} in this cluster; its nodes are {}", names.join(", "));
        Error::not_found(text).with("node", id)
    })
}

fn rule(text: String) -> Error {
    Error::new(Class::Rejected, Reason::Invalid, text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chronos_domain::Position;

    use super::super::sample::cluster;
    use super::*;

    const fn n(number: u64) -> NodeId {
        NodeId::new(number)
    }

    fn refusal(status: &Status, wish: Wish) -> String {
        let error = permit(status, wish).unwrap_err();
        let class = match error.reason {
            Reason::NotFound => Class::Failed,
            Reason::Unavailable => Class::NotApplied,
            _ => Class::Rejected,
        };
        assert_eq!(error.class, class);
        error.message
    }

    fn ordered(status: &Status, wish: Wish) -> Order {
        match permit(status, wish).unwrap() {
            Permit::Order(order) => order,
            Permit::Done => panic!("it was so already"),
        }
    }

    fn p(number: u8) -> PartitionId {
        PartitionId::new(number).unwrap()
    }

    #[test]
    fn an_unknown_node_is_refused_with_those_there_are() {
        let status = cluster(3);
        for wish in [
            Wish::Drain(n(9)),
            Wish::Undrain(n(9)),
            Wish::Remove { node: n(9), force: true },
            Wish::Replace(n(9)),
            Wish::Transfer { partition: p(7), to: n(9) },
        ] {
            let why = refusal(&status, wish);
            assert!(why.contains("no node n9") && why.contains("n1, n2, n3"), "{why}");
        }
    }

    #[test]
    fn the_last_node_is_neither_drained_nor_removed() {
        let alone = cluster(1);
        assert!(refusal(&alone, Wish::Drain(n(1))).contains("last node"));
        assert!(refusal(&alone, Wish::Remove { node: n(1), force: true }).contains("--join"));
        let mut two = cluster(2);
        two.nodes[1].state = NodeState::Draining;
        assert!(refusal(&two, Wish::Drain(n(1))).contains("last node"), "the other one shall hold nothing");
    }

    #[test]
    fn a_live_node_with_replicas_is_removed_by_force_only() {
        let mut status = cluster(4);
        let wish = |force| Wish::Remove { node: n(2), force };
        let why = refusal(&status, wish(false));
        assert!(why.contains("drain n2 --wait") && why.contains("--force"), "{why}");
        assert_eq!(ordered(&status, wish(true)), Order::Remove(n(2)));
        status.nodes[1].is_up = false;
        assert!(refusal(&status, wish(false)).contains("replace n2"));
        status.nodes[3].state = NodeState::Draining;
        status.nodes[3].replicas = 0;
        let drained = || Wish::Remove { node: n(4), force: false };
        assert_eq!(ordered(&status, drained()), Order::Remove(n(4)));
        // What every node has of the system partition does not keep it.
        let system = status.partitions.iter_mut().find(|of| of.id == PartitionId::SYSTEM).unwrap();
        system.learners = vec![n(4)];
        assert_eq!(ordered(&status, drained()), Order::Remove(n(4)));
        let system = status.partitions.iter_mut().find(|of| of.id == PartitionId::SYSTEM).unwrap();
        (system.voters, system.learners) = (vec![n(1), n(2), n(4)], Vec::new());
        assert!(refusal(&status, drained()).contains("drain n4 --wait"), "it has a vote there");
    }

    #[test]
    fn only_a_dead_node_is_replaced_and_only_while_the_others_can_decide() {
        let mut status = cluster(3);
        assert!(refusal(&status, Wish::Replace(n(3))).contains("n3 is up"));
        (status.nodes[2].is_silent, status.nodes[2].heard) = (true, Some(Duration::from_millis(1240)));
        let why = refusal(&status, Wish::Replace(n(3)));
        assert!(why.contains("heard of 1.2 s ago") && why.contains("for 3 s"), "{why}");
        status.nodes[2].is_up = false;
        assert_eq!(ordered(&status, Wish::Replace(n(3))), Order::Remove(n(3)));
        status.nodes[2].heard_by = vec![n(2)];
        let why = refusal(&status, Wish::Replace(n(3)));
        assert!(
            why.contains("does not answer n1, but it does answer n2"),
            "it only cannot be reached: {why}"
        );
        status.nodes[2].heard_by.clear();
        status.nodes[1].is_up = false;
        let why = refusal(&status, Wish::Replace(n(3)));
        assert!(why.contains("33 partitions have no majority"), "{why}");
    }

    #[test]
    fn a_leader_is_a_voter_that_is_up_and_has_caught_up() {
        let mut status = cluster(4);
        let wish = |to| Wish::Transfer { partition: p(7), to: n(to) };
        assert_eq!(permit(&status, wish(1)).unwrap(), Permit::Done);
        assert_eq!(ordered(&status, wish(2)), order(p(7), n(2)));
        let why = refusal(&status, wish(4));
        assert!(why.contains("no vote in partition 7") && why.contains("n1, n2, n3"), "{why}");
        status.partitions[7].replicas[0].marks.committed = Position::new(10_001);
        assert!(refusal(&status, wish(2)).contains("10001 events behind"));
        status.partitions[7].replicas[2].health = Health::Refused("damage".to_owned());
        assert!(refusal(&status, wish(3)).contains("is refused on n3"));
        status.nodes[1].is_up = false;
        assert!(refusal(&status, wish(2)).contains("n2 is down"));
        let mut status = cluster(3);
        status.nodes[0].is_silent = true;
        let why = refusal(&status, wish(2));
        assert!(why.contains("partition 7 is led by n1, which does not answer"), "{why}");
        status.partitions[7].leader = None;
        assert!(refusal(&status, wish(2)).contains("partition 7 has no leader that could hand it over"));
    }

    #[test]
    fn a_dead_node_is_not_drained_and_a_draining_one_is_drained_once() {
        let mut status = cluster(4);
        assert_eq!(ordered(&status, Wish::Drain(n(2))), Order::Drain(n(2)));
        status.nodes[1].is_up = false;
        assert!(refusal(&status, Wish::Drain(n(2))).contains("replace n2"));
        status.nodes[1].state = NodeState::Draining;
        assert_eq!(permit(&status, Wish::Drain(n(2))).unwrap(), Permit::Done);
        assert_eq!(ordered(&status, Wish::Undrain(n(2))), Order::Undrain(n(2)));
        status.nodes[1].state = NodeState::Removed;
        assert!(refusal(&status, Wish::Undrain(n(2))).contains("empty directory"));
    }

    #[test]
    fn nobody_is_taken_out_for_whose_replicas_too_few_nodes_are_up() {
        let mut status = cluster(4);
        status.nodes[3].is_up = false;
        let why = refusal(&status, Wish::Drain(n(1)));
        let expected = "n1 cannot be drained now: partitions have 3 replicas, and beside it only n2, n3 are up, with \
                        room to hold them; n4 is down: start it again first, or have another node join (chronos server --join ADDR) \
                        and give it up (chronos cluster replace n4)";
        assert_eq!(why, expected);
        assert!(
            refusal(&status, Wish::Remove { node: n(1), force: true }).contains("n1 cannot be removed now")
        );
        (status.nodes[3].is_up, status.nodes[3].is_silent) = (true, true);
        assert_eq!(refusal(&status, Wish::Drain(n(1))), expected, "one that does not answer may be down");
        (status.nodes[3].is_silent, status.partitions[7].replicas[2].health) = (false, Health::Full);
        let why = refusal(&status, Wish::Drain(n(1)));
        assert!(why.contains("only n2, n4 are up") && why.contains("n3 is out of room: free space"), "{why}");
        let three = cluster(3);
        let why = refusal(&three, Wish::Drain(n(1)));
        assert!(
            why.contains("only n2, n3 are up") && why.ends_with("(chronos cluster replication 1)"),
            "{why}"
        );
        let single = Status { replication: 1, ..three };
        assert_eq!(ordered(&single, Wish::Drain(n(1))), Order::Drain(n(1)));
    }

    #[test]
    fn partitions_have_one_three_or_five_replicas() {
        let status = cluster(3);
        for replicas in [0, 2, 4, 6, 259] {
            assert!(refusal(&status, Wish::Replication(replicas)).contains("1, 3 or 5"));
        }
        assert_eq!(permit(&status, Wish::Replication(3)).unwrap(), Permit::Done);
        assert_eq!(ordered(&status, Wish::Replication(5)), Order::Replication(5));
        assert!(refusal(&status, Wish::Token(Some(String::new()))).contains("empty"));
    }
}
