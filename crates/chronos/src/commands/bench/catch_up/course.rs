//! What happens to the follower.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chronos_client::{ClusterAdmin, PartitionId, Token};

use super::report::{Fetched, Measured, Report};
use super::{Load, Phase};
use crate::demo::ledger::Ledger;
use crate::demo::proof;
use crate::demo::script::Script;
use crate::demo::stage::Stage;
use crate::failure::{Failure, Outcome};
use crate::fleet::ask;
use crate::ingest::cut::Size;
use crate::ingest::intake::Intake;
use crate::operator::failed;

/// Portions in which events are appended while the follower is away; each is compacted.
const PORTIONS: u64 = 5;
/// After a death others lead within this time, and callers have found them.
const ELECTED_WITHIN: Duration = Duration::from_secs(6);
/// How long a node that was killed stays away.
const DEAD_FOR: Duration = Duration::from_millis(500);
/// How often the follower is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long it may take to catch up, without a kill.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(1800);
/// How long compaction may take.
const COMPACTED_MAX: Duration = Duration::from_secs(600);

pub(super) struct Course {
    pub(super) stage: Stage,
    pub(super) admin: ClusterAdmin,
    pub(super) script: Script,
    pub(super) ledger: Arc<Ledger>,
    pub(super) load: Load,
    pub(super) victim: usize,
    pub(super) kills: u32,
}

/// The follower's own counters, of one life of its process.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    received: u64,
    installed: u64,
    needed: u64,
    parts: u64,
}

impl Course {
    pub(super) async fn run(&mut self, measure: Duration) -> Outcome<Report> {
        tokio::time::sleep(ELECTED_WITHIN).await;
        self.load.measure(Phase::AllThere, measure).await?;
        let at_kill = self.stage.fleet.events(self.victim).await?;
        self.stage.fleet.kill(self.victim).await?;
        tokio::time::sleep(ELECTED_WITHIN).await;
        self.fill().await?;
        self.load.measure(Phase::OneAway, measure).await?;
        let token = self.stage.connection.watermarks().await?.token;
        let behind = total(&token).saturating_sub(at_kill);
        let name = self.stage.fleet.name(self.victim).to_owned();
        self.say(&format!("{name} is {behind} events behind"));
        self.load.enter(Phase::CatchingUp)?;
        let start = Instant::now();
        let (fetched, kills) = self.come_back(&token, at_kill, behind).await?;
        let took = start.elapsed();
        self.load.enter(Phase::Between)?;
        self.load.measure(Phase::Afterwards, measure).await?;
        self.conclude(behind, took, fetched, kills).await
    }

    /// All events, compacted on the way, so that logs need not reach back to where the follower is.
    async fn fill(&mut self) -> Outcome {
        let mut sent = 0;
        for portion in 1..=PORTIONS {
            let up_to = self.script.events * portion / PORTIONS;
            let mut items = self.script.items(up_to, move |ordinal| ordinal <= sent);
            let mut intake = Intake::start(&self.stage.sink(), &self.ledger, Size::DEFAULT);
            while let Some(handful) = items.recv().await {
                for item in handful? {
                    intake.take(item).await?;
                }
            }
            intake.finish().await?;
            sent = up_to;
            self.compact().await?;
        }
        self.ledger.progress().clear();
        Ok(())
    }

