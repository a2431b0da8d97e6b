//! `chronos demo`

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chronos_client::{EntityId, Moment, PartitionId, State, Token};
use chronos_env::Env;
use clap::Args;
use serde::Serialize;
use tempfile::TempDir;

use crate::cli::Context;
use crate::demo::ledger::{Ledger, Promise};
use crate::demo::proof::{self, Findings};
use crate::demo::source::Source;
use crate::demo::stage::{Script, Stage, seconds};
use crate::failure::{Exit, Failure, Outcome};
use crate::ingest::progress::{Measure, Progress, per_second};
use crate::output::{Format, Out};
use crate::table::grouped;

const EXAMPLES: &str = "\
Starts a node in a temporary directory, brings events in, looks into an entity's past, kills the node (SIGKILL) while
it writes, starts it again, and compares every acknowledgement it ever gave with what is stored. Cleans up behind
itself. Exit code 1 when a single promise was broken; the directory then stays for inspection.

Examples:
  chronos demo
  chronos demo --events 1000000
  chronos demo --source git:. 
  chronos demo --source file:events.ndjson.zst --json | tail -1";

/// Events of a demo of the generated feed.
const EVENTS: u64 = 200_000;

/// Watch a node keep its word: ingest, time travel, kill, restart, proof
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// generated (a shop's order-to-cash feed), git:PATH or file:PATH (NDJSON)
    #[arg(long, default_value = "generated", value_name = "SOURCE")]
    source: Source,
    /// How many events [default: 200000 generated ones, or all that the source has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// Seed of the generated feed
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// Tell the story on standard error, and the result as one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// The result.
#[derive(Debug, Serialize)]
struct Finale {
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

impl Demo {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let json = self.json || context.output == Format::Json;
        let events = self.events.or_else(|| (self.source == Source::Generated).then_some(EVENTS));
        let (source, seed) = (self.source, self.seed);
        let script = tokio::task::spawn_blocking(move || Script::new(source, seed, events))
            .await
            .map_err(|e| Failure::failed(format!("lost the thread that counts events: {e}")))??;
        let show = Show::new(script, json);
        tokio::select! {
            biased; // whoever interrupts does not want to see the end; dropping the show cleans up
            _ = tokio::signal::ctrl_c() => Err(Failure::failed("interrupted; everything was cleaned up")),
            outcome = Box::pin(show.play()) => outcome,
        }
    }
}

/// A look at one entity that must be the same for ever.
struct Look {
    entity: EntityId,
    as_of: Token,
    state: Bytes,
}

struct Show {
    script: Script,
    json: bool,
    ledger: Arc<Ledger>,
    begun: Instant,
}

impl Show {
    fn new(script: Script, json: bool) -> Self {
        let ledger = Arc::new(Ledger::new(Progress::new(Measure::Events(script.events))));
        Self { script, json, ledger, begun: Instant::now() }
    }

    async fn play(self) -> Outcome {
        let stage = Stage::set().await?;
        let info = stage.connection().info().await?;
        self.say(&format!("a node starts in {}, listening on {}", stage.data().display(), stage.address()));

        let mut ingest = Duration::ZERO;
        ingest += self.timed(stage.feed(&self.script, self.part(40), &self.ledger)).await?.1;
        let look = self.look(&stage).await?;

        let (home, took) = self.timed(stage.feed_and_kill(&self.script, self.part(70), &self.ledger)).await?;
        ingest += took;
        let promises = self.ledger.promises();
        self.told_of_the_kill(&promises);

        let (stage, restart) = self.timed(Stage::reset(home)).await?;
        let after_kill = self.prove(&stage, promises).await?;
        let acknowledged_before_kill = after_kill.acknowledged;
        self.say(&format!("the node started again on the same directory in {}", seconds(restart)));

        ingest += self.timed(stage.feed(&self.script, self.script.events, &self.ledger)).await?.1;
        self.ledger.progress().clear();
        let in_the_end = proof::total(&stage.prove(self.ledger.promises()).await?);
        self.told_of_the_end(&in_the_end, ingest);
        let past_unchanged = self.look_again(&stage, &look).await?;

        let home = stage.strike().await?;
        let verify_clean = self.verify(home.path())?;
        let finale = Finale {
            events: in_the_end.acknowledged,
            seconds: ingest.as_secs_f64(),
            events_per_second: per_second(in_the_end.acknowledged, ingest.as_secs_f64()),
            durability: info.durability,
            nodes: info.nodes,
            kills: 1,
            acknowledged_before_kill,
            restart_seconds: restart.as_secs_f64(),
            lost: after_kill.lost + in_the_end.lost,
            duplicates: after_kill.duplicates + in_the_end.duplicates,
            gaps: after_kill.gaps + in_the_end.gaps,
            past_unchanged,
            verify_clean,
            total_seconds: self.begun.elapsed().as_secs_f64(),
        };
        self.bow(&finale, home)
    }

