//! The plot: three nodes, ingest, remember, kill a leader, fail over, return, prove, compare replicas, look back, verify.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chronos_client::{EntityId, EntityState, Moment, Placement, State, Token};
use chronos_env::Env;
use serde::Serialize;

use super::death::{Death, feed_through};
use super::ledger::Ledger;
use super::proof::{self, Findings};
use super::script::Script;
use super::stage::{Stage, feed, seconds};
use super::voice::{Audience, Voice, side_by_side};
use crate::failure::{Exit, Failure, Outcome};
use crate::fleet::{Fleet, balance};
use crate::ingest::progress::{Measure, Progress, per_second};
use crate::table::{Align, Table, grouped};

/// Nodes of a show.
const NODES: usize = 3;

/// Percent of the events that are in when an entity is looked at.
const LOOK: u64 = 40;

/// Percent of the events that are acknowledged when the leader is killed.
const KILL: u64 = 60;

/// How it ended.
#[derive(Debug, Serialize)]
pub(crate) struct Finale {
    events: u64,
    /// Spent on bringing events in, fail-over included.
    seconds: f64,
    events_per_second: u64,
    durability: String,
    nodes: usize,
    replicas_per_partition: u8,
    /// From the first process to leaders and replicas that are spread over all nodes.
    found_seconds: f64,
    kills: u32,
    acknowledged_before_kill: u64,
    /// Partitions that the killed node led, and those of them that had appends afterwards.
    partitions_led: usize,
    partitions_failed_over: usize,
    /// From the kill to the first acknowledged append: the quickest and the slowest of them.
    failover_ms_min: Option<u64>,
    failover_ms_max: Option<u64>,
    restart_seconds: f64,
    caught_up_seconds: f64,
    lost: u64,
    duplicates: u64,
    gaps: u64,
    /// Digests that were compared, and partitions whose replicas differ.
    digests_compared: usize,
    digests_different: usize,
    past_unchanged: bool,
    verify_clean: bool,
    total_seconds: f64,
}

impl Finale {
    fn kept(&self) -> bool {
        let counts = self.lost == 0 && self.duplicates == 0 && self.gaps == 0;
        counts && self.digests_different == 0 && self.past_unchanged && self.verify_clean
    }
}

/// One entity at one moment, which must be the same for ever.
struct Look {
    entity: EntityId,
    as_of: Token,
    state: EntityState,
}

/// What all replicas were found to hold.
struct Compared {
    digests: usize,
    different: usize,
}

/// The show.
pub(crate) struct Show {
    script: Script,
    ledger: Arc<Ledger>,
    voice: Voice,
    begun: Instant,
    /// Spent on bringing events in so far.
    ingest: Duration,
}

impl Show {
    pub(crate) fn new(script: Script, audience: Audience) -> Self {
        let ledger = Arc::new(Ledger::new(Progress::new(Measure::Events(script.events))));
        let voice = Voice::new(audience, ledger.clone());
        Self { script, ledger, voice, begun: Instant::now(), ingest: Duration::ZERO }
    }

    /// Plays it to the end. What the finale says of broken promises is for the caller to act on; the cluster comes along,
    /// stopped, with its directories.
    pub(crate) async fn play(mut self) -> Outcome<(Finale, Fleet)> {
        let (mut stage, placement) = Stage::set(NODES).await?;
        let found = self.begun.elapsed();
        self.introduce(&stage, &placement, found);
        let durability = stage.connection.info().await?.durability;
        self.begin(&durability);

        let look_at = self.part(LOOK);
        let start = Instant::now();
        feed(&stage.sink(), &self.script, look_at, &self.ledger).await?;
        let look = self.look(&stage).await?;
        let kill_at = self.part(KILL);
        let death = feed_through(&mut stage, &self.script, kill_at, &self.ledger, &self.voice).await?;
        self.ingest = start.elapsed();

        let found_in_the_end = self.conclude(&stage).await?;
        let compared = self.compare(&stage).await?;
        let past_unchanged = self.look_again(&stage, &look).await?;
        stage.fleet.stop_all().await?;
        let verify_clean = self.verify(&stage.fleet)?;

        let finale = Finale {
            durability,
            found_seconds: found.as_secs_f64(),
            past_unchanged,
            verify_clean,
            ..self.finale(&stage.fleet, &death, &found_in_the_end, &compared)
        };
        self.bow(&finale);
        Ok((finale, stage.fleet))
    }

    fn finale(&self, fleet: &Fleet, death: &Death, found: &Findings, compared: &Compared) -> Finale {
        let ms = |time: Option<&Duration>| time.map(|time| time.as_millis() as u64);
        Finale {
            events: found.acknowledged,
            seconds: self.ingest.as_secs_f64(),
            events_per_second: per_second(found.acknowledged, self.ingest.as_secs_f64()),
            durability: String::new(),
            nodes: fleet.len(),
            replicas_per_partition: fleet.replication(),
            found_seconds: 0.0,
            kills: 1,
            acknowledged_before_kill: death.acknowledged,
            partitions_led: death.led,
            partitions_failed_over: death.outage.len(),
            failover_ms_min: ms(death.outage.iter().min()),
            failover_ms_max: ms(death.outage.iter().max()),
            restart_seconds: death.restart.as_secs_f64(),
            caught_up_seconds: death.caught_up.as_secs_f64(),
            lost: found.lost,
            duplicates: found.duplicates,
            gaps: found.gaps,
            digests_compared: compared.digests,
            digests_different: compared.different,
            past_unchanged: false,
            verify_clean: false,
            total_seconds: self.begun.elapsed().as_secs_f64(),
        }
    }

