//! The plot: ingest, remember, kill, restart, prove, go on, look back, verify.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chronos_client::{EntityId, EntityState, Info, Moment, State, Token};
use chronos_env::Env;
use serde::Serialize;
use tempfile::TempDir;

use super::ledger::Ledger;
use super::proof::{self, Findings};
use super::stage::{Script, Stage, seconds};
use super::voice::{Audience, Voice, side_by_side};
use crate::failure::{Exit, Failure, Outcome};
use crate::ingest::progress::{Measure, Progress, per_second};
use crate::table::grouped;

/// Percent of the events that are in when an entity is looked at.
const LOOK: u64 = 40;

/// Percent of the events that are acknowledged when the node is killed.
const KILL: u64 = 70;

/// How it ended.
#[derive(Debug, Serialize)]
pub(crate) struct Finale {
    events: u64,
    /// Spent on bringing events in.
    seconds: f64,
    events_per_second: u64,
    durability: String,
    nodes: u32,
    kills: u32,
    acknowledged_before_kill: u64,
    restart_seconds: f64,
    lost: u64,
    duplicates: u64,
    gaps: u64,
    past_unchanged: bool,
    verify_clean: bool,
    total_seconds: f64,
}

impl Finale {
    fn kept(&self) -> bool {
        let counts = self.lost == 0 && self.duplicates == 0 && self.gaps == 0;
        counts && self.past_unchanged && self.verify_clean
    }
}

/// One entity at one moment, which must be the same for ever.
struct Look {
    entity: EntityId,
    as_of: Token,
    state: EntityState,
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

    /// Plays it to the end. What the finale says of broken promises is for the caller to act on; the directory comes
    /// along.
    pub(crate) async fn play(mut self) -> Outcome<(Finale, TempDir)> {
        let stage = Stage::set().await?;
        let info = stage.connection().info().await?;
        self.introduce(&stage, &info);

        self.feed(&stage, self.part(LOOK)).await?;
        let look = self.look(&stage).await?;
        let home = self.kill(stage).await?;
        let (stage, restart, after_kill) = self.restart(home).await?;

        let all = self.script.events;
        self.feed(&stage, all).await?;
        let in_the_end = self.conclude(&stage).await?;
        let past_unchanged = self.look_again(&stage, &look).await?;
        let home = stage.strike().await?;
        let verify_clean = self.verify(home.path())?;

        let finale = Finale {
            events: in_the_end.acknowledged,
            seconds: self.ingest.as_secs_f64(),
            events_per_second: per_second(in_the_end.acknowledged, self.ingest.as_secs_f64()),
            durability: info.durability,
            nodes: info.nodes,
            kills: 1,
            acknowledged_before_kill: after_kill.acknowledged,
            restart_seconds: restart.as_secs_f64(),
            lost: after_kill.lost + in_the_end.lost,
            duplicates: after_kill.duplicates + in_the_end.duplicates,
            gaps: after_kill.gaps + in_the_end.gaps,
            past_unchanged,
            verify_clean,
            total_seconds: self.begun.elapsed().as_secs_f64(),
        };
        self.bow(&finale);
        Ok((finale, home))
    }

    /// So many percent of the events.
    fn part(&self, percent: u64) -> u64 {
        (self.script.events * percent / 100).max(1)
    }

    fn introduce(&self, stage: &Stage, info: &Info) {
        self.voice.chapter("A node starts");
        self.voice.say(&format!("data directory {}", stage.data().display()));
        self.voice.say(&format!("listening on {}", stage.address()));
        let events = grouped(self.script.events);
        self.voice.chapter(&format!(
            "{events} events go in, each acknowledged only when it is synced to disk ({})",
            info.durability
        ));
    }

    async fn feed(&mut self, stage: &Stage, up_to: u64) -> Outcome {
        let start = Instant::now();
        stage.feed(&self.script, up_to, &self.ledger).await?;
        self.ingest += start.elapsed();
        Ok(())
    }

    /// Remembers what an entity in the middle of its life looks like now.
    async fn look(&self, stage: &Stage) -> Outcome<Look> {
        let promises = self.ledger.promises();
        let lively = promises.iter().rev().find(|promise| promise.version.get() >= 3);
        let chosen =
            lively.or_else(|| promises.last()).ok_or_else(|| Failure::failed("nothing was acknowledged"))?;
        let entity = chosen.entity_id.clone();
        let as_of = stage.connection().watermarks().await?.token;
        let state = stage.connection().state(State::of(entity.as_str())).await?;
        let events = grouped(self.ledger.progress().events());
        self.voice.say(&format!(
            "after {events} of them, {entity} is at version {}; its state is remembered",
            state.version
        ));
        Ok(Look { entity, as_of, state })
    }

