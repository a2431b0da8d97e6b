//! `chronos bench growth`: a cluster that becomes larger and smaller and loses a disk, while events go in.
//!
//! Every step is over when the members are those that should be, every partition has a leader and all of its replicas, and
//! neither leaders nor replicas are spread more unevenly than by one. What was promised in all that time is proved at the
//! end.

mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chronos_client::{Options, Placement};
use clap::Args;

use crate::cli::Context;
use crate::demo::ledger::Ledger;
use crate::demo::proof;
use crate::demo::script::Script;
use crate::demo::source::Source;
use crate::demo::stage::Stage;
use crate::failure::{Failure, Outcome};
use crate::fleet::ground::Ground;
use crate::fleet::traffic::Counted;
use crate::fleet::{Fleet, balance};
use crate::ingest::progress::{Measure, Progress};
use crate::torture::campaign::verify;
use crate::torture::load::Load;
use crate::torture::steady::{Diary, Steady};
use report::{Report, Step};

const EXAMPLES: &str = "\
Starts one node, brings --events in, and goes on with --rate events a second while the cluster grows to three nodes and to \
five, one node is drained and takes its share again, two are drained and removed, and one has its disk wiped and comes back \
as a new node that takes the place of the old one. Then every acknowledgement is compared with what is stored, and every \
replica with the others.

Examples:
  chronos bench growth
  chronos bench growth --events 1000000 --rate 500 --output json";

/// Replicas of each partition, as soon as there are nodes enough.
const REPLICATION: u8 = 3;

/// Time and bytes of nodes that come and go under load
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Growth {
    /// Events that are there before anything moves
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Events a second that go in meanwhile
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// Seed of the events
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
}

impl Growth {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let fleet = Fleet::found_with(1, REPLICATION, Ground::loopback()).await?;
        fleet.settled().await?;
        let mut stage = Stage::on(fleet, Options::default().deadline).await?;
        let script = Script::new(Source::Generated, self.seed, Some(u64::MAX))?;
        let ledger = Arc::new(Ledger::new(Progress::new(Measure::Events(self.events))));
        let steady = Steady { sink: stage.connection.sink(), diary: Arc::<Diary>::default() };
        let load = Load::new(&script, self.events, self.rate);
        let walk = Walk { fleet: &mut stage.fleet, ledger: &ledger, diary: &steady.diary, steps: Vec::new() };
        let steps = load.during((&steady, &ledger), walk.all(self.events)).await?;
        let retries = stage.connection.counters().counts().retries;
        ledger.progress().clear();
        let agreement = stage.fleet.agreement(&ledger.token()).await?;
        for partition in agreement.broken() {
            eprintln!("{}", agreement.describe(&stage.fleet, partition));
        }
        let found = proof::total(&stage.prove(&ledger).await?);
        stage.fleet.stop_all().await?;
        let report = Report {
            events_first: self.events,
            events_per_second: self.rate,
            replicas_per_partition: REPLICATION,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            steps,
            found,
            digests_compared: agreement.replicas(),
            digests_different: agreement.broken().len(),
            retries,
            verify_clean: verify(&stage.fleet)?,
        };
        report.print(context.output)?;
        if report.is_clean() { Ok(()) } else { Err(Failure::failed("not every promise was kept")) }
    }
}

/// The steps, one after the other.
struct Walk<'a> {
    fleet: &'a mut Fleet,
    ledger: &'a Ledger,
    diary: &'a Diary,
    steps: Vec<Step>,
}

/// When a step began, and what had been counted by then.
struct Begun {
    at: Instant,
    traffic: Counted,
    acknowledged: u64,
}

impl Walk<'_> {
    async fn all(mut self, events: u64) -> Outcome<Vec<Step>> {
        // The sender lives in the ledger.
        drop(self.ledger.acknowledged().wait_for(|count| *count >= events).await);
        self.diary.listen();
        self.grow("1 node becomes 3", 3).await?;
        self.grow("3 nodes become 5", 5).await?;
        self.drain_and_back(1).await?;
        self.shrink("5 nodes become 3", &[4, 3]).await?;
        self.replace(1).await?;
        self.diary.rest();
        Ok(self.steps)
    }

    async fn grow(&mut self, what: &str, nodes: usize) -> Outcome {
        let begun = self.begin().await?;
        while self.fleet.len() < nodes {
            self.fleet.grow().await?;
        }
        let placement = self.fleet.settled().await?;
        let traffic = self.fleet.traffic().await?;
        self.end(what, begun, &traffic, &placement, None);
        Ok(())
    }

    async fn drain_and_back(&mut self, at: usize) -> Outcome {
        let (begun, name) = (self.begin().await?, self.fleet.name(at).to_owned());
        let placement = self.fleet.drain(at).await?;
        let traffic = self.fleet.traffic().await?;
        self.end(&format!("{name} of 5 is drained"), begun, &traffic, &placement, Some(at));
        let begun = self.begin().await?;
        let placement = self.fleet.undrain(at).await?;
        let traffic = self.fleet.traffic().await?;
        self.end(&format!("{name} takes its share again"), begun, &traffic, &placement, None);
        Ok(())
    }

    async fn shrink(&mut self, what: &str, going: &[usize]) -> Outcome {
        let begun = self.begin().await?;
        let mut traffic = Counted::default();
        for at in going {
            self.fleet.drain(*at).await?;
            // Now, because what a process that is gone has counted nobody knows.
            traffic.extend(self.fleet.traffic().await?);
            self.fleet.take_out(*at).await?;
        }
        let placement = self.fleet.settled().await?;
        traffic.extend(self.fleet.traffic().await?);
        self.end(what, begun, &traffic, &placement, None);
        Ok(())
    }

    async fn replace(&mut self, at: usize) -> Outcome {
        let begun = self.begin().await?;
        let (old, name) = (self.fleet.number(at).await?, self.fleet.name(at).to_owned());
        self.fleet.kill(at).await?;
        self.fleet.wipe(at)?;
        self.fleet.restart(at).await?;
        self.fleet.give_up(old).await?;
        let placement = self.fleet.settled().await?;
        let traffic = self.fleet.traffic().await?;
        self.end(&format!("{name} of 3 is wiped and replaced"), begun, &traffic, &placement, None);
        Ok(())
    }

    async fn begin(&self) -> Outcome<Begun> {
        drop(self.diary.take());
        let traffic = self.fleet.traffic().await?;
        Ok(Begun { at: Instant::now(), traffic, acknowledged: *self.ledger.acknowledged().borrow() })
    }

    /// Notes how it went; `without` is a member that is to hold nothing.
    fn end(
        &mut self,
        what: &str,
        begun: Begun,
        now: &Counted,
        placement: &Placement,
        without: Option<usize>,
    ) {
        let Begun { at, traffic, acknowledged } = begun;
        let holders = self.fleet.members().filter(|at| Some(*at) != without);
        let holders: Vec<String> = holders.map(|at| self.fleet.address(at)).collect();
        let [leads, holds] = balance::spread(placement, &holders);
        let took: Duration = at.elapsed();
        self.ledger.progress().say(&format!("{what}: {:.1} s", took.as_secs_f64()));
        self.steps.push(Step {
            what: what.to_owned(),
            seconds: took.as_secs_f64(),
            traffic: now.since(&traffic),
            nodes: holders.len(),
            leads,
            holds,
            acknowledged: *self.ledger.acknowledged().borrow() - acknowledged,
            sdk: self.diary.take(),
        });
    }
}
