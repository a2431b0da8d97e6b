//! Partitions and their replicas.

use std::time::Duration;

use chronos_client::PartitionId;
use chronos_client::cluster::{Comparison, Health, NodeId, Partition, Replica, Status, Verdict};

use super::cluster::is_led;
use super::page::{Page, Tone};
use super::said::Said;
use super::{name, units};
use crate::table::{Align, Table, grouped};

/// One line for each partition.
pub(crate) fn list(status: &Status) -> Page {
    let right = |name| (name, Align::Right);
    let mut table = Table::new(&[
        right("PARTITION"),
        ("LEADER", Align::Left),
        right("TERM"),
        ("REPLICAS", Align::Left),
        right("EVENTS"),
        right("LAG"),
        right("COMPACTED"),
        right("PARTS"),
        right("SIZE"),
        ("STATE", Align::Left),
    ]);
    for partition in &status.partitions {
        table.row(row(status, partition));
    }
    let mut page = Page::default();
    page.table(&table, status.partitions.iter().map(|partition| verdict(status, partition).0));
    page
}

fn row(status: &Status, partition: &Partition) -> [String; 10] {
    let lags = partition.replicas.iter().filter_map(|replica| lag(status, partition, replica));
    let first = best(status, partition);
    let unknown = || "?".to_owned();
    [
        name(partition.id),
        partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
        partition.term.to_string(),
        members(partition),
        first.map_or_else(unknown, |replica| grouped(replica.marks.applied.get())),
        lags.max().map_or_else(unknown, units::lag),
        first.map_or_else(unknown, |of| units::percent(of.marks.compacted.get(), of.marks.applied.get())),
        first.map_or_else(unknown, |replica| replica.parts.to_string()),
        first.map_or_else(unknown, |replica| units::bytes(replica.parts_bytes)),
        verdict(status, partition).1,
    ]
}

/// Whose numbers stand for the partition: the leader's, or of those that answer whoever is ahead.
fn best<'a>(status: &Status, partition: &'a Partition) -> Option<&'a Replica> {
    let answers = |replica: &&Replica| matches!(reached(status, replica.node), Reached::Yes);
    let answer = || partition.replicas.iter().filter(answers);
    let leads = answer().find(|replica| partition.leader == Some(replica.node));
    leads.or_else(|| answer().max_by_key(|replica| replica.marks.applied))
}

/// How many events a replica is behind; `None` where that is not known, because it is not reached, or where it is not behind
/// anything, because its node is no member of the group any more and is going to delete it.
pub(super) fn lag(status: &Status, partition: &Partition, replica: &Replica) -> Option<u64> {
    let is_reached = matches!(reached(status, replica.node), Reached::Yes);
    (is_reached && is_member(partition, replica.node)).then(|| partition.lag(replica))
}

pub(super) fn is_member(partition: &Partition, node: NodeId) -> bool {
    partition.members().any(|member| member == node)
}

/// Voters; learners with a plus.
fn members(partition: &Partition) -> String {
    let voters = partition.voters.iter().map(NodeId::to_string);
    let learners = partition.learners.iter().map(|learner| format!("+{learner}"));
    voters.chain(learners).collect::<Vec<_>>().join(" ")
}

/// How a partition is, in the words of its worst replica.
fn verdict(status: &Status, partition: &Partition) -> (Tone, String) {
    if !is_led(status, partition) {
        return (Tone::Bad, "NO LEADER".to_owned());
    }
    let is_up = |node: NodeId| status.node(node).is_some_and(|node| node.is_up);
    let mut words: Vec<(Tone, String)> = partition
        .replicas
        .iter()
        .filter_map(|replica| {
            let tone = match replica.health {
                Health::Serving => return None,
                Health::Starting | Health::Repairing(_) => Tone::Warn,
                Health::Full | Health::Refused(_) | Health::Ended(_) => Tone::Bad,
            };
            Some((tone, format!("{} {}", replica.node, replica.health.as_str())))
        })
        .collect();
    words.extend(
        partition.members().filter(|node| !is_up(*node)).map(|node| (Tone::Warn, format!("{node} down"))),
    );
    if partition.voters.len() < usize::from(status.replication) {
        words.push((Tone::Warn, format!("{} of {} replicas", partition.voters.len(), status.replication)));
    }
    let tone = words.iter().map(|(tone, _)| *tone).max();
    let text = words.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ");
    tone.map_or_else(|| (Tone::Plain, "ok".to_owned()), |tone| (tone, text))
}

