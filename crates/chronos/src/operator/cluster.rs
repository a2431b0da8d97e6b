//! The cluster at one glance, and its nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use chronos_client::PartitionId;
use chronos_client::cluster::{Health, Node, NodeId, NodeState, Partition, Plan, PlannedStep, Status};

use super::page::{Page, Tone};
use super::{clocks, name, partition, units};
use crate::table::{Align, Table};

/// So many events behind is worth a line: fewer are on their way.
const LAG_WORTH_A_LINE: u64 = 10_000;
/// A replica that is behind, by however little, and has not moved for so long is worth one, too.
const STUCK_WORTH_A_LINE: Duration = Duration::from_secs(10);
/// So many partitions are named; of more, only how many.
const NAMED_MAX: usize = 8;

/// Everything at one glance: who belongs to it, who leads how much, and what is not as it should be; or, where all is well, what
/// is on its way by `plan`.
pub(crate) fn status(status: &Status, plan: Option<&Plan>) -> Page {
    let mut page = Page::default();
    page.line(Tone::Plain, heading(status));
    page.gap();
    nodes_into(&mut page, status);
    page.gap();
    let concerns = concerns(status);
    if concerns.is_empty() {
        let partitions = status.partitions.len();
        let text = if is_alone(status) {
            format!(
                "healthy: {partitions} of {partitions} partitions have a leader; each has 1 replica, because this node is \
                 alone: others can join once it is started with --bootstrap"
            )
        } else {
            format!(
                "healthy: {partitions} of {partitions} partitions, the system partition included, have a leader and all \
                 their replicas"
            )
        };
        page.line(Tone::Good, text);
    }
    for (tone, text) in concerns {
        page.line(tone, text);
    }
    if let Some(text) = plan.and_then(on_its_way) {
        page.line(Tone::Plain, text);
    }
    // Somebody wants it so.
    if status.is_paused {
        page.line(Tone::Warn, "placement is paused: go on with `chronos cluster resume`");
    }
    page
}

/// What the placement driver still has to do in a cluster in which all is well, such as to even out who leads how much after a
/// node was restarted; `None` when everything is where it belongs. No partition lacks a replica for that.
pub(crate) fn on_its_way(plan: &Plan) -> Option<String> {
    let Some(PlannedStep { partition, what, why, .. }) = plan.steps.first() else {
        return plan.waits.first().map(|wait| format!("on its way: {wait}"));
    };
    let of = partition.map_or_else(String::new, |id| format!(", of partition {}", name(id)));
    let steps = match plan.steps.len() {
        1 => "1 step".to_owned(),
        several => format!("{several} steps"),
    };
    Some(format!("on its way: {steps} of placement; next{of}: {what}, as {why} (chronos cluster plan)"))
}

/// The nodes with everything that is known of them.
pub(crate) fn nodes(status: &Status) -> Page {
    let mut page = Page::default();
    let left = |name| (name, Align::Left);
    let mut table = Table::new(&[
        left("NODE"),
        left("NAME"),
        left("STATE"),
        left("SINCE"),
        left("HEARD"),
        ("STARTS", Align::Right),
        left("RELEASE"),
        left("CLIENTS"),
        left("PEERS"),
        left("OPERATORS"),
    ]);
    for node in &status.nodes {
        let address = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        table.row([
            node.node.to_string(),
            node.name.clone(),
            state(node),
            crate::moment::show(node.since),
            heard(status, node),
            if node.incarnation == 0 { "-".to_owned() } else { node.incarnation.to_string() },
            address(&node.release),
            address(&node.addresses.client),
            address(&node.addresses.peer),
            address(&node.addresses.admin),
        ]);
    }
    page.table(&table, status.nodes.iter().map(tone));
    page
}

