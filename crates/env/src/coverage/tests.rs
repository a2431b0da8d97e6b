use std::collections::BTreeSet;
use std::thread;

use super::*;
use crate::sim::World;

fn happens(times: u64) {
    for time in 1..=times {
        sometimes!("raft.log_truncated");
        sometimes!("raft.vote_split", time % 2 == 0);
    }
}

#[test]
fn names_are_said_once_and_mean_something() {
    let names: BTreeSet<&str> = RARE.iter().map(|rare| rare.name).collect();
    assert_eq!(names.len(), RARE.len(), "a name stands for two things");
    for Rare { name, file, means } in RARE {
        let (area, what) = name.split_once('.').unwrap_or_default();
        let is_plain = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        };
        assert!(is_plain(area) && is_plain(what), "{name} is not an area, a dot and what happened");
        assert!(file.ends_with(".rs") && means.contains(' '), "{name} lacks a file or a meaning");
    }
    assert!(!is_same("raft.vote", "raft.vote_split") && !is_same("raft.vote_split", "raft.vote"));
}

#[test]
fn a_world_counts_what_happens_while_it_runs_and_the_next_one_begins_with_nothing() {
    let (first, second) = (World::new(1), World::new(1));
    happens(7);
    first.run(async { happens(3) });
    first.run(async { happens(2) });
    happens(7);
    second.run(async { happens(1) });
    assert_eq!(first.rare(), [("raft.log_truncated", 5), ("raft.vote_split", 2)].into());
    assert_eq!(second.rare(), [("raft.log_truncated", 1)].into());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "marks are passed on real threads")]
fn worlds_on_two_threads_do_not_see_each_other() {
    let count = |times| {
        move || {
            let world = World::new(times);
            world.run(async { (0..1000).for_each(|_| happens(times)) });
            world.rare()["raft.log_truncated"]
        }
    };
    let (one, other) = (thread::spawn(count(1)), thread::spawn(count(3)));
    assert_eq!((one.join().unwrap(), other.join().unwrap()), (1000, 3000));
}

#[test]
fn what_a_world_panics_over_is_no_more_counted_there() {
    let world = World::new(1);
    let life = std::panic::AssertUnwindSafe(|| world.run(async { panic!("on purpose") }));
    std::panic::catch_unwind(life).unwrap_err();
    happens(1);
    assert_eq!(world.rare(), BTreeMap::new());
}