    /// So many percent of the events.
    fn part(&self, percent: u64) -> u64 {
        (self.script.events * percent / 100).max(1)
    }

    fn introduce(&self, stage: &Stage, placement: &Placement, took: Duration) {
        self.voice.chapter(&format!("{NODES} nodes start and become a cluster, in {}", seconds(took)));
        self.voice.say(&format!("directories {}", stage.fleet.home().display()));
        let leads = balance::leaders(placement);
        let columns = [("NODE", Align::Left), ("ADDRESS", Align::Left), ("LEADS", Align::Right)];
        let mut table = Table::new(&columns);
        for at in 0..stage.fleet.len() {
            let address = stage.fleet.address(at);
            let leads = leads.get(address.as_str()).copied().unwrap_or_default();
            table.row([stage.fleet.name(at).to_owned(), address, leads.to_string()]);
        }
        self.voice.say(&table.render());
    }

    fn begin(&self, durability: &str) {
        let (events, replicas) = (grouped(self.script.events), NODES);
        self.voice.chapter(&format!(
            "{events} events go in, each acknowledged only when most of its {replicas} replicas have it synced to disk \
             ({durability})"
        ));
    }

    /// Remembers what an entity in the middle of its life looks like now.
    async fn look(&self, stage: &Stage) -> Outcome<Look> {
        let promises = self.ledger.promises();
        let lively = promises.iter().rev().find(|promise| promise.version.get() >= 3);
        let chosen =
            lively.or_else(|| promises.last()).ok_or_else(|| Failure::failed("nothing was acknowledged"))?;
        let (entity, as_of) = (chosen.entity_id.clone(), self.ledger.token());
        let state = stage.connection.state(State::of(entity.as_str())).await?;
        let events = grouped(self.ledger.progress().events());
        self.voice.say(&format!(
            "after {events} of them, {entity} is at version {}; its state is remembered",
            state.version
        ));
        Ok(Look { entity, as_of, state })
    }

    async fn conclude(&self, stage: &Stage) -> Outcome<Findings> {
        self.ledger.progress().clear();
        self.voice.chapter("All events are in; every acknowledgement ever given, against what is stored:");
        let found = stage.prove(&self.ledger).await?;
        self.voice.say(&proof::table(&found).render());
        let total = proof::total(&found);
        let rate = grouped(per_second(total.acknowledged, self.ingest.as_secs_f64()));
        self.voice.say(&format!("{rate} events/s, {} of ingest, fail-over included", seconds(self.ingest)));
        Ok(total)
    }

    /// Has every replica say what it holds.
    async fn compare(&self, stage: &Stage) -> Outcome<Compared> {
        let agreement = stage.fleet.agreement(&self.ledger.token()).await?;
        let (digests, broken) = (agreement.replicas(), agreement.broken());
        self.voice.chapter("Every replica gives a digest of all it holds, the killed one too");
        for partition in &broken {
            self.voice.say(&agreement.describe(&stage.fleet, *partition));
        }
        let verdict =
            if broken.is_empty() { "all replicas are equal, bit for bit" } else { "REPLICAS DIFFER" };
        self.voice.say(&format!("{digests} digests: {verdict}"));
        Ok(Compared { digests, different: broken.len() })
    }

    /// Asks for the remembered moment again, after all that happened since.
    async fn look_again(&self, stage: &Stage, look: &Look) -> Outcome<bool> {
        let entity = look.entity.as_str();
        let now = stage.connection.state(State::of(entity)).await?;
        let moment = Moment::Token(look.as_of.clone());
        let then = stage.connection.state(State::of(entity).as_of(moment)).await?;
        let unchanged = then.json == look.state.json && then.version == look.state.version;
        self.voice.chapter(&format!("Time travel: {entity}, before the crash and now"));
        self.voice.say(&side_by_side(&then, &now).render());
        let verdict = if unchanged { "byte for byte what it was" } else { "NOT WHAT IT WAS" };
        self.voice.say(&format!("seen from now, the past is {verdict}"));
        Ok(unchanged)
    }

    fn verify(&self, fleet: &Fleet) -> Outcome<bool> {
        self.voice.chapter("The nodes stop; their directories are verified offline");
        let mut clean = true;
        for at in 0..fleet.len() {
            let data = fleet.data(at);
            let report = chronos_store::verify(&Env::real().disk, &data)
                .map_err(|e| Failure::failed(format!("cannot verify {}: {e}", data.display())))?;
            for damage in &report.damages {
                self.voice.say(&format!("{}: damage: {damage}", fleet.name(at)));
            }
            let verdict = if report.is_clean() { "clean" } else { "DAMAGED" };
            let (events, frames) = (grouped(report.events()), grouped(report.frames));
            self.voice.say(&format!("{}: {verdict}, {events} events, {frames} frames", fleet.name(at)));
            clean &= report.is_clean();
        }
        Ok(clean)
    }

    fn bow(&self, finale: &Finale) {
        let Finale { lost, duplicates, gaps, kills, durability, .. } = finale;
        let verdict = if finale.kept() { "Every promise was kept" } else { "A PROMISE WAS BROKEN" };
        self.voice.chapter(verdict);
        self.voice.say(&format!(
            "{lost} lost, {duplicates} duplicates, {gaps} gaps after {kills} kill of a leader ({durability})"
        ));
    }
}

impl Finale {
    /// Cleans up, or leaves the evidence where it is.
    pub(crate) fn close(&self, mut fleet: Fleet) -> Outcome {
        if self.kept() {
            drop(fleet);
            return Ok(());
        }
        let evidence = fleet.keep().display().to_string();
        Err(Failure::new(Exit::Failed, format!("a promise was broken; see {evidence}")))
    }
}
