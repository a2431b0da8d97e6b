//! The power fails at every crash point of store and log, and what was acknowledged is there afterwards.

#![allow(clippy::unwrap_used, reason = "a test says what must not fail by unwrapping it")]

mod support;

use chronos_domain::LogIndex;
use chronos_env::Env;
use chronos_env::sim::World;
use chronos_store::Command;
use support::commands::{Wish, sample};
use support::node::{Node, USED, data_dir};
use support::run::Run;

const SEEDS: u64 = 2;
const ENTRIES: usize = 40;

/// The entry that was on its way when the power failed: nobody knows of it, and both ends are right.
/// With its index in the log.
type InFlight = Option<(usize, LogIndex, Vec<Command>)>;

/// Appends until the power fails or all is done.
async fn work(env: &Env, run: &mut Run, wishes: &[Wish], is_off: impl Fn() -> bool) -> InFlight {
    let Ok(node) = Node::open(env, 2_000) else {
        assert!(is_off(), "a node with power did not open");
        return None;
    };
    for (n, wishes) in wishes.chunks(3).enumerate() {
        let at = n % USED.len();
        if is_off() || node.partitions.iter().any(Result::is_err) {
            assert!(is_off(), "a partition was refused on a healthy disk");
            return None;
        }
        let commands = run.commands(at, wishes);
        let index = node.partition(at).applied_index().next();
        let answer = node.append(at, &commands).await;
        match answer {
            // Without power no answer reaches anybody.
            Ok(verdicts) if !is_off() => assert_eq!(verdicts, run.acknowledged(at, &commands)),
            _ => return Some((at, index, commands)),
        }
        if n % 5 == 4 {
            // Whatever becomes of it, nobody was promised anything.
            let compacted = node.compact(at, 3, true).await;
            assert!(compacted.is_ok() || is_off(), "{compacted:?}");
        }
    }
    node.close().await;
    None
}

/// What was acknowledged is there, what was in flight is there as a whole or not at all, and nothing else is.
async fn survey(env: &Env, run: &mut Run, in_flight: InFlight) {
    let report = chronos_store::verify(&env.disk, &data_dir()).unwrap();
    assert!(report.is_clean(), "a power cut is no damage: {:?}", report.damages);
    let node = Node::open(env, 2_000).unwrap();
    if let Some((at, index, commands)) = in_flight {
        let mut whole = run.oracles[at].clone();
        for command in &commands {
            whole.apply(command);
        }
        if node.partition(at).applied_index() >= index {
            run.oracles[at] = whole;
        }
    }
    for (at, oracle) in run.oracles.iter().enumerate() {
        oracle.check_events(node.partition(at));
    }
    // The survivors go on as if nothing had been.
    for (at, wish) in sample(12).into_iter().enumerate() {
        run.entry(&node, at % USED.len(), &[wish]).await;
    }
    node.close().await;
}

/// One world whose power fails at the `nth` hit of `point`; true if it was reached.
fn survives(point: &str, nth: u64, seed: u64) -> bool {
    let world = World::new(seed);
    let mut run = Run::new();
    let wishes = sample(3 * ENTRIES);
    let (first, second) = wishes.split_at(wishes.len() / 2);
    let disk = world.disk();
    // A first life without a crash gives the second one something to recover.
    assert!(world.run(work(&world.env(), &mut run, first, || disk.is_off())).is_none());
    world.arm_crash(point, nth);
    let in_flight = world.run(work(&world.env(), &mut run, second, || disk.is_off()));
    if !disk.is_off() {
        return false;
    }
    disk.power_on();
    world.run(survey(&world.env(), &mut run, in_flight));
    true
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_every_crash_point_of_the_store() {
    for point in chronos_store::CRASH_POINTS {
        for seed in 0..SEEDS {
            assert!(
                survives(point, 1 + seed * 5 % 11, seed) || survives(point, 1, seed),
                "{point} was never reached"
            );
        }
    }
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_every_crash_point_of_the_parts() {
    for point in chronos_parts::CRASH_POINTS {
        assert!(survives(point, 2, 2) || survives(point, 1, 2), "{point} was never reached");
    }
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_every_crash_point_of_the_log_that_it_passes() {
    let reached = chronos_wal::CRASH_POINTS.iter().filter(|point| {
        let hits = (0..SEEDS).filter(|seed| survives(point, 1 + seed * 3, *seed));
        hits.count() > 0
    });
    assert!(reached.count() >= 5, "the test has lost its way to the log's crash points");
}

#[test]
fn a_node_that_is_cut_off_before_it_has_a_log_starts_empty() {
    for seed in 0..20 {
        let world = World::new(seed);
        world.run(async { drop(Node::open(&world.env(), 0).unwrap()) });
        world.disk().power_off();
        world.disk().power_on();
        world.run(survey(&world.env(), &mut Run::new(), None));
        assert!(world.env().disk.exists(&data_dir()).unwrap());
    }
}
