//! Damage is looked for before a reader meets it: everything this node has on disk is read again and again.
//!
//! ```text
//!  partitions 0..=32, one after the other
//!     │
//!  Scrub::step ─► Pace: not faster than wanted ─► findings: logged once, counted, partition refused
//!     ▲                │
//!     └────────────────┘      a pass is over: rest until the next one is due
//! ```
//!
//! A pass is spread over its period, so that it costs next to nothing at any moment, but is never slower than
//! [`BYTES_PER_SECOND_MIN`] and never faster than configured: a pass over more than fits takes as long as it takes, and
//! the next one follows at once.
//!
//! Invariants:
//!
//! * the scrubber has a thread of its own, holds no lock while it reads, and waits between pieces of 1 MiB at most;
//! * what is damaged is refused from then on, as after a read that met the damage; what the system could only not read
//!   is reported and goes on being served;
//! * the same damage is logged once, however often it is found.

mod pace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chronos_domain::{PartitionId, Timestamp};
use chronos_env::{Env, Task};
use chronos_store::{Finding, Nature, Partition, Scrubbed};
use parking_lot::Mutex;

use crate::compactor::Subjects;
use crate::groups::Groups;
use crate::quarantine::Quarantine;
use crate::rate::Rate;
use pace::Pace;

/// Whether and how fast a node looks for damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubConfig {
    /// Whether it looks on its own. Without it only when somebody asks.
    pub background: bool,
    /// From the beginning of one pass to that of the next. At least a second.
    pub period: Duration,
    /// Bytes that are read in a second at most. At least 1.
    pub bytes_per_second_max: u64,
}

impl Default for ScrubConfig {
    fn default() -> ScrubConfig {
        let period = Duration::from_secs(24 * 60 * 60);
        ScrubConfig { background: true, period, bytes_per_second_max: 32 << 20 }
    }
}

impl ScrubConfig {
    /// As slow as the period allows, with a tenth of it to spare, within the bounds.
    fn bytes_per_second(&self, part_bytes: u64, max: &Rate) -> u64 {
        let seconds = (self.period.as_secs() / 10 * 9).max(1);
        (part_bytes / seconds).max(BYTES_PER_SECOND_MIN).min(max.get())
    }
}

/// Bytes that a pass reads in a second at least: a small node is done early and rests.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;
/// The first pass begins so long after the start, or after one period if that is shorter: a node that comes back has
/// something better to do, and one that goes down again and again must not only read.
const FIRST_AFTER: Duration = Duration::from_secs(600);
/// Between two passes, however far behind they are.
const REST_MIN: Duration = Duration::from_secs(1);
/// Findings that are remembered.
const FINDINGS_MAX: usize = 256;
/// How long a stop waits for the step that is under way. It reads on at full speed, and changes nothing.
const STOP_AFTER: Duration = Duration::from_secs(2);

/// What has been looked at since the node was started, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubStats {
    /// Passes that have come to their end.
    pub passes: u64,
    /// The last of them.
    pub last: Option<ScrubPass>,
    /// The pass that is under way.
    pub current: Option<ScrubProgress>,
    /// Bytes read by all passes, and for those who asked.
    pub bytes: u64,
    /// Everything that was found, each thing once; only the first are kept.
    pub findings: Vec<Finding>,
    /// How many things were found, those that are not kept included.
    pub found: u64,
    /// When partitions were last looked through because somebody asked.
    pub asked: BTreeMap<PartitionId, Timestamp>,
}

impl ScrubStats {
    /// When the last look at everything of a partition began that has come to its end.
    pub fn looked_at(&self, id: PartitionId) -> Option<Timestamp> {
        let pass = self.last.as_ref().filter(|pass| !pass.refused.contains(&id)).map(|pass| pass.began);
        pass.max(self.asked.get(&id).copied())
    }
}

/// A pass over all partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubPass {
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What it has read, and found.
    pub seen: Scrubbed,
    /// Partitions that are refused here and were not looked at.
    pub refused: Vec<PartitionId>,
}

/// How far a pass has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubProgress {
    /// When it began.
    pub began: Timestamp,
    /// Partitions it is done with.
    pub partitions: u64,
    /// Bytes it has read, of parts and logs.
    pub bytes: u64,
    /// Bytes of all parts when it began: most of what it is going to read.
    pub part_bytes: u64,
    /// How many bytes it reads in a second.
    pub bytes_per_second: u64,
}

