//! The power fails at every named point, in the middle of work, and again while recovering: what was acknowledged
//! is there, nothing was made up, and no log is ever called corrupt.

use std::collections::BTreeSet;

use bytes::Bytes;
use chronos_env::Entropy;
use chronos_env::sim::World;
use chronos_wal::{CRASH_POINTS, LogId, OpenError, Recovery, Verdict, Wal, verify};

use crate::harness::*;

const LOGS: u8 = 4;
/// Worlds per crash point.
const SEEDS: u64 = 24;

/// One log's acts since it was last known exactly, as single frames, and how many operations were answered `Ok`.
struct History {
    base: Model,
    /// Operations in the order of the calls; an append is one act per entry, as frames of it may survive alone.
    ops: Vec<Vec<Act>>,
    answers: Answers,
}

impl History {
    fn starting(base: Model) -> History {
        History { base, ops: Vec::new(), answers: Answers::default() }
    }

    /// The model with everything asked for.
    fn asked(&self) -> Model {
        let mut model = self.base.clone();
        self.ops.iter().flatten().for_each(|act| model.apply(act));
        model
    }

    /// Every state that a crash may leave: all that was acknowledged, and any number of frames behind it.
    fn legal(&self) -> Vec<Model> {
        let answers = self.answers.taken();
        let acknowledged = answers.iter().take_while(|(_, answer)| answer.is_ok()).count();
        assert!(
            answers[acknowledged..].iter().all(|(_, answer)| answer.is_err()),
            "acknowledged after a failure"
        );
        assert!(answers.iter().map(|(number, _)| *number).eq(0..answers.len()), "answered out of order");
        let mut model = self.base.clone();
        self.ops[..acknowledged].iter().flatten().for_each(|act| model.apply(act));
        let mut legal = vec![model.clone()];
        for act in self.ops[acknowledged..].iter().flatten() {
            model.apply(act);
            legal.push(model.clone());
        }
        legal
    }
}

fn single_frames(act: Act) -> Vec<Act> {
    match act {
        Act::Append(entries) => entries.into_iter().map(|entry| Act::Append(vec![entry])).collect(),
        other => vec![other],
    }
}

/// Something sensible to ask of a log that holds `model`.
fn draw(dice: &Entropy, log: u8, model: &Model, nth: u64) -> Act {
    let last = model.entries.last_key_value().map(|(index, _)| *index);
    match (dice.below(20), last) {
        (0 | 1, _) => Act::Vote(Bytes::from(format!("vote {nth}"))),
        (2, Some(last)) => {
            let floor = model.purged.map_or(0, |mark| mark.index);
            Act::Truncate(last.saturating_sub(dice.below(4)).max(floor))
        }
        (3..=6, Some(last)) => Act::Purge(last.saturating_sub(dice.below(6))),
        (7, _) => Act::Reset,
        _ => {
            let len = if dice.below(8) == 0 { 20_000 } else { 1500 };
            let indexes = model.next()..model.next() + 1 + dice.below(3);
            let make =
                |index| entry(index, nth, payload(LogId::new(log), index, nth, dice.below(len) as usize));
            Act::Append(indexes.map(make).collect())
        }
    }
}

/// Works until the power fails or `count` operations are asked for.
async fn work(world: &World, wal: &Wal, dice: &Entropy, histories: &mut [History], count: u64) {
    for nth in 0..count {
        let log = dice.below(u64::from(LOGS)) as u8;
        let history = &mut histories[usize::from(log)];
        let act = draw(dice, log, &history.asked(), nth);
        let handle = wal.log(LogId::new(log));
        submit(&handle, &act, history.answers.completion(history.ops.len()));
        history.ops.push(single_frames(act));
        if dice.below(3) == 0 {
            let (done, told) = answer();
            wal.log(LogId::new(log)).append(Vec::new(), done);
            let _ = told.await;
        }
        if dice.below(16) == 0 {
            world.env().clock.sleep(std::time::Duration::from_millis(30)).await;
        }
        if world.disk().is_off() {
            break;
        }
    }
}

/// How the life before ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// With everything flushed, or there was none.
    Orderly,
    Cut,
}

