//! Whoever leads, and whoever follows: nothing that was committed is taken back.

use chronos_chaos::plan::{Direction, Fault, Victim};

use crate::script::{Script, leader};
use crate::story::{Acknowledged, Spell};

/// KurrentDB cut committed records from its log after an election (#1367) [S-25].
#[test]
fn t_14_a_leader_that_is_heard_by_nobody_and_has_a_slow_disk_takes_nothing_back() {
    let victim = leader();
    let story = Script::new(114)
        .at(6, 12, Fault::Isolate { victim, direction: Direction::Out })
        .at(6, 20, Fault::SlowDisk { victim, sync_ms: 400 })
        .play();
    assert_eq!(story.spells("isolate-out")[0].nodes, story.spells("slow-disk")[0].nodes);
    story.assert_succeeded("isolate-out");
}

/// NATS had two leaders after one loss of power and some pauses: two of five stand still, a third loses its page cache,
/// and when those two go on the other two stand still [S-22].
#[test]
fn t_18_a_majority_that_has_never_met_before_does_not_forget() {
    let pause = |node| Fault::Pause { victim: Victim::Node(node) };
    let story = Script::new(118)
        .nodes(5)
        .at(4, 10, pause(4))
        .at(4, 10, pause(5))
        .at(10, 4, Fault::PowerCut { victim: Victim::Node(3) })
        .at(14, 12, pause(1))
        .at(14, 12, pause(2))
        .play();
    let pauses = story.spells("pause");
    let taking = |spell: &Spell| story.partitions_taking(spell.from, spell.to).len();
    assert!(taking(&pauses[0]) > 0, "nothing was committed without the last two");
    assert!(taking(&pauses[2]) > 0, "nothing was committed without the first two");
}

/// A replica of TigerBeetle that could send and not receive forced one election after the other [S-42].
#[test]
fn t_38_one_that_hears_nobody_does_not_keep_the_others_from_their_work() {
    let script = || Script::new(138).clients(6, 12.0).seconds(40);
    let deaf = Fault::Isolate { victim: Victim::Node(3), direction: Direction::In };
    let calm = script().play();
    let story = script().at(4, 36, deaf).play();
    let cut = &story.spells("isolate-in")[0];
    // Once what it led is led by others.
    let (from, to) = (cut.from + 8_000_000_000, cut.to);
    let [calm, with_it] = [&calm, &story].map(|story| {
        let within = |of: &&Acknowledged<'_>| (from..to).contains(&of.returned);
        story.acknowledged().iter().filter(within).map(|of| of.append.events.len()).sum::<usize>()
    });
    assert!(calm > 500, "{calm} events are too few to say");
    assert!(with_it * 10 >= calm * 9, "{with_it} events instead of {calm}");
}

/// NATS lost 5 of 5236 messages when nodes were cut off, killed and removed at the same time [S-22].
#[test]
fn t_19_members_change_while_one_is_cut_off_and_another_dies() {
    let story = Script::new(119)
        .nodes(5)
        .seconds(40)
        .at(4, 22, Fault::Drain { victim: Victim::Node(5) })
        .at(6, 6, Fault::Isolate { victim: Victim::Node(1), direction: Direction::Both })
        .at(9, 5, Fault::Kill { victim: Victim::Node(2) })
        .play();
    let [cut, dead] = ["isolate", "kill"].map(|kind| story.spells(kind).remove(0));
    assert!(cut.to > dead.from, "they were not away together");
    assert!(story.logged("order=\"Drain") > 0 && story.logged("order=\"Undrain") > 0);
    assert!(!story.partitions_taking(cut.from, cut.to).is_empty(), "nothing was appended meanwhile");
}

/// Whether this is an openraft that takes for committed what no majority has, or one with what was found soon afterwards.
fn is_unsound(openraft: &str) -> bool {
    let number = |text: &str| text.parse::<u32>().expect("a version ends with a number");
    if let Some(alpha) = openraft.strip_prefix("0.10.0-alpha.") {
        return number(alpha) < 34;
    }
    match openraft.strip_prefix("0.9.") {
        Some(patch) => number(patch) < 25,
        None => (0..9).any(|minor| openraft.starts_with(&format!("0.{minor}."))),
    }
}

/// Every openraft before June 2026 could take for committed what no majority had (#1802) [S-6].
#[test]
fn t_05_the_openraft_in_use_is_none_of_those_that_commit_without_a_majority() {
    assert!(["0.9.24", "0.8.9", "0.10.0-alpha.24"].iter().all(|version| is_unsound(version)));
    assert!(!["0.9.25", "0.10.0-alpha.34", "0.10.0"].iter().any(|version| is_unsound(version)));
    let lock =
        std::fs::read_to_string(crate::root().join("Cargo.lock")).expect("it is kept with the sources");
    let all: Vec<_> =
        lock.split("[[package]]").filter(|package| package.contains("name = \"openraft\"\n")).collect();
    let [package] = all[..] else { panic!("{} of it are in use", all.len()) };
    let version = package.lines().find_map(|line| line.strip_prefix("version = ")).expect("it has a version");
    assert!(!is_unsound(version.trim_matches('"')), "{version}");
}
