//! The campaign.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chronos_env::Env;
use tokio::sync::watch;

use super::fault::Fault;
use super::report::Report;
use crate::demo::dice::Dice;
use crate::demo::ledger::Ledger;
use crate::demo::proof;
use crate::demo::script::Script;
use crate::demo::stage::Stage;
use crate::failure::{Failure, Outcome};
use crate::fleet::Fleet;
use crate::fleet::cut::Networks;
use crate::fleet::ground::Ground;
use crate::ingest::cut::Size;
use crate::ingest::intake::Intake;
use crate::ingest::progress::{Measure, Progress};

/// Events of one request: a campaign wants many acknowledgements, not much throughput.
const BATCH: Size = Size { events: 16, ..Size::DEFAULT };

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
    silence: Duration,
}

impl Campaign {
    /// Leads it, and counts. An error is one that kept it from counting.
    pub(crate) async fn lead(self) -> Outcome<Concluded> {
        let mut stage = Stage::on(self.found().await?).await?;
        stage.fleet.settled().await?;
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
        let ground = match self.faults.contains(&Fault::Partition) {
            true => Ground::networks(self.nodes)?,
            false => Ground::loopback(),
        };
        Fleet::found(self.nodes, ground).await
    }

    async fn attack_and_count(&self, stage: &mut Stage, ledger: &Arc<Ledger>) -> Outcome<Report> {
        let course = self.attack(stage, ledger).await?;
        ledger.progress().clear();
        let found = proof::total(&stage.prove(ledger).await?);
        let agreement = stage.fleet.agreement(&ledger.token()).await?;
        for partition in agreement.broken() {
            eprintln!("{}", agreement.describe(&stage.fleet, partition));
        }
        stage.fleet.stop_all().await?;
        Ok(Report {
            nodes: self.nodes,
            replicas_per_partition: stage.fleet.replication(),
            faults: self.faults.clone(),
            seed: self.seed,
            rounds: course.rounds,
            rounds_wanted: self.rounds,
            seconds: course.seconds,
            events_per_second: self.rate,
            acknowledged: found.acknowledged,
            stored: found.head,
            lost: found.lost,
            duplicates: found.duplicates,
            gaps: found.gaps,
            digests_compared: agreement.replicas(),
            digests_different: agreement.broken().len(),
            longest_silence_ms: course.silence.as_millis() as u64,
            verify_clean: verify(&stage.fleet)?,
        })
    }

    /// Events go in, faults go on, until all rounds are over and all that was sent is acknowledged.
    async fn attack(&self, stage: &mut Stage, ledger: &Arc<Ledger>) -> Outcome<Course> {
        let start = Instant::now();
        let (done, fed) = (watch::Sender::new(false), watch::Sender::new(false));
        let mut intake = Intake::start(&stage.sink(), ledger, BATCH);
        let feeding = async {
            let ended = self.feed(&mut intake, done.subscribe()).await;
            fed.send_replace(true);
            ended?;
            intake.finish().await
        };
        let striking = async {
            let rounds = self.strike(&mut stage.fleet, ledger, fed.subscribe()).await;
            done.send_replace(true);
            rounds
        };
        let listening = longest_silence(ledger, done.subscribe());
        let ((), rounds, silence) = tokio::try_join!(feeding, striking, listening)?;
        Ok(Course { rounds, seconds: start.elapsed().as_secs_f64(), silence })
    }

    /// At its pace, until the rounds are over or the source is.
    async fn feed(&self, intake: &mut Intake<Ledger>, done: watch::Receiver<bool>) -> Outcome {
        let mut items = self.script.items(self.script.events, |_| false);
        let (start, mut sent) = (Instant::now(), 0_u64);
        while let Some(handful) = items.recv().await {
            for item in handful? {
                if *done.borrow() {
                    return Ok(());
                }
                let due = start + Duration::from_secs_f64(sent as f64 / self.rate as f64);
                if due > Instant::now() {
                    tokio::time::sleep_until(due.into()).await;
                }
                intake.take(item).await?;
                sent += 1;
            }
        }
        Ok(())
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
            fault.strike(fleet, at, &mut dice).await?;
            let (name, took) = (fleet.name(at), start.elapsed().as_millis());
            ledger
                .progress()
                .say(&format!("round {round} of {}: {fault:?} of {name}, {took} ms", self.rounds));
            tokio::time::sleep((self.every.saturating_sub(start.elapsed())).max(PEACE_MIN)).await;
        }
        Ok(self.rounds)
    }
}

/// The longest time without an acknowledgement, until the rounds are over.
async fn longest_silence(ledger: &Ledger, mut done: watch::Receiver<bool>) -> Outcome<Duration> {
    let (mut count, mut last, mut longest) = (ledger.acknowledged(), Instant::now(), Duration::ZERO);
    loop {
        let ended = tokio::select! {
            biased; // whichever is first
            _ = done.wait_for(|done| *done) => true,
            changed = count.changed() => changed.is_err(),
        };
        longest = longest.max(last.elapsed());
        last = Instant::now();
        if ended {
            return Ok(longest);
        }
    }
}

fn verify(fleet: &Fleet) -> Outcome<bool> {
    let mut clean = true;
    for at in 0..fleet.len() {
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
    let missing = faults.contains(&Fault::Partition).then(Networks::missing).flatten();
    let Some(missing) = missing else { return Ok(faults.to_vec()) };
    let sentence =
        format!("SKIPPED: partitions, which need root, network namespaces and nftables: {missing}");
    let left: Vec<Fault> = faults.iter().copied().filter(|fault| *fault != Fault::Partition).collect();
    if left.is_empty() {
        return Err(Failure::failed(format!("{sentence}; nothing else was asked for")));
    }
    eprintln!("chronos: {sentence}");
    Ok(left)
}