/// Opens, compares every log with what it may hold, and starts new histories from what it does hold.
fn recover(
    world: &World,
    lanes: u8,
    histories: &mut [History],
    before: Before,
    why: &str,
) -> Option<(Wal, Recovery)> {
    let (wal, recovery) = match Wal::open(&world.env(), config(lanes)) {
        // The last crash point of opening may have struck, and nobody noticed yet.
        Ok(_) if world.disk().is_off() => return None,
        Ok(opened) => opened,
        Err(OpenError::Io(_)) if world.disk().is_off() => return None,
        Err(error) => panic!("{why}: {error}"),
    };
    assert_eq!(recovery.damages, [], "{why}");
    let is_clean = recovery.logs.iter().all(|log| log.verdict == Verdict::Clean);
    assert!(is_clean || before == Before::Cut, "{why}: a tail was torn by nobody, or never cut");
    for (log, history) in logs(&wal, LOGS).iter().zip(histories) {
        let state = log.state();
        let held = Model { entries: entries_of(log), purged: state.purged, vote: state.vote };
        assert_eq!(held.last(), state.last, "{why}");
        assert!(history.legal().contains(&held), "{why}: {} holds what it never should: {held:#?}", log.id());
        *history = History::starting(held);
    }
    Some((wal, recovery))
}

/// Lives one life: opens, checks, works until the power fails, which may happen anywhere in between; then the power
/// fails in any case. Returns how it ended.
fn live(world: &World, dice: &Entropy, histories: &mut [History], before: Before, why: &str) -> Before {
    let lanes = 1 + dice.below(3) as u8;
    world.run(async {
        let Some((wal, _)) = recover(world, lanes, histories, before, why) else { return };
        // A short life leaves most of what an earlier one tore as it is.
        let count = [1, 70][dice.below(2) as usize];
        work(world, &wal, dice, histories, count).await;
        wal.close().await;
    });
    let ended = if world.disk().is_off() { Before::Cut } else { Before::Orderly };
    world.disk().power_off();
    world.disk().power_on();
    ended
}

#[test]
fn no_power_cut_at_any_named_point_loses_or_invents_anything() {
    let mut struck = BTreeSet::new();
    for point in CRASH_POINTS {
        for seed in 0..SEEDS {
            let world = world(seed);
            let dice = world.env().entropy.child("work");
            let mut histories: Vec<_> = (0..LOGS).map(|_| History::starting(Model::default())).collect();
            let mut before = Before::Orderly;
            for life in ["first", "second", "third", "fourth"] {
                match life {
                    // A torn tail first, so that the second life has something to cut.
                    "first" => world.arm_crash("wal.unit.after_write", 1 + dice.below(20)),
                    "second" => world.arm_crash(point, nth(point, &dice)),
                    _ => {}
                }
                before = live(
                    &world,
                    &dice,
                    &mut histories,
                    before,
                    &format!("{point}, seed {seed}, {life} life"),
                );
                if life == "second" && before == Before::Cut {
                    struck.insert(*point);
                }
                verify_is_clean(&world, &format!("{point}, seed {seed}, after the {life} life"));
            }
        }
    }
    let missed: Vec<_> = CRASH_POINTS.iter().filter(|point| !struck.contains(*point)).collect();
    assert!(missed.is_empty(), "the power never failed at {missed:?}");
}

/// Some points are passed once in a life, if at all, others again and again.
fn nth(point: &str, dice: &Entropy) -> u64 {
    let once = point.starts_with("wal.cut") || point.starts_with("wal.lanes");
    if once { 1 } else { 1 + dice.below([2, 12][dice.below(2) as usize]) }
}

fn verify_is_clean(world: &World, why: &str) {
    let root = std::path::Path::new(ROOT);
    let report = verify(world.env().disk.as_ref(), root, &mut |_, _, _| {}).unwrap();
    assert_eq!(report.damages, [], "{why}");
}

/// The process dies and the machine does not: what was written is there, synced or not, and the mark is exact.
#[test]
fn no_death_of_the_process_loses_or_invents_anything() {
    for seed in 0..40 {
        let world = world(seed);
        let dice = world.env().entropy.child("work");
        let mut histories: Vec<_> = (0..LOGS).map(|_| History::starting(Model::default())).collect();
        for life in 0..4 {
            let why = format!("seed {seed}, life {life}");
            world.run(async {
                let (wal, _) =
                    recover(&world, 1 + dice.below(2) as u8, &mut histories, Before::Cut, &why).unwrap();
                let count = dice.below(60);
                work(&world, &wal, &dice, &mut histories, count).await;
                std::mem::forget(wal);
            });
        }
    }
}