    async fn kill(&mut self, stage: Stage) -> Outcome<TempDir> {
        let start = Instant::now();
        let home = stage.feed_and_kill(&self.script, self.part(KILL), &self.ledger).await?;
        self.ingest += start.elapsed();
        self.voice.chapter("kill -9, while acknowledgements are flowing");
        let acknowledged = grouped(self.ledger.progress().events());
        self.voice.say(&format!("{acknowledged} events are acknowledged so far, more were on their way"));
        Ok(home)
    }

    async fn restart(&self, home: TempDir) -> Outcome<(Stage, Duration, Findings)> {
        let start = Instant::now();
        let stage = Stage::reset(home).await?;
        let took = start.elapsed();
        self.voice.chapter(&format!("The node starts again on the same directory, in {}", seconds(took)));
        self.voice.say("every acknowledgement ever given, against what is stored:");
        let found = stage.prove(self.ledger.promises()).await?;
        self.voice.say(&proof::table(&found).render());
        Ok((stage, took, proof::total(&found)))
    }

    async fn conclude(&self, stage: &Stage) -> Outcome<Findings> {
        self.ledger.progress().clear();
        let found = proof::total(&stage.prove(self.ledger.promises()).await?);
        self.voice.chapter("The rest goes in");
        self.voice.say(&format!(
            "{} of {} events are acknowledged and found at their positions and versions",
            grouped(found.acknowledged - found.lost),
            grouped(self.script.events)
        ));
        let rate = grouped(per_second(found.acknowledged, self.ingest.as_secs_f64()));
        self.voice.say(&format!("{rate} events/s, {} of ingest", seconds(self.ingest)));
        Ok(found)
    }

    /// Asks for the remembered moment again, after all that happened since.
    async fn look_again(&self, stage: &Stage, look: &Look) -> Outcome<bool> {
        let entity = look.entity.as_str();
        let now = stage.connection().state(State::of(entity)).await?;
        let moment = Moment::Token(look.as_of.clone());
        let then = stage.connection().state(State::of(entity).as_of(moment)).await?;
        let unchanged = then.json == look.state.json && then.version == look.state.version;
        self.voice.chapter(&format!("Time travel: {entity}, before the kill and now"));
        self.voice.say(&side_by_side(&then, &now).render());
        let verdict = if unchanged { "byte for byte what it was" } else { "NOT WHAT IT WAS" };
        self.voice.say(&format!("seen from now, the past is {verdict}"));
        Ok(unchanged)
    }

    fn verify(&self, home: &Path) -> Outcome<bool> {
        let data = home.join("data");
        let report = chronos_store::verify(&Env::real().disk, &data)
            .map_err(|e| Failure::failed(format!("cannot verify {}: {e}", data.display())))?;
        self.voice.chapter("The node stops; its directory is verified offline");
        for damage in &report.damages {
            self.voice.say(&format!("damage: {damage}"));
        }
        let verdict = if report.is_clean() { "clean" } else { "DAMAGED" };
        let (events, frames) = (grouped(report.events()), grouped(report.frames));
        self.voice.say(&format!("{verdict}: {events} events in {frames} frames"));
        Ok(report.is_clean())
    }

    fn bow(&self, finale: &Finale) {
        let Finale { lost, duplicates, gaps, kills, durability, .. } = finale;
        let verdict = if finale.kept() { "Every promise was kept" } else { "A PROMISE WAS BROKEN" };
        self.voice.chapter(verdict);
        self.voice.say(&format!(
            "{lost} lost, {duplicates} duplicates, {gaps} gaps after {kills} kill ({durability})"
        ));
    }
}

impl Finale {
    /// Cleans up, or leaves the evidence where it is.
    pub(crate) fn close(&self, home: TempDir) -> Outcome {
        if self.kept() {
            let removed = home.close();
            return removed
                .map_err(|e| Failure::failed(format!("cannot remove the temporary directory: {e}")));
        }
        Err(Failure::new(Exit::Failed, format!("a promise was broken; see {}", home.keep().display())))
    }
}
