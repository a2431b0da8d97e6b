//! Damage on disks: what of it is noticed, what is mended from other nodes, and whether anything is ever made up.
//!
//! ```text
//!  fill, compacting now and then ─► one node ─► kill, damage, look offline, start ─► whole again, of itself and by order
//!                                │                 more events ─► every promise, every digest, every byte on disk
//!                                ├► no start  ─► what names the node is damaged: refused ─► what the refusal says is done
//!                                └► two nodes ─► kill, damage, start ─► every answer is the truth or an error
//! ```
//!
//! All that is sent is acknowledged before anything is damaged, so the truth is known to the last event, and whatever a
//! node answers can be held against it.

mod act;
mod frames;
mod heal;
pub(crate) mod report;
mod stranger;
mod truth;
mod wound;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chronos_client::{ClusterAdmin, Options};
use clap::ValueEnum;
use serde::Serialize;

use crate::demo::dice::Dice;
use crate::demo::ledger::Ledger;
use crate::demo::script::Script;
use crate::demo::stage::{Stage, feed};
use crate::failure::{Failure, Outcome};
use crate::fleet::Fleet;
use crate::fleet::ground::Ground;
use crate::ingest::progress::{Measure, Progress};
use report::Report;

/// Nodes of the cluster.
const NODES: usize = 3;
/// Portions of the events before anything is damaged; after each but the last, everything is compacted.
const PORTIONS: u64 = 4;
/// Percent of the events that are kept for afterwards, for each round.
const AFTERWARDS: u64 = 5;
/// How long an operator waits for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// Random places of one node, which mends them from the others
    OneNode,
    /// What says which node it is, so that it does not start, and is replaced
    NoStart,
    /// Random places of two of three nodes, which nobody can mend: everything is answered with the truth or an error
    TwoNodes,
}

/// What is to be done.
pub(crate) struct Damage {
    pub(crate) acts: Vec<Act>,
    pub(crate) events: u64,
    pub(crate) places: usize,
    /// How often one node is damaged, each time another one.
    pub(crate) rounds: u32,
    pub(crate) seed: u64,
}

/// What was done and found; where the evidence is, when something is wrong.
pub(crate) struct Concluded {
    pub(crate) report: Report,
    pub(crate) evidence: Option<PathBuf>,
}

/// A cluster, what it was told, and who looks after it.
struct Ward {
    stage: Stage,
    admin: ClusterAdmin,
    script: Script,
    ledger: Arc<Ledger>,
    dice: Dice,
    /// Events of the script that were sent.
    sent: u64,
}

impl Damage {
    /// Leads it, and counts. An error is one that kept it from counting.
    pub(crate) async fn lead(self) -> Outcome<Concluded> {
        let stage =
            Stage::on(Fleet::found(NODES, Ground::loopback()).await?, Options::default().deadline).await?;
        stage.fleet.settled().await?;
        let script = Script::new(crate::demo::source::Source::Generated, self.seed, Some(self.events))?;
        let ledger = Arc::new(Ledger::new(Progress::new(Measure::Events(script.events))));
        let admin = admin(&stage.fleet, |_| true)?;
        let dice = Dice::new(self.seed);
        let mut ward = Ward { stage, admin, script, ledger, dice, sent: 0 };
        match self.play(&mut ward).await {
            Ok(report) => {
                let evidence = (!report.is_clean()).then(|| ward.stage.fleet.keep().to_owned());
                Ok(Concluded { report, evidence })
            }
            Err(failure) => {
                let evidence = ward.stage.fleet.keep().display();
                Err(Failure::new(
                    failure.exit(),
                    format!("{failure}; the directories are kept in {evidence}"),
                ))
            }
        }
    }

    async fn play(&self, ward: &mut Ward) -> Outcome<Report> {
        let mut report = Report::new(self.seed, NODES, self.places);
        ward.fill(self.events).await?;
        report.events = ward.ledger.progress().events();
        for act in &self.acts {
            match act {
                Act::OneNode => {
                    for _ in 0..self.rounds {
                        let healed = ward.one_node(self.places, self.events).await?;
                        report.healed.push(healed);
                    }
                }
                Act::NoStart => {
                    for what in stranger::Lost::ALL {
                        report.replaced.push(ward.no_start(what).await?);
                    }
                }
                Act::TwoNodes => report.majority = Some(ward.two_nodes(self.places).await?),
            }
        }
        report.events = ward.ledger.progress().events();
        Ok(report)
    }
}

impl Ward {
    /// Most of the events, with parts and a log, and something of everything in both.
    async fn fill(&mut self, events: u64) -> Outcome {
        let before = events * (100 - AFTERWARDS) / 100;
        for portion in 1..=PORTIONS {
            self.feed_up_to(before * portion / PORTIONS).await?;
            if portion < PORTIONS {
                heal::compact(&self.admin).await?;
            }
        }
        Ok(())
    }

    async fn feed_up_to(&mut self, event: u64) -> Outcome {
        self.sent = self.sent.max(event);
        feed(&self.stage.sink(), &self.script, self.sent, &self.ledger).await
    }

    /// More of the events, after the first ones.
    async fn feed_more(&mut self, events: u64) -> Outcome {
        self.script.events = self.script.events.max(self.sent + events);
        self.feed_up_to(self.sent + events).await
    }

    fn say(&self, text: &str) {
        self.ledger.progress().say(text);
    }
}

/// An operator who asks some of the nodes.
fn admin(fleet: &Fleet, asks: impl Fn(usize) -> bool) -> Outcome<ClusterAdmin> {
    let asked = (0..fleet.len()).filter(|at| asks(*at));
    let addresses: Vec<String> = asked.map(|at| fleet.admin_address(at)).collect();
    let options = Options { deadline: PATIENCE, ..Options::default() };
    ClusterAdmin::connect_with(&addresses.join(","), options).map_err(Failure::usage)
}
