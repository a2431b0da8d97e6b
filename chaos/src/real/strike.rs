//! What each fault is on a real machine, and how it is undone.
//!
//! Episodes may overlap: a node stays down, and paused, until the last of those who want it so is over; links take care of
//! that by themselves; whoever needs a disk, a clock, a wire for himself waits for his turn.

mod disks;
mod files;
mod limits;
mod links;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronos_env::Entropy;
use chronos_inject::{Dice, Episode, Ground, Peer};
use tokio::sync::OwnedMutexGuard;

use super::blocking;
use super::cluster::RealCluster;
use crate::attack::cluster::{Cluster, Seat};
use crate::attack::operators;
use crate::plan::Fault;

/// Between two steps of what goes on and on.
const STEP: Duration = Duration::from_millis(700);
/// How long a process may take that a crash point ends, in looks.
const LOOK: Duration = Duration::from_millis(50);

/// What episodes want to be so, by how many of them.
#[derive(Default)]
pub(super) struct Held {
    down: BTreeMap<Seat, u32>,
    paused: BTreeMap<Seat, u32>,
}

/// What only one episode at a time can have of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Disk,
    Clock,
    Wire,
    Limits,
}

/// Who has what, by node and part.
pub(super) struct Turns(BTreeMap<(Part, Seat), Arc<tokio::sync::Mutex<()>>>);

impl Turns {
    pub(super) fn new(seats: impl Iterator<Item = Seat>) -> Turns {
        let parts = [Part::Disk, Part::Clock, Part::Wire, Part::Limits];
        Turns(seats.flat_map(|seat| parts.map(|part| ((part, seat), Arc::default()))).collect())
    }
}

/// Does it.
pub(super) struct Striker {
    cluster: RealCluster,
}

/// Why a fault could not be had.
type Outcome = Result<(), String>;

impl Striker {
    pub(super) fn new(cluster: RealCluster) -> Striker {
        Striker { cluster }
    }