    async fn compact(&self) -> Outcome {
        let (mut left, start): (Vec<PartitionId>, _) = (Vec::new(), Instant::now());
        loop {
            let answers = self.admin.compact(&left, true).await.map_err(failed)?;
            let refused: Vec<_> = answers
                .into_iter()
                .filter_map(|one| one.outcome.position.err().map(|why| (one.outcome.partition, why)))
                .collect();
            let Some((id, why)) = refused.first() else { return Ok(()) };
            if start.elapsed() > COMPACTED_MAX {
                return Err(Failure::failed(format!("partition {id} is not compacted: {why}")));
            }
            left = refused.iter().map(|(id, _)| *id).collect();
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Starts the follower, and kills it each time when it has come one step further; gives what it fetched in all lives,
    /// and how often it was killed.
    async fn come_back(&mut self, token: &Token, at_kill: u64, behind: u64) -> Outcome<(Fetched, u32)> {
        let (mut all, mut kills, start) = (Fetched::default(), 0, Instant::now());
        self.stage.fleet.restart(self.victim).await?;
        loop {
            let (here, counted) = (self.here(token).await, self.counted().await);
            let goal = behind * u64::from(kills + 1) / u64::from(self.kills + 1);
            if let (Some((events, lagging)), Some(counted)) = (here, counted) {
                if lagging == 0 {
                    all.add(counted.received, counted.installed, counted.parts, counted.needed);
                    return Ok((all, kills));
                }
                if kills < self.kills && events.saturating_sub(at_kill) >= goal {
                    all.add(counted.received, counted.installed, counted.parts, counted.needed);
                    kills += 1;
                    let share = events.saturating_sub(at_kill) * 100 / behind.max(1);
                    self.say(&format!("killed for the {kills}. time, {share} % of the way"));
                    self.stage.fleet.kill(self.victim).await?;
                    tokio::time::sleep(DEAD_FOR).await;
                    self.stage.fleet.restart(self.victim).await?;
                }
            }
            if start.elapsed() > CAUGHT_UP_MAX {
                return Err(Failure::failed(format!(
                    "it did not catch up within {} s",
                    CAUGHT_UP_MAX.as_secs()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Events that the follower has, and partitions of which it does not have all that the token covers.
    async fn here(&self, token: &Token) -> Option<(u64, usize)> {
        let marks = ask::json(&self.stage.fleet.address(self.victim), "/v1/watermarks").await.ok()?;
        let applied = |id: PartitionId| {
            let all = marks["partitions"].as_array()?;
            all.iter().find(|of| of["partition"] == id.get())?["applied"].as_u64()
        };
        let each = PartitionId::all().map(|id| (id, applied(id).unwrap_or(0)));
        let (mut events, mut lagging) = (0, 0);
        for (id, applied) in each {
            events += applied;
            lagging += usize::from(applied < token.get(id).get());
        }
        Some((events, lagging))
    }

    async fn counted(&self) -> Option<Counted> {
        let text = ask::text(&self.stage.fleet.address(self.victim), "/metrics").await.ok()?;
        let value = |name: &str| {
            let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name))?;
            line.rsplit(' ').next()?.parse::<f64>().ok().map(|value| value as u64)
        };
        Some(Counted {
            received: value("chronos_peer_bulk_received_bytes_total")?,
            installed: value("chronos_snapshots_installed_total")?,
            needed: value("chronos_snapshot_bytes_total")?,
            parts: value("chronos_snapshot_parts_total")?,
        })
    }

    async fn conclude(
        &mut self,
        behind: u64,
        took: Duration,
        fetched: Fetched,
        kills: u32,
    ) -> Outcome<Report> {
        self.admin.resume().await.map_err(failed)?;
        let found = proof::total(&self.stage.prove(&self.ledger).await?);
        let token = self.stage.connection.watermarks().await?.token;
        let agreement = self.stage.fleet.agreement(&token).await?;
        for partition in agreement.broken() {
            self.say(&agreement.describe(&self.stage.fleet, partition));
        }
        let phase = |phase| self.load.of(phase, Measured::of);
        let report = Report {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            release: self.stage.connection.info().await?.release,
            behind,
            caught_up_seconds: took.as_secs_f64(),
            kills,
            kills_wanted: self.kills,
            fetched,
            all_there: phase(Phase::AllThere),
            one_away: phase(Phase::OneAway),
            catching_up: phase(Phase::CatchingUp),
            afterwards: phase(Phase::Afterwards),
            lost: found.lost,
            duplicates: found.duplicates,
            gaps: found.gaps,
            digests_compared: agreement.replicas(),
            digests_different: agreement.broken().len(),
        };
        self.stage.fleet.stop_all().await?;
        Ok(report)
    }

    fn say(&self, text: &str) {
        self.ledger.progress().say(text);
    }
}

fn total(token: &Token) -> u64 {
    PartitionId::all().map(|id| token.get(id).get()).sum()
}