/// The scrubber of one node. It ends when it is dropped.
pub(crate) struct Scrubber {
    env: Env,
    shared: Arc<Shared>,
    rate: Rate,
    task: Mutex<Option<Task<()>>>,
}

#[derive(Default)]
struct Shared {
    stats: Mutex<ScrubStats>,
    /// Nobody is to be waited for any more.
    stopping: AtomicBool,
}

impl Scrubber {
    /// Begins to look, if that is configured.
    pub(crate) fn start(env: &Env, config: &ScrubConfig, subjects: Subjects) -> Scrubber {
        let (shared, rate) = (Arc::<Shared>::default(), Rate::new(config.bytes_per_second_max));
        let rounds = Rounds {
            env: env.clone(),
            config: config.clone(),
            rate: rate.clone(),
            shared: Arc::clone(&shared),
            subjects,
        };
        let task = config.background.then(|| env.tasks.dedicated("scrub".to_owned(), rounds.run()));
        Scrubber { env: env.clone(), shared, rate, task: Mutex::new(task) }
    }

    /// Ends what is under way.
    pub(crate) async fn stop(&self) {
        let Some(task) = self.abort() else { return };
        // It holds no more than files open for reading: who is late is left to itself.
        let _ = self.env.clock.timeout(STOP_AFTER, task).await;
    }

    fn abort(&self) -> Option<Task<()>> {
        self.shared.stopping.store(true, Ordering::Release);
        let task = self.task.lock().take()?;
        task.abort();
        Some(task)
    }

    fn stats(&self) -> ScrubStats {
        self.shared.stats.lock().clone()
    }

    /// Reads everything of one partition now, at full speed unless it is told how many bytes in a second.
    async fn look(&self, partition: &Partition, bytes_per_second: Option<u64>) -> Scrubbed {
        let (shared, mut scrub) = (Arc::clone(&self.shared), partition.scrub());
        let mut pace = bytes_per_second.map(|rate| Pace::new(self.env.clock.clone(), rate));
        self.env
            .tasks
            .blocking(move || {
                let mut seen = Scrubbed::default();
                let mut read = |bytes| {
                    shared.stats.lock().bytes += bytes;
                    if let Some(pace) = &mut pace {
                        pace.hold(bytes, &shared.stopping);
                    }
                };
                while let Some(step) = scrub.step(&mut read) {
                    seen.add(step);
                }
                seen
            })
            .await
    }
}

impl Drop for Scrubber {
    fn drop(&mut self) {
        drop(self.abort());
    }
}

impl Shared {
    /// Keeps and logs what was found of a partition, and gives back the damage to refuse it for, if there is any.
    fn report(&self, findings: &[Finding]) -> Option<String> {
        for finding in findings.iter().filter(|finding| self.keep(finding)) {
            let (partition, what) = (finding.damage.partition.map(PartitionId::get), &finding.damage);
            match finding.nature {
                Nature::Damaged => {
                    chronos_env::sometimes!("scrub.found_damage");
                    tracing::error!(
                        partition,
                        finding = %what,
                        "damage found on disk; what is lost is in a backup (chronos restore)"
                    );
                }
                Nature::Unreadable => tracing::error!(
                    partition,
                    finding = %what,
                    "a file could not be read to look for damage; look at the disk and at the system's log"
                ),
            }
        }
        let damaged = findings.iter().find(|finding| finding.nature == Nature::Damaged);
        damaged.map(|finding| finding.damage.to_string())
    }

    /// Whether it is new.
    fn keep(&self, finding: &Finding) -> bool {
        let mut stats = self.stats.lock();
        if stats.findings.contains(finding) {
            return false;
        }
        stats.found += 1;
        if stats.findings.len() < FINDINGS_MAX {
            stats.findings.push(finding.clone());
        }
        true
    }
}

/// Pass after pass.
struct Rounds {
    env: Env,
    config: ScrubConfig,
    rate: Rate,
    shared: Arc<Shared>,
    subjects: Subjects,
}