    /// Lets the fault strike these nodes for so long; returns when it is undone.
    pub(super) async fn strike(
        &self,
        fault: &Fault,
        seats: &[Seat],
        lasts: Duration,
        dice: &Entropy,
    ) -> Outcome {
        match fault {
            Fault::Kill { .. } => self.down(seats, lasts).await,
            Fault::Crash { point, nth, .. } => self.crash(seats, lasts, point, *nth).await,
            Fault::Pause { .. } => self.pause(seats, lasts).await,
            Fault::RestartLoop { .. } => self.restart_again_and_again(seats, lasts).await,
            Fault::RollingRestart => self.restart_in_turn().await,
            Fault::Isolate { direction, .. } => self.isolate(seats, *direction, lasts).await,
            Fault::Bridge { .. } => self.bridge(seats[0], lasts, dice).await,
            Fault::Swizzle => self.swizzle(lasts, dice).await,
            Fault::OnlyWayIn { .. } => self.only_way_in(seats[0], lasts).await,
            Fault::Loss { per_mille, .. } => self.lose(seats, *per_mille, lasts).await,
            Fault::Trickle { bytes_per_second, .. } => self.trickle(seats, *bytes_per_second, lasts).await,
            Fault::Wedge { .. } => self.wedge(seats, lasts).await,
            Fault::Resets { .. } => self.reset_again_and_again(seats, lasts).await,
            Fault::Flapping { .. } => self.flap(seats, lasts, dice).await,
            Fault::Delay { .. } | Fault::Duplicate { .. } | Fault::Reorder { .. } | Fault::Corrupt { .. } => {
                self.worsen(fault, seats, lasts).await
            }
            Fault::PowerCut { .. } => self.cut_power(seats, lasts).await,
            Fault::SyncFails { .. } => self.fail_a_sync(seats, lasts, dice).await,
            Fault::Full { .. } => self.fill(seats, lasts).await,
            Fault::ReadOnly { .. } => self.read_only(seats, lasts).await,
            Fault::SlowDisk { sync_ms, .. } => self.stall(seats, *sync_ms, lasts).await,
            Fault::Throttle { bytes_per_second, .. } => self.throttle(seats, *bytes_per_second, lasts).await,
            Fault::Rot { bits, .. } => self.rot(seats, *bits, dice).await,
            Fault::LyingDisk { .. } => self.roll_back(seats, lasts).await,
            Fault::Misdirect { .. } => self.misdirect(seats, lasts, dice).await,
            Fault::Mangle { .. } => self.mangle(seats, lasts, dice).await,
            Fault::Wipe { .. } => self.wipe(seats, lasts).await,
            Fault::ClockStep { by_ms, .. } => self.clock(seats, lasts, *by_ms, 0).await,
            Fault::ClockDrift { ppm, .. } => self.clock(seats, lasts, 0, *ppm).await,
            Fault::OutOfMemory { .. } => self.out_of_memory(seats, lasts).await,
            Fault::FewFiles { .. } => self.few_files(seats, lasts).await,
            Fault::Freeze { .. } => self.freeze(seats, lasts).await,
            Fault::Churn => operates(operators::churn(&self.cluster, lasts, dice)).await,
            Fault::Compact => operates(operators::compact(&self.cluster, dice)).await,
            Fault::Scrub { .. } => operates(operators::scrub(&self.cluster, seats)).await,
            Fault::Drain { .. } => operates(operators::drain(&self.cluster, seats, lasts)).await,
            Fault::Gather { .. } => {
                operators::gather(&self.cluster, seats[0]).await;
                self.down(seats, lasts).await
            }
            Fault::PauseInTransfer { .. } => {
                operators::hand_over(&self.cluster, seats[0]).await;
                self.pause(seats, lasts).await
            }
            // There a crash point aborts the process, and its page cache outlives it.
            Fault::KillAt { point, nth, .. } => self.crash(seats, lasts, point, *nth).await,
            // There a disk that lies is one that is set back.
            Fault::Rollback { .. } => self.roll_back(seats, lasts).await,
            Fault::ClockStop { .. } => self.clock(seats, lasts, 0, -1_000_000).await,
            Fault::Blight { .. } => Err(
                "beyond the atlas there is nothing to be compared in the end of a real run: the simulation does it".into(),
            ),
            Fault::Misled { .. } | Fault::WriteFails { .. } | Fault::ReadFails { .. } => Err(
                "nothing here lets single reads and writes of a real process fail, or moves addresses: the \
                     simulation does"
                    .into(),
            ),
        }
    }

    async fn wait(&self, time: Duration) {
        self.cluster.wait(time).await;
    }

    fn now(&self) -> Duration {
        self.cluster.now()
    }

    /// Does something to the ground, on a thread that may block.
    async fn hands<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Ground) -> chronos_inject::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let cluster = self.cluster.clone();
        blocking(move || act(cluster.ground()).map_err(|error| error.to_string())).await
    }

    /// Lets something be so for a while.
    async fn during(
        &self,
        lasts: Duration,
        begin: impl FnOnce(&Ground) -> chronos_inject::Result<Episode> + Send + 'static,
    ) -> Outcome {
        let episode = self.hands(begin).await?;
        self.wait(lasts).await;
        heal(episode).await
    }

    /// Waits until nobody else has this part of these nodes.
    async fn turn(&self, part: Part, seats: &[Seat]) -> Vec<OwnedMutexGuard<()>> {
        // Always in the same order: two that need several would wait for each other for ever.
        let mut sorted = seats.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut taken = Vec::new();
        for seat in sorted {
            taken.push(self.cluster.turns().0[&(part, seat)].clone().lock_owned().await);
        }
        taken
    }
}

/// Processes.
impl Striker {
    /// Nobody starts these from now on, and how they end is no news.
    fn hold_down(&self, seats: &[Seat]) {
        for seat in seats {
            *self.cluster.held().lock().down.entry(*seat).or_default() += 1;
            self.cluster.seat(*seat).dismiss();
        }
    }

