//! The campaign.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chronos_client::Options;
use chronos_env::Env;
use tokio::sync::watch;

use super::fault::{Fault, Struck};
use super::load::Load;
use super::report::Report;
use super::steady::Steady;
use crate::connect::ClientSink;
use crate::demo::dice::Dice;
use crate::demo::ledger::Ledger;
use crate::demo::proof;
use crate::demo::script::Script;
use crate::demo::stage::Stage;
use crate::failure::{Failure, Outcome};
use crate::fleet::Fleet;
use crate::fleet::cut::Networks;
use crate::fleet::ground::Ground;
use crate::ingest::progress::{Measure, Progress};

/// Even a fault that is over at once is followed by a little peace.
const PEACE_MIN: Duration = Duration::from_millis(200);

/// What is to be done.
pub(crate) struct Campaign {
    pub(crate) nodes: usize,
    pub(crate) rounds: u32,
    /// From the begin of one fault to the next, at least.
    pub(crate) every: Duration,
    pub(crate) faults: Vec<Fault>,
    pub(crate) script: Script,
    /// Events a second.
    pub(crate) rate: u64,
    pub(crate) seed: u64,
}

/// What was done and found; where the evidence is, when something is wrong.
pub(crate) struct Concluded {
    pub(crate) report: Report,
    pub(crate) evidence: Option<PathBuf>,
}

/// What went on while faults were struck.
struct Course {
    rounds: u32,
    seconds: f64,
}

impl Campaign {
    /// Leads it, and counts. An error is one that kept it from counting.
    pub(crate) async fn lead(self) -> Outcome<Concluded> {
        let fleet = self.found().await?;
        fleet.settled().await?;
        // As patient as a caller is who does not say how patient he is.
        let mut stage = Stage::on(fleet, Options::default().deadline).await?;
        let ledger = Arc::new(Ledger::new(Progress::new(Measure::Events(self.script.events))));
        match self.attack_and_count(&mut stage, &ledger).await {
            Ok(report) => {
                let evidence = (!report.is_clean()).then(|| stage.fleet.keep().to_owned());
                Ok(Concluded { report, evidence })
            }
            Err(failure) => {
                let evidence = stage.fleet.keep().display();
                Err(Failure::new(
                    failure.exit(),
                    format!("{failure}; the directories are kept in {evidence}"),
                ))
            }
        }
    }

    async fn found(&self) -> Outcome<Fleet> {
        let ground = match self.faults.iter().any(|fault| fault.is_of_the_network()) {
            true => Ground::networks(self.nodes)?,
            false => Ground::loopback(),
        };
        Fleet::found(self.nodes, ground).await
    }

    async fn attack_and_count(&self, stage: &mut Stage, ledger: &Arc<Ledger>) -> Outcome<Report> {
        let steady = Steady { sink: stage.connection.sink(), diary: Arc::default() };
        let course = self.attack(stage, &steady, ledger).await?;
        let counts = stage.connection.counters().counts();
        ledger.progress().say("all that was sent is acknowledged; waiting for the cluster to come to rest");
        let rest = Instant::now();
        let agreement = stage.fleet.agreement(&ledger.token()).await?;
        let rest_seconds = rest.elapsed().as_secs_f64();
        ledger.progress().clear();
        for partition in agreement.broken() {
            eprintln!("{}", agreement.describe(&stage.fleet, partition));
        }
        let found = proof::total(&stage.prove(ledger).await?);
        stage.fleet.stop_all().await?;
        Ok(Report {
            nodes: self.nodes,
            replicas_per_partition: stage.fleet.replication(),
            faults: self.faults.clone(),
            seed: self.seed,
            rounds: course.rounds,
            rounds_wanted: self.rounds,
            seconds: course.seconds,
            rest_seconds,
            events_per_second: self.rate,
            found,
            digests_compared: agreement.replicas(),
            digests_different: agreement.broken().len(),
            sdk: steady.diary.take(),
            retries: counts.retries,
            verify_clean: verify(&stage.fleet)?,
        })
    }

    /// Events go in, faults go on, until all rounds are over and all that was sent is acknowledged.
    async fn attack(
        &self,
        stage: &mut Stage,
        steady: &Steady<ClientSink>,
        ledger: &Arc<Ledger>,
    ) -> Outcome<Course> {
        let start = Instant::now();
        let load = Load::new(&self.script, 0, self.rate);
        let fed = load.fed.subscribe();
        let striking = async {
            steady.diary.listen();
            let rounds = self.strike(&mut stage.fleet, ledger, fed).await;
            steady.diary.rest();
            rounds
        };
        let rounds = load.during((steady, ledger), striking).await?;
        Ok(Course { rounds, seconds: start.elapsed().as_secs_f64() })
    }

    /// All rounds, one after the other; fewer when the source ends before them. Gives how many.
    async fn strike(&self, fleet: &mut Fleet, ledger: &Ledger, fed: watch::Receiver<bool>) -> Outcome<u32> {
        let mut dice = Dice::new(self.seed);
        for round in 1..=self.rounds {
            if *fed.borrow() {
                return Ok(round - 1);
            }
            let start = Instant::now();
            let (at, fault) = (dice.below(fleet.len() as u64) as usize, dice.pick(&self.faults));
            let name = fleet.name(at).to_owned();
            fault.strike(Struck { fleet, at, dice: &mut dice, ledger }).await?;
            let took = start.elapsed().as_millis();
            ledger
                .progress()
                .say(&format!("round {round} of {}: {fault:?} of {name}, {took} ms", self.rounds));
            tokio::time::sleep((self.every.saturating_sub(start.elapsed())).max(PEACE_MIN)).await;
        }
        Ok(self.rounds)
    }
}

/// Whether every directory is whole, offline; what is not is said.
pub(crate) fn verify(fleet: &Fleet) -> Outcome<bool> {
    let mut clean = true;
    for at in fleet.members() {
        let data = fleet.data(at);
        let report = chronos_store::verify(&Env::real().disk, &data)
            .map_err(|e| Failure::failed(format!("cannot verify {}: {e}", data.display())))?;
        for damage in &report.damages {
            eprintln!("{}: damage: {damage}", fleet.name(at));
        }
        clean &= report.is_clean();
    }
    Ok(clean)
}

/// Faults that cannot be struck here are left out, loudly.
///
/// # Errors
/// When nothing is left.
pub(crate) fn possible(faults: &[Fault]) -> Outcome<Vec<Fault>> {
    let missing = faults.iter().any(|fault| fault.is_of_the_network()).then(Networks::missing).flatten();
    let Some(missing) = missing else { return Ok(faults.to_vec()) };
    let sentence =
        format!("SKIPPED: partitions, which need root, network namespaces and nftables: {missing}");
    let left: Vec<Fault> = faults.iter().copied().filter(|fault| !fault.is_of_the_network()).collect();
    if left.is_empty() {
        return Err(Failure::failed(format!("{sentence}; nothing else was asked for")));
    }
    eprintln!("warning: {sentence}");
    Ok(left)
}