/// What the placement driver would do.
pub(crate) fn plan(plan: &Plan) -> Page {
    let mut page = Page::default();
    if plan.is_paused {
        page.line(
            Tone::Warn,
            "placement is paused, so nothing of this happens until: chronos cluster resume",
        );
        page.gap();
    }
    if plan.steps.is_empty() && plan.waits.is_empty() {
        page.line(Tone::Good, "nothing to do: replicas and leaders are where they should be");
        return page;
    }
    if plan.steps.is_empty() {
        page.line(Tone::Warn, "nothing can be done now:");
        waits_into(&mut page, plan);
        return page;
    }
    let mut table = Table::new(&[
        ("STEP", Align::Right),
        ("PARTITION", Align::Right),
        ("WHAT", Align::Left),
        ("WHY", Align::Left),
    ]);
    for (step, number) in plan.steps.iter().zip(1..) {
        let partition = step.partition.map(name).unwrap_or_default();
        table.row([number.to_string(), partition, step.what.clone(), step.why.clone()]);
    }
    page.table(&table, plan.steps.iter().map(|_| Tone::Plain));
    if !plan.waits.is_empty() {
        page.gap();
        page.line(Tone::Warn, "what stays undone even then:");
        waits_into(&mut page, plan);
    }
    page
}

fn waits_into(page: &mut Page, plan: &Plan) {
    for wait in &plan.waits {
        page.line(Tone::Warn, format!("  {wait}"));
    }
}

fn heading(status: &Status) -> String {
    let cluster = chronos_client::EventId::from_u128(status.cluster);
    let placement = if status.is_paused { "paused" } else { "running" };
    format!(
        "cluster {cluster}   epoch {}   {} each   placement {placement}   seen by {}",
        status.epoch,
        replicas_of(status.replication.into()),
        status.me
    )
}

fn nodes_into(page: &mut Page, status: &Status) {
    let mut table = Table::new(&[
        ("NODE", Align::Left),
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("HEARD", Align::Left),
        ("REPLICAS", Align::Right),
        ("LAG", Align::Right),
        ("LEADS", Align::Right),
        ("", Align::Left),
    ]);
    for node in &status.nodes {
        table.row([
            node.node.to_string(),
            node.name.clone(),
            state(node),
            heard(status, node),
            node.replicas.to_string(),
            lag(status, node),
            node.leads.to_string(),
            "■".repeat(node.leads.into()),
        ]);
    }
    page.table(&table, status.nodes.iter().map(tone));
}

fn state(node: &Node) -> String {
    let state = match (node.state, node.is_up) {
        (NodeState::Active, true) => "up",
        (NodeState::Active, false) => "DOWN",
        (NodeState::Draining, true) => "draining",
        (NodeState::Draining, false) => "draining, DOWN",
        (NodeState::Removed, true) => "leaving",
        (NodeState::Removed, false) => "leaving, DOWN",
    };
    state.to_owned()
}

fn tone(node: &Node) -> Tone {
    match (node.is_up, node.state) {
        (false, _) => Tone::Bad,
        (true, NodeState::Active) => Tone::Plain,
        (true, NodeState::Draining | NodeState::Removed) => Tone::Warn,
    }
}

fn heard(status: &Status, node: &Node) -> String {
    match node.heard {
        _ if node.node == status.me => "here".to_owned(),
        Some(ago) => format!("{} ago", units::ago(ago)),
        None => "never".to_owned(),
    }
}

/// How many events the node's replicas are behind, all together.
fn lag(status: &Status, node: &Node) -> String {
    if !node.is_up || node.is_silent {
        return "?".to_owned();
    }
    let of = |of: &Partition| partition::lag(status, of, of.replica(node.node)?);
    units::lag(status.partitions.iter().filter_map(of).sum())
}

