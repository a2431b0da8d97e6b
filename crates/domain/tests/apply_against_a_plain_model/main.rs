//! Random histories of commands, decided by `PartitionState::apply` and by a referee that knows only a list.
//!
//! After every command: the same verdict, gapless numbers, and nothing moved unless something was stored. After every
//! history: a second replica that replays the log comes to the same verdicts, state and events. A run that misses a kind
//! of outcome fails too, so that the generators cannot quietly stop reaching it.

mod coverage;
mod history;
mod referee;

use std::convert::Infallible;

use chronos_domain::model::{Model, Request};
use chronos_domain::{Append, ForkId, PartitionId, PartitionState, Position, Space, Timestamp, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use coverage::Coverage;
use history::Step;
use referee::Referee;

/// A command as it would stand in a log.
#[derive(Clone, Debug)]
struct Logged {
    tenant: &'static str,
    fork: ForkId,
    recorded_at: Timestamp,
    request: Request,
}

impl Logged {
    fn command(&self) -> Append<'_, Request> {
        let space = Space { tenant: self.tenant, fork: self.fork };
        Append { space, recorded_at: self.recorded_at, batch: &self.request }
    }
}

/// A partition whose events are in a plain model.
struct Replica {
    state: PartitionState,
    model: Model,
}

impl Replica {
    fn new() -> Replica {
        let partition = PartitionId::new(9).expect("9 is below 32");
        Replica { state: PartitionState::new(partition), model: Model::new() }
    }

    fn apply(&mut self, logged: &Logged) -> Verdict {
        let command = logged.command();
        let Ok::<_, Infallible>(verdict) = self.state.apply(&self.model, &command);
        if let Verdict::Stored(receipt) = &verdict {
            self.model.record(&command, receipt);
        }
        verdict
    }
}

fn run(steps: &[Step], coverage: &Coverage) -> Result<(), TestCaseError> {
    let (mut replica, mut referee) = (Replica::new(), Referee::default());
    let mut log: Vec<(Logged, Verdict)> = Vec::new();
    for step in steps {
        let logged = step.resolve(&log, &referee);
        let before = (replica.state.clone(), replica.model.head());
        let wanted = referee.decide(&logged);
        let verdict = replica.apply(&logged);
        prop_assert_eq!(&verdict, &wanted, "for {:?}", logged);
        coverage.count(&logged, &verdict, &before.0);
        match &verdict {
            Verdict::Stored(receipt) if receipt.first > Position::ZERO => {}
            _ => prop_assert_eq!(&before, &(replica.state.clone(), replica.model.head())),
        }
        // The model has checked every new number on its way in; the head must say the same.
        prop_assert_eq!(replica.state.head(), replica.model.head());
        prop_assert_eq!(replica.model.head().get(), referee.len() as u64);
        log.push((logged, verdict));
    }
    gapless(&replica.model)?;
    replay(&log, &replica)
}

fn gapless(model: &Model) -> Result<(), TestCaseError> {
    for (i, event) in model.events().iter().enumerate() {
        prop_assert_eq!(event.position.get(), i as u64 + 1);
    }
    for (tenant, fork) in history::SPACES {
        let space = Space { tenant, fork: ForkId::new(fork) };
        for entity in model.entities(space) {
            for (i, event) in model.history(space, entity).enumerate() {
                prop_assert_eq!(event.version.get(), i as u64 + 1);
                prop_assert_eq!(event.entity.as_str(), entity);
            }
        }
    }
    Ok(())
}

fn replay(log: &[(Logged, Verdict)], original: &Replica) -> Result<(), TestCaseError> {
    let mut second = Replica::new();
    for (logged, verdict) in log {
        prop_assert_eq!(&second.apply(logged), verdict);
    }
    prop_assert_eq!(&second.state, &original.state);
    prop_assert_eq!(&second.model, &original.model);
    Ok(())
}

#[test]
fn apply_decides_like_a_referee_that_reads_the_whole_list() {
    let coverage = Coverage::default();
    let config = Config { cases: 400, source_file: Some(file!()), ..Config::default() };
    let steps = prop::collection::vec(history::step(), 1..60);
    let outcome = TestRunner::new(config).run(&steps, |steps| run(&steps, &coverage));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    coverage.assert_complete();
}
