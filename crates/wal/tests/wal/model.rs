//! Anything a caller may ask for, in any order, compared with a plain model across restarts and changes of lanes.

use bytes::Bytes;
use chronos_wal::{LogId, Mark, Wal};
use proptest::prelude::*;

use crate::harness::*;

const LOGS: u8 = 4;

#[derive(Clone, Debug)]
enum Step {
    Append { log: u8, count: u8, len: u16, wait: bool },
    Vote { log: u8 },
    Truncate { log: u8, back: u8 },
    Purge { log: u8, back: u8 },
    Skip { log: u8, ahead: u8 },
    Commit { log: u8 },
    Reset { log: u8 },
    Reopen { lanes: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let log = 0..LOGS;
    prop_oneof![
        10 => (log.clone(), 1..5u8, 0..6000u16, any::<bool>())
            .prop_map(|(log, count, len, wait)| Step::Append { log, count, len, wait }),
        2 => log.clone().prop_map(|log| Step::Vote { log }),
        2 => (log.clone(), 0..8u8).prop_map(|(log, back)| Step::Truncate { log, back }),
        3 => (log.clone(), 0..20u8).prop_map(|(log, back)| Step::Purge { log, back }),
        1 => (log.clone(), 0..5u8).prop_map(|(log, ahead)| Step::Skip { log, ahead }),
        1 => log.clone().prop_map(|log| Step::Commit { log }),
        1 => log.prop_map(|log| Step::Reset { log }),
        1 => (1..=LOGS).prop_map(|lanes| Step::Reopen { lanes }),
    ]
}

impl Step {
    /// The operation this comes down to, given what the log holds; none when it makes no sense now.
    fn act(&self, models: &[Model], nth: usize) -> Option<(u8, Act)> {
        let model = |log: u8| &models[usize::from(log)];
        let last = |log: u8| model(log).entries.last_key_value().map(|(index, _)| *index);
        let floor = |log: u8| model(log).purged.map_or(0, |mark| mark.index);
        match *self {
            Step::Append { log, count, len, .. } => {
                let first = model(log).next();
                let term = nth as u64;
                let indexes = first..first + u64::from(count);
                let make =
                    |index| entry(index, term, payload(LogId::new(log), index, term, usize::from(len)));
                Some((log, Act::Append(indexes.map(make).collect())))
            }
            Step::Vote { log } => Some((log, Act::Vote(Bytes::from(format!("vote {nth}"))))),
            Step::Truncate { log, back } => {
                let after = last(log)?.saturating_sub(u64::from(back)).max(floor(log));
                Some((log, Act::Truncate(after)))
            }
            Step::Purge { log, back } => Some((log, Act::Purge(last(log)?.saturating_sub(u64::from(back))))),
            Step::Skip { log, ahead } => {
                let index = model(log).next() + u64::from(ahead);
                Some((log, Act::PurgeTo(Mark { index, term: nth as u64 })))
            }
            Step::Reset { log } => Some((log, Act::Reset)),
            Step::Commit { .. } | Step::Reopen { .. } => None,
        }
    }
}

fn run(seed: u64, steps: &[Step]) {
    let world = world(seed);
    world.run(async {
        let mut models = vec![Model::default(); usize::from(LOGS)];
        let mut wal: Wal = open(&world.env(), 1).0;
        for (nth, step) in steps.iter().enumerate() {
            if let Step::Reopen { lanes } = step {
                wal.close().await;
                let (opened, recovery) = open(&world.env(), *lanes);
                assert_eq!(recovery.damages, [], "after {:?}", &steps[..nth]);
                wal = opened;
                logs(&wal, LOGS).iter().zip(&models).for_each(|(log, model)| model.check(log));
            } else if let Step::Commit { log } = step {
                wal.log(LogId::new(*log)).commit(nth as u64);
            } else if let Some((log, act)) = step.act(&models, nth) {
                let handle = wal.log(LogId::new(log));
                let (done, told) = answer();
                submit(&handle, &act, done);
                models[usize::from(log)].apply(&act);
                models[usize::from(log)].check_unless_vote(&handle);
                if matches!(step, Step::Append { wait: true, .. }) {
                    told.await.unwrap().unwrap();
                }
            }
        }
        wal.close().await;
        let (wal, recovery) = open(&world.env(), 2);
        assert_eq!(recovery.damages, []);
        logs(&wal, LOGS).iter().zip(&models).for_each(|(log, model)| model.check(log));
        wal.close().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_log_behaves_like_its_model(seed: u64, steps in proptest::collection::vec(step(), 1..120)) {
        run(seed, &steps);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let world = world(seed);
        world.run(async {
            let (wal, _) = open(&world.env(), 2);
            for log in logs(&wal, LOGS) {
                fill(&log, 60, 500).await;
            }
            wal.close().await;
        });
        world.trace().hash()
    };
    assert_eq!(trace(5), trace(5));
    assert_ne!(trace(5), trace(6));
}