/// Everything that is not as it should be, the gravest first.
pub(crate) fn concerns(status: &Status) -> Vec<(Tone, String)> {
    let mut all: Vec<_> = removed(status).into_iter().collect();
    all.extend(leaderless(status));
    all.extend(unwell(status));
    all.extend(status.nodes.iter().filter(|node| !node.is_up).map(|node| down(status, node)));
    all.extend(status.nodes.iter().filter(|node| is_silent(node)).map(silent));
    all.extend(status.nodes.iter().filter_map(missed));
    all.extend(short(status));
    all.extend(behind(status));
    all.extend(status.nodes.iter().filter_map(|node| stuck(status, node)));
    all.extend(status.nodes.iter().filter_map(clocks::off));
    for node in status.nodes.iter().filter(|node| node.is_up && node.state == NodeState::Draining) {
        let text = if status.partitions.iter().any(|of| of.needs(node.node)) {
            format!("{} is being drained: {} to go", node.node, held(status, node.node))
        } else {
            format!("{0} is drained: it can go with `chronos cluster remove {0}`", node.node)
        };
        all.push((Tone::Warn, text));
    }
    all.sort_by_key(|(tone, _)| std::cmp::Reverse(*tone));
    all
}

/// What a node holds that would have to move before it can go, in words.
pub(crate) fn held(status: &Status, node: NodeId) -> String {
    let needed = || status.partitions.iter().filter(|of| of.needs(node));
    let events = needed().filter(|of| of.id != PartitionId::SYSTEM).count();
    match (events, needed().count() > events) {
        (0, true) => "its replica of the system partition".to_owned(),
        (events, true) => format!("{} and that of the system partition", replicas_of(events)),
        (events, false) => replicas_of(events),
    }
}

/// So many replicas, in words.
pub(crate) fn replicas_of(count: usize) -> String {
    if count == 1 { "1 replica".to_owned() } else { format!("{count} replicas") }
}

/// Whether a partition has a leader that is up: who follows a dead one goes on naming it until there is another.
pub(super) fn is_led(status: &Status, partition: &Partition) -> bool {
    partition.leader.and_then(|leader| status.node(leader)).is_some_and(|leader| leader.is_up)
}

fn leaderless(status: &Status) -> Option<(Tone, String)> {
    let without: Vec<_> = status.partitions.iter().filter(|of| !is_led(status, of)).map(|of| of.id).collect();
    let text = match without.as_slice() {
        [] => return None,
        [one] => format!("partition {} has no leader: it takes nothing until it has one", name(*one)),
        many => format!("{} partitions have no leader: {}", many.len(), named(many)),
    };
    Some((Tone::Bad, text))
}

/// Replicas that do not serve; those that miss the same disk space in one line.
fn unwell(status: &Status) -> Vec<(Tone, String)> {
    let (mut all, mut full) = (Vec::new(), BTreeMap::<NodeId, Vec<PartitionId>>::new());
    for partition in &status.partitions {
        for replica in &partition.replicas {
            let (tone, what) = match &replica.health {
                Health::Serving | Health::Starting => continue,
                Health::Full => {
                    full.entry(replica.node).or_default().push(partition.id);
                    continue;
                }
                Health::Refused(why) => (Tone::Bad, format!("is refused: {why}")),
                Health::Repairing(why) => (Tone::Warn, format!("is being made whole: {why}")),
                Health::Ended(why) => (Tone::Bad, format!("has stopped: {why}")),
            };
            all.push((tone, format!("partition {} on {} {what}", name(partition.id), replica.node)));
        }
    }
    all.extend(full.into_iter().map(|(node, partitions)| (Tone::Bad, out_of_space(node, &partitions))));
    all
}

fn out_of_space(node: NodeId, partitions: &[PartitionId]) -> String {
    let of =
        if partitions.len() == 1 { "the partition" } else { &format!("{} partitions", partitions.len()) };
    format!("{node} has no room on its disk for {of} {}: free space in its data directory", named(partitions))
}

