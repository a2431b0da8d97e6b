//! Planted bugs are caught: three of them in each commit, others in the next.
//!
//! Each is looked for from the seed on at which a hunt has caught it (`cargo chaos bugs` hunts anew), for a few seeds: what
//! the product does between two messages moves a catch. Which three follows from the commit, so that a commit always tests
//! the same ones, and some commits all of them; where there is no commit to be asked for, from the version of this crate.

use std::process::Command;

use chronos_bugs::Bug;
use chronos_chaos::bugs::{Hunt, Plant, quarries};

/// Seeds in which a bug has to be caught.
const SEEDS: u64 = 4;

/// The bugs that have been caught, and where: seeds and seconds of attack.
fn known() -> Vec<(Bug, u64, u64)> {
    let known = quarries().filter_map(|quarry| match quarry.plant {
        Plant::Here(sought) => sought.known.map(|(seed, seconds)| (quarry.bug, seed, seconds)),
        Plant::NotYet(_) => None,
    });
    known.collect()
}

/// What changes from commit to commit.
fn commit() -> String {
    let asked =
        Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let head = asked.ok().filter(|output| output.status.success());
    let head = head.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    head.filter(|head| !head.is_empty()).unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned())
}

/// FNV-1a: a commit always gives the same number, on every machine.
fn number(text: &str) -> usize {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % (1 << 31)) as usize
}

#[test]
fn three_planted_bugs_are_caught() {
    let (known, commit) = (known(), commit());
    assert!(known.len() > 3, "only {} bugs have a seed at which they are caught", known.len());
    let first = number(&commit);
    let mut missed = Vec::new();
    for (bug, seed, seconds) in (0..3).map(|nth| known[(first + nth) % known.len()]) {
        let process = move |planted: Option<Bug>, seed: u64| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_chronos-chaos"));
            command.args(["bugs", "--here", "--only", bug.name(), "--seconds", &seconds.to_string()]);
            command.args(["--seeds", &format!("{seed}..{}", seed + 1)]).env_remove("CHRONOS_BUG");
            if let Some(bug) = planted {
                command.env("CHRONOS_BUG", bug.name());
            }
            command
        };
        let hunted = Hunt { process: Box::new(process), jobs: 2 }.until_caught(bug, seed..seed + SEEDS);
        eprintln!("{commit}: {bug} at seed {seed}: {hunted:?}");
        if hunted.catch.is_none() {
            missed.push(format!("{bug} ({}) at seed {seed} of {seconds} s: {hunted:?}", bug.statement()));
        }
    }
    assert!(
        missed.is_empty(),
        "planted and not caught, hunt for another seed with `cargo chaos bugs`: {missed:#?}"
    );
}

#[test]
fn every_bug_that_can_be_planted_says_what_it_should_show_by() {
    for quarry in quarries() {
        match quarry.plant {
            Plant::Here(sought) => {
                assert!(!sought.plans.is_empty() && !quarry.ground.is_empty(), "{}", quarry.bug);
            }
            Plant::NotYet(why) => {
                assert!(why.len() > 20, "{} has no reason why it cannot be planted", quarry.bug);
            }
        }
    }
}