    /// So many percent of the events.
    fn part(&self, percent: u64) -> u64 {
        (self.script.events * percent / 100).max(1)
    }

    async fn timed<T>(&self, act: impl Future<Output = Outcome<T>>) -> Outcome<(T, Duration)> {
        let start = Instant::now();
        let done = act.await?;
        Ok((done, start.elapsed()))
    }

    /// The story goes where it does not disturb the result.
    fn say(&self, line: &str) {
        if self.json {
            self.ledger.progress().say(line);
        } else {
            self.ledger.progress().pause(|| println!("{line}"));
        }
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
        self.say(&format!(
            "{} events are in; {entity} is at version {}:\n  {}",
            grouped(self.ledger.progress().events()),
            state.version,
            text(&state.json)
        ));
        Ok(Look { entity, as_of, state: state.json })
    }

    /// Asks for the same moment again, after all that happened since.
    async fn look_again(&self, stage: &Stage, look: &Look) -> Outcome<bool> {
        let now = stage.connection().state(State::of(look.entity.as_str())).await?;
        let then = stage
            .connection()
            .state(State::of(look.entity.as_str()).as_of(Moment::Token(look.as_of.clone())))
            .await?;
        let unchanged = then.json == look.state;
        let verdict = if unchanged { "the same, byte for byte" } else { "CHANGED" };
        self.say(&format!(
            "time travel: {} now is at version {}:\n  {}\nand as of the moment before the kill it is {verdict}:\n  {}",
            look.entity,
            now.version,
            text(&now.json),
            text(&then.json)
        ));
        Ok(unchanged)
    }

    fn told_of_the_kill(&self, promises: &[Promise]) {
        self.say(&format!(
            "kill -9 in mid-write, {} events acknowledged so far",
            grouped(promises.len() as u64)
        ));
    }

    async fn prove(&self, stage: &Stage, promises: Vec<Promise>) -> Outcome<Findings> {
        let found: Vec<(PartitionId, Findings)> = stage.prove(promises).await?;
        self.say("every acknowledgement against what the restarted node has:");
        self.say(proof::table(&found).render().trim_end());
        Ok(proof::total(&found))
    }

    fn told_of_the_end(&self, found: &Findings, ingest: Duration) {
        self.say(&format!(
            "the rest went in: {} events acknowledged and found at their numbers; {} events/s in {} of ingest",
            grouped(found.acknowledged - found.lost),
            grouped(per_second(found.acknowledged, ingest.as_secs_f64())),
            seconds(ingest)
        ));
    }

    fn verify(&self, home: &Path) -> Outcome<bool> {
        let data = home.join("data");
        let report = chronos_store::verify(&*Env::real().disk, &data)
            .map_err(|e| Failure::failed(format!("cannot verify {}: {e}", data.display())))?;
        for damage in &report.damages {
            self.say(&format!("damage: {damage}"));
        }
        let verdict = if report.is_clean() { "clean" } else { "DAMAGED" };
        self.say(&format!("the node stopped; verify finds {} events, {verdict}", grouped(report.events())));
        Ok(report.is_clean())
    }

    fn bow(&self, finale: &Finale, home: TempDir) -> Outcome {
        let Finale { lost, duplicates, gaps, .. } = finale;
        self.say(&format!("{lost} lost, {duplicates} duplicates, {gaps} gaps ({})", finale.durability));
        if self.json {
            let mut out = Out::new(Format::Json);
            out.object(finale)?;
            out.finish()?;
        }
        if finale.kept() {
            return home
                .close()
                .map_err(|e| Failure::failed(format!("cannot remove the temporary directory: {e}")));
        }
        Err(Failure::new(Exit::Failed, format!("a promise was broken; see {}", home.keep().display())))
    }
}

fn text(json: &[u8]) -> String {
    String::from_utf8_lossy(json).into_owned()
}