fn down(status: &Status, node: &Node) -> (Tone, String) {
    let since = match node.heard {
        Some(ago) => format!("for {}", units::ago(ago)),
        None => format!("at least since {} was started", status.me),
    };
    if node.state == NodeState::Removed {
        let text = format!(
            "{} is down {since} and was given up, with {}: others take over what it held (chronos cluster plan)",
            node.node,
            held(status, node.node)
        );
        return (Tone::Warn, text);
    }
    if !node.heard_by.is_empty() {
        let text = format!(
            "{0} was not heard of by {1} {since}, but {0} is up, as {2} say{3}: see to the way from {1} to {4}",
            node.node,
            status.me,
            names(&node.heard_by),
            if node.heard_by.len() == 1 { "s" } else { "" },
            node.addresses.peer
        );
        return (Tone::Bad, text);
    }
    let others = status.nodes.iter().filter(|other| other.is_up && other.state == NodeState::Active).count();
    let first = match others < usize::from(status.replication) {
        true => "have another node join (chronos server --join ADDR) and then ",
        false => "",
    };
    let text = format!(
        "{0} is down {since}, with {1}: start it again, or {first}give it up with `chronos cluster replace {0}`",
        node.node,
        held(status, node.node)
    );
    (Tone::Bad, text)
}

/// Whether the node that answers is none of the cluster any more.
fn removed(status: &Status) -> Option<(Tone, String)> {
    let node = status.node(status.me).filter(|node| node.state == NodeState::Removed)?;
    let text = format!(
        "{}, which answers here, was removed from the cluster for good: its server ends by itself once nothing that it \
         holds is needed, and what it says of the others may be old; ask another node (--admin)",
        node.node
    );
    Some((Tone::Bad, text))
}

/// Whether a node that counts as up did not answer when it was asked just now.
fn is_silent(node: &Node) -> bool {
    node.is_up && node.is_silent
}

fn silent(node: &Node) -> (Tone, String) {
    let ago = node.heard.map_or_else(|| "never".to_owned(), |ago| format!("{} ago", units::ago(ago)));
    let text =
        format!("{} does not answer; it was last heard of {ago}: look again in a few seconds", node.node);
    (Tone::Bad, text)
}

/// A node that is up here and that others do not hear: what it knows of them it asked itself, and nothing that they say or send
/// by themselves gets to it.
fn missed(node: &Node) -> Option<(Tone, String)> {
    let is_meant = node.is_up && node.state != NodeState::Removed && !node.missed_by.is_empty();
    let text = || {
        format!(
            "{0} is up, but does not answer {1}: see to the way from there to {2}, where {0} listens for other nodes",
            node.node,
            names(&node.missed_by),
            node.addresses.peer
        )
    };
    is_meant.then(|| (Tone::Bad, text()))
}

fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
}

/// The replicas of a node that are behind and do not move, in one line.
fn stuck(status: &Status, node: &Node) -> Option<(Tone, String)> {
    let time = |of: &Partition| of.replica(node.node)?.stuck.filter(|time| *time >= STUCK_WORTH_A_LINE);
    let all: Vec<(PartitionId, Duration)> =
        status.partitions.iter().filter_map(|of| Some((of.id, time(of)?))).collect();
    let longest = all.iter().map(|(_, time)| *time).max().filter(|_| node.is_up)?;
    let ids: Vec<PartitionId> = all.into_iter().map(|(id, _)| id).collect();
    let (which, word) = match ids.as_slice() {
        [one] => (format!("partition {}", name(*one)), "has"),
        many => (format!("{} partitions ({})", many.len(), named(many)), "have"),
    };
    let text = format!(
        "{which} on {0} {word} been behind for {1} and {word} not moved: the log of {0} says why",
        node.node,
        units::ago(longest)
    );
    Some((Tone::Warn, text))
}

/// Whether this is one node without a port for others: there is nobody to have more replicas, and nobody shall be.
fn is_alone(status: &Status) -> bool {
    matches!(status.nodes.as_slice(), [only] if only.addresses.peer.is_empty())
}