    async fn take_down(&self, seats: &[Seat]) {
        self.hold_down(seats);
        futures::future::join_all(seats.iter().map(|seat| self.cluster.kill(*seat))).await;
    }

    /// Starts those again whom nobody wants to be down any more.
    fn up(&self, seats: &[Seat]) {
        for seat in seats {
            if released(&mut self.cluster.held().lock().down, *seat) {
                self.cluster.start(*seat);
            }
        }
    }

    async fn down(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        self.take_down(seats).await;
        self.wait(lasts).await;
        self.up(seats);
        Ok(())
    }

    /// A process is told of its crash point when it starts: these are started anew for it.
    async fn crash(&self, seats: &[Seat], lasts: Duration, point: &str, nth: u64) -> Outcome {
        let mut missed = Vec::new();
        self.take_down(seats).await;
        let lives: Vec<u64> = seats.iter().map(|seat| self.cluster.story(*seat).lives).collect();
        for seat in seats {
            self.cluster.seat(*seat).crash_next(Some((point.to_owned(), nth)));
        }
        self.up(seats);
        let end = self.now() + lasts;
        for (seat, lives) in seats.iter().zip(lives) {
            if !self.ends(*seat, lives, end).await {
                missed.push(*seat);
            }
            self.hold_down(&[*seat]);
            self.cluster.seat(*seat).crash_next(None);
        }
        self.wait(STEP).await;
        for seat in seats {
            self.cluster.kill(*seat).await;
        }
        self.up(seats);
        if missed.is_empty() {
            Ok(())
        } else {
            Err(format!("{point} was not passed {nth} times by {missed:?}"))
        }
    }

    /// Waits until the life of a node after so many is over, or the time is.
    async fn ends(&self, seat: Seat, lives: u64, end: Duration) -> bool {
        while self.now() < end {
            self.wait(LOOK).await;
            let story = self.cluster.story(seat);
            if story.lives > lives && !story.is_running {
                return true;
            }
        }
        false
    }

    async fn pause(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        for seat in seats {
            *self.cluster.held().lock().paused.entry(*seat).or_default() += 1;
            // Who is down stands still anyway.
            let _ = self.cluster.seat(*seat).with(chronos_inject::Process::pause);
        }
        self.wait(lasts).await;
        for seat in seats {
            if released(&mut self.cluster.held().lock().paused, *seat) {
                let _ = self.cluster.seat(*seat).with(chronos_inject::Process::resume);
            }
        }
        Ok(())
    }

    async fn restart_again_and_again(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        let end = self.now() + lasts;
        while self.now() < end {
            self.down(seats, STEP).await?;
            self.wait(3 * STEP).await;
        }
        Ok(())
    }

    async fn restart_in_turn(&self) -> Outcome {
        for seat in self.cluster.all() {
            *self.cluster.held().lock().down.entry(seat).or_default() += 1;
            self.cluster.stop(seat).await;
            self.wait(STEP).await;
            self.up(&[seat]);
            self.wait(Duration::from_secs(8)).await;
        }
        Ok(())
    }
}

/// What operators do always can be done.
async fn operates(deed: impl Future<Output = ()>) -> Outcome {
    deed.await;
    Ok(())
}

/// Ends an episode, on a thread that may block.
async fn heal(episode: Episode) -> Outcome {
    blocking(move || episode.heal()).await.map_err(|error| error.to_string())
}

fn peer(seat: Seat) -> Peer {
    Peer::Node(number(seat))
}

fn number(seat: Seat) -> u8 {
    u8::try_from(seat).expect("a ground has less than 100 nodes")
}

/// The injector's dice, from ours.
fn dice_of(dice: &Entropy) -> Dice {
    Dice::new(dice.u64())
}

/// Takes one claim back; whether it was the last.
fn released(claims: &mut BTreeMap<Seat, u32>, seat: Seat) -> bool {
    let left = claims.get_mut(&seat).map_or(0, |count| {
        *count = count.saturating_sub(1);
        *count
    });
    if left == 0 {
        claims.remove(&seat);
    }
    left == 0
}
