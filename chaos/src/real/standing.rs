//! A cluster of real processes that outlives an attack: it is attacked in rounds, on the same disks, for as long as one likes.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use chronos_env::{Entropy, Env};
use tokio::runtime::Runtime;

use super::cluster::RealCluster;
use super::place::Place;
use super::run::{hopeless, signalled};
use super::{NodeLook, Problem, Settings};
use crate::attack::cluster::{Cluster, Seat};
use crate::attack::{Caretaker, Ending, Outcome, Window, attack_again, conclude, header, recheck};
use crate::plan::Plan;
use crate::workload::{Origin, Recorder, Tally};

/// Between two looks of whoever watches.
const LOOK: Duration = Duration::from_secs(1);

/// A cluster whose disks are kept. Dropping it kills its processes; what is on its disks stays.
pub struct Standing {
    // Before the runtime, whose end ends whoever still holds a clone.
    cluster: RealCluster,
    runtime: Runtime,
    seed: u64,
    /// Kinds of faults that this machine cannot have, each with the reason.
    pub unable: Vec<String>,
    /// What the nodes were given: network, disks, control groups, clocks.
    pub ground: String,
    /// Knows over all rounds whose disks were damaged: that may show when a process starts much later.
    caretaker: Caretaker,
    /// How many ends of each seat's processes were told.
    told: BTreeMap<Seat, usize>,
}

/// What came of a round besides its history.
#[derive(Clone, Debug)]
pub struct Rounded {
    /// How the cluster came through.
    pub outcome: Outcome,
    /// How operations ended.
    pub tally: Tally,
    /// Why processes ended by themselves.
    pub ends: Vec<String>,
    /// The signal that came meanwhile, if one did. Then the history has no end, and whoever goes on concludes it.
    pub signal: Option<&'static str>,
}

impl Standing {
    /// Has a cluster whose disks are in `kept`, made there when they are not. None of its nodes runs yet. To be called outside
    /// of any runtime.
    ///
    /// # Errors
    /// When the machine cannot give the nodes networks and disks of their own (it needs root for that), or others have taken
    /// the addresses of the nodes meanwhile.
    pub fn begin(settings: &Settings, nodes: u32, seed: u64, kept: &Path) -> Result<Standing, Problem> {
        for directory in [&settings.out, &settings.scratch] {
            std::fs::create_dir_all(directory)
                .map_err(|error| format!("making {}: {error}", directory.display()))?;
        }
        // Long enough to have every kind of fault in it: the ground must bear all of them.
        let all = Plan::named("mixed", seed, nodes, 3600).ok_or("there is no plan that has everything")?;
        let Place { ground, unable, given } = Place::lay_kept(&all, settings, kept)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let cluster = runtime.block_on(async {
            let env = Env { entropy: Entropy::seeded(seed), ..Env::real() };
            RealCluster::new(env, ground, &settings.binary, &settings.out)
        });
        Ok(Standing {
            cluster,
            runtime,
            seed,
            unable,
            ground: given,
            told: BTreeMap::new(),
            caretaker: Caretaker::default(),
        })
    }

    /// Attacks it by a plan. The history, which begins at `origin`, goes to `sink`; `watch` is shown the nodes every second.
    ///
    /// # Errors
    /// When the history cannot be begun, or nobody would hear a signal.
    pub fn round(
        &mut self,
        plan: &Plan,
        origin: Origin,
        ending: Ending,
        sink: Box<dyn Write + Send>,
        watch: &mut (dyn FnMut(&[NodeLook]) + Send),
    ) -> Result<Rounded, Problem> {
        let cluster = &self.cluster;
        let clock = cluster.env().clock.clone();
        let recorder = Recorder::new(clock, origin, sink, header(plan, "real"))?;
        let (outcome, signal) = self.runtime.block_on(async {
            tokio::select! {
                biased; // whoever wants it to end shall not wait
                signal = signalled() => signal.map(|signal| (Outcome::default(), Some(signal))),
                outcome = attack_again(plan, cluster, (&recorder, &self.caretaker), ending) => Ok((outcome, None)),
                why = look_on(cluster, watch) => {
                    Ok((Outcome { failure: Some(why), ..Outcome::default() }, None))
                }
            }
        })?;
        Ok(Rounded { outcome, tally: recorder.tally(), ends: self.new_ends(), signal })
    }

    /// Ends the history of a round that was cut off together with everybody who was at work in it. What is to be added goes to
    /// `sink` as a history of its own, which begins where the round did.
    ///
    /// # Errors
    /// When the cluster does not get to where it can be read.
    pub fn conclude(
        &mut self,
        nodes: u32,
        origin: Origin,
        sink: Box<dyn Write + Send>,
    ) -> Result<(), Problem> {
        let plan = Plan::named("mixed", self.seed, nodes, 0).ok_or("there is no plan that has everything")?;
        let recorder = Recorder::new(self.cluster.env().clock.clone(), origin, sink, header(&plan, "real"))?;
        Ok(self.runtime.block_on(conclude(&self.cluster, &recorder, &self.caretaker))?)
    }

    /// Compares all that was ever stored with what the rounds said. Returns how many events that are, of all replicas.
    ///
    /// # Errors
    /// What is no longer as it was, or cannot be read.
    pub fn reread(&self, windows: &[Window]) -> Result<u64, String> {
        self.runtime.block_on(recheck(&self.cluster, windows))
    }

    /// The disk of a node may have been damaged before this began: if it does not come back, it begins anew.
    pub fn was_damaged(&self, seat: u32) {
        self.caretaker.damaged(&[seat]);
    }

    /// How every node stands now.
    #[must_use]
    pub fn look(&self) -> Vec<NodeLook> {
        self.cluster.look()
    }

    fn new_ends(&mut self) -> Vec<String> {
        let mut new = Vec::new();
        for seat in self.cluster.all() {
            let ends = self.cluster.story(seat).ends;
            let told = self.told.insert(seat, ends.len()).unwrap_or(0);
            new.extend(ends.into_iter().skip(told));
        }
        new
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.runtime.block_on(async {
            for seat in self.cluster.all() {
                self.cluster.kill(seat).await;
            }
        });
    }
}

/// Shows the nodes, until there is no hope.
async fn look_on(cluster: &RealCluster, watch: &mut (dyn FnMut(&[NodeLook]) + Send)) -> String {
    loop {
        cluster.wait(LOOK).await;
        if let Some(why) = hopeless(cluster) {
            return why;
        }
        watch(&cluster.look());
    }
}