/// Partitions with fewer voters than they should have. Of one that nobody speaks for it is not known who they are.
fn short(status: &Status) -> Option<(Tone, String)> {
    if is_alone(status) {
        return None;
    }
    let wanted = usize::from(status.replication);
    let is_short = |of: &&Partition| (1..wanted).contains(&of.voters.len());
    let short: Vec<_> = status.partitions.iter().filter(is_short).map(|of| of.id).collect();
    if short.is_empty() {
        return None;
    }
    let active = status.nodes.iter().filter(|node| node.state == NodeState::Active).count();
    let next = if active < wanted {
        let are = if active == 1 { "is only 1 node" } else { &format!("are only {active} nodes") };
        format!("there {are} to have them: add one with `chronos server --join ADDR`")
    } else {
        "see what is being done about it with `chronos cluster plan`".to_owned()
    };
    let (count, partitions) =
        (short.len(), if short.len() == 1 { "partition has" } else { "partitions have" });
    Some((Tone::Warn, format!("{count} {partitions} fewer than {wanted} replicas: {next}")))
}

/// Replicas that are far behind.
fn behind(status: &Status) -> Vec<(Tone, String)> {
    let mut all = Vec::new();
    for partition in &status.partitions {
        for replica in &partition.replicas {
            let lag = partition::lag(status, partition, replica).unwrap_or(0);
            if lag >= LAG_WORTH_A_LINE {
                let (id, node, lag) = (name(partition.id), replica.node, units::lag(lag));
                all.push((Tone::Warn, format!("partition {id} on {node} is {lag} events behind")));
            }
        }
    }
    all
}