/// Everything about one partition, a column for each replica: what is to be compared stands side by side.
pub(crate) fn show(status: &Status, partition: &Partition) -> Page {
    let mut page = Page::default();
    let leader = partition.leader.map_or_else(|| "led by nobody".to_owned(), |node| format!("led by {node}"));
    let what = match partition.id {
        PartitionId::SYSTEM => "the system partition, who belongs to the cluster".to_owned(),
        id => format!("partition {id}"),
    };
    let heading = format!("{what}   {leader} in term {}", partition.term);
    let learners = match nodes(&partition.learners) {
        none if none.is_empty() => String::new(),
        some => format!("   learners {some}"),
    };
    page.line(Tone::Plain, format!("{heading}   voters {}{learners}", nodes(&partition.voters)));
    page.gap();
    let names: Vec<String> = partition.replicas.iter().map(|replica| replica.node.to_string()).collect();
    let mut columns = vec![("", Align::Left)];
    columns.extend(names.iter().map(|name| (name.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    let mut row = |what: &str, cell: &dyn Fn(&Replica) -> String| {
        table.row(std::iter::once(what.to_owned()).chain(partition.replicas.iter().map(cell)));
    };
    let now = status.at;
    for (what, of) in FIELDS {
        row(what, &|replica| match (*what, reached(status, replica.node)) {
            ("health", Reached::Silent) => "no answer".to_owned(),
            ("health", Reached::No) => "unreachable".to_owned(),
            ("role", _) if !is_member(partition, replica.node) => "left over".to_owned(),
            ("events behind", _) if !is_member(partition, replica.node) => "-".to_owned(),
            // Whatever it was when it was heard of last.
            ("role" | "takes for leader" | "events behind", Reached::Silent | Reached::No) => "?".to_owned(),
            _ => of(partition, replica, now.get()),
        });
    }
    let is_old = |replica: &Replica| !matches!(reached(status, replica.node), Reached::Yes);
    if partition.replicas.iter().any(is_old) {
        row("as of", &|replica| if is_old(replica) { ago(status, replica.node) } else { "now".to_owned() });
    }
    page.table(&table, std::iter::repeat(Tone::Plain));
    for replica in &partition.replicas {
        if let Some(why) = replica.health.why() {
            page.line(Tone::Bad, format!("{} {}: {why}", replica.node, replica.health.as_str()));
        }
    }
    for (node, replica) in status.nodes.iter().filter_map(|node| Some((node, partition.replica(node.node)?)))
    {
        let how = match reached(status, node.node) {
            Reached::Yes => continue,
            Reached::Silent => "does not answer",
            Reached::No => "is down",
        };
        let ago = node.heard.map_or_else(String::new, |ago| format!(" {} ago", units::ago(ago)));
        let (node, last) = (node.node, replica.health.as_str());
        let text = format!("{node} {how}: what is shown of it is what it said last{ago}, {last} then");
        page.line(Tone::Bad, text);
    }
    for node in partition.members().filter(|node| partition.replica(*node).is_none()) {
        page.line(Tone::Warn, format!("{node} was not heard of since {} was started", status.me));
    }
    page
}

/// When a node was heard of.
fn ago(status: &Status, node: NodeId) -> String {
    let heard = status.node(node).and_then(|node| node.heard);
    heard.map_or_else(|| "?".to_owned(), |ago| format!("{} ago", units::ago(ago)))
}

/// Whether what is shown of a node is how it is.
enum Reached {
    Yes,
    /// It was asked just now, and has not answered.
    Silent,
    No,
}

fn reached(status: &Status, node: NodeId) -> Reached {
    match status.node(node) {
        Some(node) if node.is_up && node.is_silent => Reached::Silent,
        Some(node) if node.is_up => Reached::Yes,
        _ => Reached::No,
    }
}

type Field = (&'static str, fn(&Partition, &Replica, i64) -> String);

const FIELDS: &[Field] = &[
    ("role", |_, of, _| of.role.as_str().to_owned()),
    ("health", |_, of, _| of.health.as_str().to_owned()),
    ("term", |_, of, _| of.term.to_string()),
    ("takes for leader", |_, of, _| of.knows_leader.map_or_else(|| "-".to_owned(), |node| node.to_string())),
    ("events behind", |partition, of, _| units::lag(partition.lag(of))),
    ("appended", |_, of, _| grouped(of.marks.appended.get())),
    ("flushed", |_, of, _| grouped(of.marks.flushed.get())),
    ("committed", |_, of, _| grouped(of.marks.committed.get())),
    ("applied", |_, of, _| grouped(of.marks.applied.get())),
    ("indexed", |_, of, _| grouped(of.marks.indexed.get())),
    ("compacted", |_, of, _| grouped(of.marks.compacted.get())),
    ("purged", |_, of, _| grouped(of.marks.purged.get())),
    ("log entries", |_, of, _| entries(of)),
    ("log committed", |_, of, _| grouped(of.log_committed)),
    ("lane", |_, of, _| of.lane.to_string()),
    ("parts", |_, of, _| grouped(of.parts)),
    ("bytes of parts", |_, of, _| units::bytes(of.parts_bytes)),
    ("last scrub", |_, of, now| {
        of.last_scrub.map_or_else(
            || "never".to_owned(),
            |then| {
                let micros = u64::try_from(now.saturating_sub(then.get())).unwrap_or(0);
                format!("{} ago", units::ago(Duration::from_micros(micros)))
            },
        )
    }),
];

fn entries(replica: &Replica) -> String {
    if replica.log_last < replica.log_first {
        return "none".to_owned();
    }
    format!("{}..{}", replica.log_first, replica.log_last)
}

fn nodes(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(" ")
}

/// One line for a partition whose replicas were compared, and one for each that has something to say against it.
pub(crate) fn comparison(of: &Comparison, said: &mut Said) -> Page {
    let mut page = Page::default();
    let (tone, verdict) = match of.verdict {
        Verdict::Equal => (Tone::Good, "equal"),
        Verdict::Different => (Tone::Bad, "DIFFERENT"),
        Verdict::Incomplete => (Tone::Warn, "incomplete"),
    };
    let mut given: Vec<(String, Vec<NodeId>)> = Vec::new();
    for replica in &of.replicas {
        let Ok(digest) = &replica.digest.digest else { continue };
        let digest = digest.digest.to_string();
        match given.iter_mut().find(|(other, _)| *other == digest) {
            Some((_, nodes)) => nodes.push(replica.node),
            None => given.push((digest, vec![replica.node])),
        }
    }
    let (id, position) = (name(of.partition), of.position.get());
    let head = format!("{id:>6} {position:>12} {verdict:<10}");
    match given.as_slice() {
        [(digest, who)] => page.line(tone, format!("{head} {digest} {}", nodes(who))),
        _ => page.line(tone, head.trim_end()),
    }
    if given.len() > 1 {
        for (digest, who) in &given {
            page.line(tone, format!("{:>30} {digest} {}", "", nodes(who)));
        }
    }
    for replica in &of.replicas {
        if let Err(failure) = &replica.digest.digest {
            let why = said.why(replica.node, failure);
            page.line(Tone::Warn, format!("{:>30} {} gave none: {why}", "", replica.node));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use chronos_client::cluster::ReplicaDigest;
    use chronos_client::{Class, Digest, Failure, Hash, PartitionDigest, PartitionId, Position};

    use super::super::sample;
    use super::*;

    #[test]
    fn partitions_are_told_in_a_line_each() {
        let shown = list(&sample::healthy()).plain();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 34);
        let expected = [
            "PARTITION  LEADER  TERM  REPLICAS  EVENTS  LAG  COMPACTED  PARTS      SIZE  STATE",
            "        0  n1         3  n1 n2 n3   1,000    2       90 %      4  11.8 MiB  ok",
            "        1  n2         3  n1 n2 n3   1,001    2       89 %      4  11.8 MiB  ok",
        ];
        assert_eq!(lines[..3], expected);
        assert_eq!(
            lines[33],
            "   system  n3         3  n1 n2 n3   1,032    2       87 %      4  11.8 MiB  ok"
        );
    }

    #[test]
    fn a_partition_that_is_not_well_says_so_in_its_line() {
        let shown = list(&sample::troubled()).plain();
        let state = |partition: &str| {
            let line = shown.lines().find(|line| line.trim_start().starts_with(partition)).unwrap();
            line.split("MiB  ").nth(1).unwrap().to_owned()
        };
        assert_eq!(state("7 "), "NO LEADER");
        assert_eq!(state("3 "), "n2 refused, n3 down");
        assert_eq!(state("9 "), "n3 down, 2 of 3 replicas");
    }

    #[test]
    fn what_is_shown_of_a_node_that_is_down_is_told_to_be_old_and_32_to_be_the_system_partition() {
        let status = sample::troubled();
        let shown = show(&status, status.partition(PartitionId::SYSTEM).unwrap()).plain();
        assert!(shown.starts_with("the system partition, who belongs to the cluster   led by"), "{shown}");
        let last = "n3 is down: what is shown of it is what it said last 12 s ago, serving then";
        assert!(shown.contains(last), "{shown}");
        let health = shown.lines().find(|line| line.starts_with("health")).unwrap();
        assert_eq!(
            health.split_whitespace().collect::<Vec<_>>(),
            ["health", "serving", "serving", "unreachable"]
        );
        for unknown in ["role", "takes for leader", "events behind"] {
            let line = shown.lines().find(|line| line.starts_with(unknown)).unwrap();
            assert!(line.ends_with('?'), "nobody knows that of it now: {line}");
        }
        let last = shown.lines().find(|line| line.starts_with("as of")).unwrap();
        assert_eq!(last.split_whitespace().collect::<Vec<_>>()[2..], ["now", "now", "12", "s", "ago"]);
    }

    #[test]
    fn neither_what_a_dead_node_said_last_nor_what_is_left_of_a_replica_is_taken_for_lag() {
        let mut status = sample::healthy();
        let line = |status: &Status| list(status).plain().lines().nth(8).unwrap().to_owned();
        let expected = "        7  n2         3  n1 n2 n3   1,007    2       89 %      4  11.8 MiB  ok";
        assert_eq!(line(&status), expected);
        // Long dead, and what it had is on another node by now.
        status.nodes[2].is_up = false;
        status.partitions[7].replicas[2].marks.applied = Position::new(3);
        let dead = line(&status);
        assert!(dead.contains("1,007    0 ") && dead.ends_with("n3 down"), "{dead}");
        status.nodes[2].is_up = true;
        status.partitions[7].voters.pop();
        assert!(line(&status).contains("1,007    0 "), "{}", line(&status));
        let shown = show(&status, &status.partitions[7]).plain();
        let cells = |field: &str| {
            let line = shown.lines().find(|line| line.starts_with(field)).unwrap();
            line.split("  ")
                .filter(|cell| !cell.is_empty())
                .map(|cell| cell.trim().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(cells("role"), ["role", "follower", "leader", "left over"]);
        assert_eq!(cells("events behind"), ["events behind", "0", "0", "-"]);
        assert!(!shown.contains("as of"), "all of them have just answered");
        // Of those that are gone nothing is known now, however much they said before.
        for node in &mut status.nodes {
            node.is_up = false;
        }
        status.partitions[7].leader = None;
        let gone = line(&status);
        assert_eq!(gone.matches('?').count(), 5, "{gone}");
    }

    #[test]
    fn who_has_not_answered_just_now_is_not_said_to_be_serving() {
        let mut status = sample::healthy();
        status.nodes[1].is_silent = true;
        let shown = show(&status, &status.partitions[7]).plain();
        assert!(shown.contains("serving  no answer"), "{shown}");
        assert!(shown.contains("n2 does not answer: what is shown of it is what it said last"), "{shown}");
    }

    #[test]
    fn a_partition_is_shown_with_its_replicas_side_by_side() {
        let status = sample::healthy();
        let shown = show(&status, status.partition(PartitionId::new(7).unwrap()).unwrap()).plain();
        let expected = "\
partition 7   led by n2 in term 3   voters n1 n2 n3

                        n1        n2        n3
role              follower    leader  follower
health             serving   serving   serving
term                     3         3         3
takes for leader        n2        n2        n2
events behind            0         0         2
appended             1,007     1,007     1,007
flushed              1,007     1,007     1,007
committed            1,007     1,007     1,005
applied              1,007     1,007     1,005
indexed              1,007     1,007     1,005
compacted              900       900       900
purged                 800       800       800
log entries       101..250  101..250  101..250
log committed          250       250       250
lane                     0         0         0
parts                    4         4         4
bytes of parts    11.8 MiB  11.8 MiB  11.8 MiB
last scrub         2 h ago   2 h ago   2 h ago
";
        assert_eq!(shown, expected);
    }

    #[test]
    fn replicas_that_differ_are_told_apart_by_their_digests() {
        let partition = PartitionId::new(7).unwrap();
        let position = Position::new(1007);
        let replica = |node, digest| ReplicaDigest {
            node: NodeId::new(node),
            digest: PartitionDigest { partition, digest },
        };
        let digest = |byte| {
            let hash = Hash([byte; 32]);
            Ok(Digest { position, digest: hash, chain: hash, root: hash })
        };
        let (one, two) = ("01".repeat(32), "02".repeat(32));
        let equal = vec![replica(1, digest(1)), replica(2, digest(1))];
        let mut said = Said::default();
        let shown = comparison(&Comparison::of(partition, position, equal), &mut said).plain();
        assert_eq!(shown, format!("     7         1007 equal      {one} n1 n2\n"));
        let down = Failure::new(Class::Failed, "UNAVAILABLE", "it is down");
        let mixed = vec![replica(1, digest(1)), replica(2, digest(2)), replica(3, Err(down))];
        let mixed = Comparison::of(partition, position, mixed);
        let shown = comparison(&mixed, &mut said).plain();
        let gap = " ".repeat(30);
        let expected = format!(
            "     7         1007 DIFFERENT\n{gap} {one} n1\n{gap} {two} n2\n{gap} n3 gave none: UNAVAILABLE: it is down\n"
        );
        assert_eq!(shown, expected);
        let again = comparison(&mixed, &mut said).plain();
        assert!(again.ends_with("n3 gave none: as said above\n"), "{again}");
    }
}