impl Rounds {
    async fn run(self) {
        let clock = &self.env.clock;
        clock.sleep(FIRST_AFTER.min(self.config.period)).await;
        loop {
            let began = clock.monotonic();
            self.pass().await;
            let rest = self.config.period.saturating_sub(clock.monotonic().saturating_sub(began));
            clock.sleep(rest.max(REST_MIN)).await;
        }
    }

    /// All partitions once.
    async fn pass(&self) {
        let clock = &self.env.clock;
        let (began, started) = (Timestamp::new(clock.wall_micros()), clock.monotonic());
        let part_bytes = self.subjects.all().iter().map(|subject| subject.partition.part_bytes()).sum();
        let bytes_per_second = self.config.bytes_per_second(part_bytes, &self.rate);
        self.shared.stats.lock().current =
            Some(ScrubProgress { began, partitions: 0, bytes: 0, part_bytes, bytes_per_second });
        let mut pace = Pace::new(clock.clone(), bytes_per_second);
        let (mut seen, mut refused) = (Scrubbed::default(), Vec::new());
        for subject in self.subjects.all() {
            match subject.quarantine.get() {
                None => seen.add(self.partition(&subject.partition, &subject.quarantine, &mut pace).await),
                Some(_) => refused.push(subject.id),
            }
            self.progress(|progress| progress.partitions += 1);
        }
        let took = clock.monotonic().saturating_sub(started);
        tracing::info!(
            parts = seen.parts,
            bytes = seen.bytes,
            found = seen.findings.len(),
            ?took,
            "scrub pass over"
        );
        let mut stats = self.shared.stats.lock();
        stats.passes += 1;
        stats.current = None;
        stats.last = Some(ScrubPass { began, took, seen, refused });
    }

    async fn partition(&self, partition: &Partition, quarantine: &Quarantine, pace: &mut Pace) -> Scrubbed {
        let (mut seen, mut scrub) = (Scrubbed::default(), partition.scrub());
        loop {
            let mut read = |bytes| {
                self.shared.stats.lock().bytes += bytes;
                self.progress(|progress| progress.bytes += bytes);
                pace.hold(bytes, &self.shared.stopping);
            };
            let Some(step) = scrub.step(&mut read) else { return seen };
            if let Some(damage) = self.shared.report(&step.findings) {
                quarantine.set(&damage);
            }
            seen.add(step);
            pace.set(self.bytes_per_second());
            pace.settle().await; // a stop ends it here
        }
    }

    /// How fast the pass under way may go by now.
    fn bytes_per_second(&self) -> u64 {
        let part_bytes = self.shared.stats.lock().current.map_or(0, |progress| progress.part_bytes);
        let bytes_per_second = self.config.bytes_per_second(part_bytes, &self.rate);
        self.progress(|progress| progress.bytes_per_second = bytes_per_second);
        bytes_per_second
    }

    fn progress(&self, change: impl FnOnce(&mut ScrubProgress)) {
        if let Some(progress) = &mut self.shared.stats.lock().current {
            change(progress);
        }
    }
}

impl Groups {
    /// How far the search for damage has come, and what it has found.
    pub fn scrub_stats(&self) -> ScrubStats {
        self.scrubber().stats()
    }

    /// How many bytes the search for damage in the background reads in a second at most, from the next file on.
    pub fn set_scrub_rate(&self, bytes_per_second: u64) {
        self.scrubber().rate.set(bytes_per_second);
    }

    /// Reads every byte that a partition has on disk now, and compares it with what was written: at full speed, unless
    /// it is told how many bytes in a second. What is found is in the result; besides, damage is logged, shows in
    /// [`Groups::scrub_stats`], and has the partition refused from now on. Nothing on disk is changed.
    ///
    /// Once begun it goes on to its end even if the future is dropped.
    ///
    /// # Errors
    /// Why this node does not serve the partition.
    pub async fn verify(&self, id: PartitionId, bytes_per_second: Option<u64>) -> Result<Scrubbed, Arc<str>> {
        let partition = self.partition(id)?;
        let began = Timestamp::new(self.scrubber().env.clock.wall_micros());
        let seen = self.scrubber().look(&partition, bytes_per_second).await;
        self.scrubber().shared.stats.lock().asked.insert(id, began);
        if let Some(damage) = self.scrubber().shared.report(&seen.findings) {
            self.quarantine(id, &damage);
        }
        Ok(seen)
    }
}