fn named(partitions: &[PartitionId]) -> String {
    let names: Vec<String> = partitions.iter().take(NAMED_MAX).map(|id| name(*id)).collect();
    let more = if partitions.len() > NAMED_MAX { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_healthy_cluster_is_told_in_one_line_below_its_nodes() {
        let shown = status(&sample::healthy(), None).plain();
        let expected = "\
cluster 01890a5d-ac96-774b-bcce-b302099a8057   epoch 42   3 replicas each   placement running   seen by n1

NODE  NAME  STATE  HEARD      REPLICAS  LAG  LEADS
n1    db1   up     here             32    0     11  ■■■■■■■■■■■
n2    db2   up     0.4 s ago        32   44     11  ■■■■■■■■■■■
n3    db3   up     0.4 s ago        32   44     10  ■■■■■■■■■■

healthy: 33 of 33 partitions, the system partition included, have a leader and all their replicas
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_full_disk_is_told_once_however_many_replicas_wait_for_it() {
        let mut status = sample::healthy();
        for partition in &mut status.partitions {
            partition.replicas[2].health = Health::Full;
        }
        let text = "n3 has no room on its disk for 33 partitions 0, 1, 2, 3, 4, 5, 6, 7, …: free space in its data directory";
        assert_eq!(unwell(&status), [(Tone::Bad, text.to_owned())]);
    }

    #[test]
    fn what_is_not_as_it_should_be_is_told_with_what_to_do_the_gravest_first() {
        let shown = status(&sample::troubled(), None).plain();
        let expected = "\
cluster 01890a5d-ac96-774b-bcce-b302099a8057   epoch 42   3 replicas each   placement paused   seen by n1

NODE  NAME  STATE     HEARD      REPLICAS    LAG  LEADS
n1    db1   up        here             32      0     21  ■■■■■■■■■■■■■■■■■■■■■
n2    db2   draining  0.4 s ago        32  2.5 M      9  ■■■■■■■■■
n3    db3   DOWN      12 s ago         32      ?      0

partition 7 has no leader: it takes nothing until it has one
partition 3 on n2 is refused: part 12 is not as it was written
n3 is down for 12 s, with 32 replicas and that of the system partition: start it again, or have another node join (chronos server --join ADDR) and then give it up with `chronos cluster replace n3`
1 partition has fewer than 3 replicas: there are only 2 nodes to have them: add one with `chronos server --join ADDR`
partition 5 on n2 is 2.5 M events behind
n2 is being drained: 31 replicas and that of the system partition to go
placement is paused: go on with `chronos cluster resume`
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_only_on_its_way_is_told_beside_that_all_is_well() {
        let nothing = Plan { is_paused: false, steps: Vec::new(), waits: Vec::new() };
        let shown = |plan: &Plan| status(&sample::healthy(), Some(plan)).plain();
        assert_eq!(shown(&nothing), status(&sample::healthy(), None).plain());
        let step = |number| PlannedStep {
            what: format!("let n{number} lead it"),
            why: "n1 leads 13 partitions, n3 9".to_owned(),
            partition: PartitionId::new(7),
            node: None,
        };
        let moving = Plan { steps: vec![step(3), step(2)], ..nothing.clone() };
        let expected = "on its way: 2 steps of placement; next, of partition 7: let n3 lead it, as n1 leads 13 partitions, \
                        n3 9 (chronos cluster plan)\n";
        assert!(
            shown(&moving).contains("\nhealthy: ") && shown(&moving).ends_with(expected),
            "{}",
            shown(&moving)
        );
        let half_way = Plan { waits: vec!["partition 3 is half-way".to_owned()], ..nothing };
        assert!(
            shown(&half_way).ends_with("\non its way: partition 3 is half-way\n"),
            "{}",
            shown(&half_way)
        );
    }

    #[test]
    fn a_cluster_of_one_is_healthy() {
        let shown = status(&sample::alone(), None).plain();
        assert!(shown.contains("1 replica each"), "{shown}");
        assert!(shown.contains("n1          up     here         32    0     32"), "{shown}");
        assert!(shown.contains("healthy: 33 of 33") && shown.contains("started with --bootstrap"), "{shown}");
        // Nobody is missing where nobody can come, whatever was once meant.
        let lonely = Status { replication: 3, ..sample::alone() };
        assert_eq!(concerns(&lonely), []);
        let mut waiting = lonely;
        waiting.nodes[0].addresses.peer = "10.0.0.1:7401".to_owned();
        let shown = status(&waiting, None).plain();
        assert!(shown.contains("there is only 1 node to have them: add one"), "{shown}");
    }

    #[test]
    fn a_leader_that_is_down_leads_nothing() {
        let mut status = sample::healthy();
        status.nodes[1].is_up = false;
        let shown = super::status(&status, None).plain();
        assert!(shown.contains("11 partitions have no leader: 1, 4, 7"), "{shown}");
        let listed = partition::list(&status).plain();
        assert_eq!(listed.matches("NO LEADER").count(), 11, "{listed}");
    }

    #[test]
    fn nodes_are_told_with_where_they_are() {
        let shown = nodes(&sample::healthy()).plain();
        let expected = "\
NODE  NAME  STATE  SINCE                        HEARD      STARTS  RELEASE  CLIENTS        PEERS          OPERATORS
n1    db1   up     2024-05-01T12:00:00.000000Z  here            4  0.1.0    10.0.0.1:7400  10.0.0.1:7401  10.0.0.1:7402
n2    db2   up     2024-05-01T12:00:00.000000Z  0.4 s ago       4  0.1.0    10.0.0.2:7400  10.0.0.2:7401  10.0.0.2:7402
n3    db3   up     2024-05-01T12:00:00.000000Z  0.4 s ago       4  0.1.0    10.0.0.3:7400  10.0.0.3:7401  10.0.0.3:7402
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_plan_says_what_and_why_in_order() {
        let step = |partition, what: &str, why: &str| PlannedStep {
            what: what.to_owned(),
            why: why.to_owned(),
            partition,
            node: None,
        };
        let steps = vec![
            step(PartitionId::new(7), "add n4 as a learner", "n3 is down for 10 min"),
            step(Some(PartitionId::SYSTEM), "hand over to n2", "n1 leads 12, n2 10"),
        ];
        let shown = plan(&Plan { is_paused: false, steps: steps.clone(), waits: Vec::new() }).plain();
        let expected = "\
STEP  PARTITION  WHAT                 WHY
   1          7  add n4 as a learner  n3 is down for 10 min
   2     system  hand over to n2      n1 leads 12, n2 10
";
        assert_eq!(shown, expected);
        let nothing = Plan { is_paused: true, steps: Vec::new(), waits: Vec::new() };
        let shown = plan(&nothing).plain();
        assert!(shown.contains("chronos cluster resume") && shown.contains("nothing to do"), "{shown}");
        let waits = vec!["33 partitions have 3 replicas of 5 wanted: 2 more nodes are needed".to_owned()];
        let stuck = plan(&Plan { is_paused: false, waits: waits.clone(), ..nothing }).plain();
        assert!(stuck.contains("2 more nodes") && !stuck.contains("nothing to do"), "{stuck}");
        let partly = plan(&Plan { is_paused: false, steps, waits }).plain();
        assert!(partly.contains("hand over to n2") && partly.contains("undone even then:\n  33"), "{partly}");
    }

    #[test]
    fn a_node_that_was_removed_says_so_when_it_is_asked() {
        let mut status = sample::healthy();
        status.nodes[0].state = NodeState::Removed;
        let told = concerns(&status);
        assert!(
            matches!(told.as_slice(), [(Tone::Bad, text)] if text.starts_with("n1, which answers here, was removed"))
        );
        status.me = NodeId::new(2);
        assert_eq!(concerns(&status), [], "another one knows no harm");
    }

    #[test]
    fn nobody_is_told_to_start_a_node_that_was_given_up() {
        let mut status = sample::healthy();
        (status.nodes[2].state, status.nodes[2].is_up) = (NodeState::Removed, false);
        let told = concerns(&status);
        assert!(
            told.iter().any(|(tone, text)| *tone == Tone::Warn && text.contains("was given up")),
            "{told:?}"
        );
        assert!(told.iter().all(|(_, text)| !text.contains("start it again")), "{told:?}");
    }

    #[test]
    fn a_node_that_is_cut_off_in_one_direction_is_told_of_whoever_is_asked() {
        let n = NodeId::new;
        let mut status = sample::healthy();
        status.nodes[0].missed_by = vec![n(2), n(3)];
        let expected = "n1 is up, but does not answer n2, n3: see to the way from there to 10.0.0.1:7401, where n1 listens \
                        for other nodes";
        assert_eq!(concerns(&status), [(Tone::Bad, expected.to_owned())]);

        let mut status = sample::healthy();
        (status.nodes[2].is_up, status.nodes[2].heard) = (false, Some(Duration::from_secs(12)));
        status.nodes[2].heard_by = vec![n(2)];
        let told = concerns(&status);
        let expected = "n3 was not heard of by n1 for 12 s, but n3 is up, as n2 says: see to the way from n1 to 10.0.0.3:7401";
        assert!(told.contains(&(Tone::Bad, expected.to_owned())), "{told:?}");
        assert!(
            told.iter().all(|(_, text)| !text.contains("replace")),
            "nobody gives up a node that lives: {told:?}"
        );
    }

    #[test]
    fn a_node_that_does_not_answer_and_replicas_that_do_not_move_are_not_healthy() {
        let mut status = sample::healthy();
        status.nodes[2].is_silent = true;
        let told = concerns(&status);
        assert!(
            matches!(told.as_slice(), [(Tone::Bad, text)] if text.contains("n3 does not answer")),
            "{told:?}"
        );
        status.nodes[2].is_silent = false;
        let stand = |status: &mut Status, id: usize, seconds| {
            status.partitions[id].replicas[1].stuck = Some(Duration::from_secs(seconds));
        };
        stand(&mut status, 7, 9);
        assert_eq!(concerns(&status), [], "what is on its way is not worth a line");
        stand(&mut status, 7, 12);
        stand(&mut status, 9, 11);
        let told = concerns(&status);
        let expected =
            "2 partitions (7, 9) on n2 have been behind for 12 s and have not moved: the log of n2 says why";
        assert_eq!(told, [(Tone::Warn, expected.to_owned())]);
    }
}
