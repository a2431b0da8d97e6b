//! Disks: power, room, speed, syncs, and the bytes on them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chronos_env::Entropy;
use chronos_inject::{Dice, DiskRate, Episode, Leave, Site, SyncFailure};

use super::files::{byte_in_use, files_of};
use super::{Outcome, Part, Striker, dice_of, heal, number};
use crate::attack::cluster::{Cluster, Seat};

/// Room that is left on a disk that is called full.
const FULL_BYTES: u64 = 256 << 10;
/// How long a disk that stalls again and again works in between.
const BREATH: Duration = Duration::from_millis(50);
/// Places that are tried until one rots.
const PLACES: u32 = 40;
/// How often a disk is mounted anew whose last user may not be gone yet.
const MOUNTS: u32 = 5;

impl Striker {
    /// The power of all these nodes goes at the same moment.
    pub(super) async fn cut_power(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        let _turn = self.turn(Part::Disk, seats).await;
        let numbers: Vec<u8> = seats.iter().copied().map(number).collect();
        // Before the power goes: a process that ends because its disk is gone is no news.
        self.hold_down(seats);
        let cut = self.hands(move |ground| ground.cut_power(&numbers)).await;
        for seat in seats {
            self.cluster.kill(*seat).await;
        }
        if cut.is_ok() {
            self.wait(lasts).await;
        }
        let mounted = self.mount_anew(seats).await;
        self.up(seats);
        cut.map(drop).and(mounted)
    }

    /// As a machine does that starts again.
    async fn mount_anew(&self, seats: &[Seat]) -> Outcome {
        for seat in seats {
            let mut attempt = 1;
            while let Err(why) = self.hands(site(*seat, |site| site.disk()?.remount())).await {
                if attempt == MOUNTS {
                    return Err(why);
                }
                attempt += 1;
                // Somebody may have started a process on it meanwhile.
                self.cluster.kill(*seat).await;
            }
        }
        Ok(())
    }

    pub(super) async fn fail_a_sync(&self, seats: &[Seat], lasts: Duration, dice: &Entropy) -> Outcome {
        let _turn = self.turn(Part::Disk, seats).await;
        let failure = SyncFailure { path_part: String::new(), after: dice.below(100), times: 1 };
        let failed =
            |seats: &[Seat]| seats.iter().map(|seat| self.cluster.site(*seat).failed_syncs()).sum::<u64>();
        let before = failed(seats);
        let victims = seats.to_vec();
        let after = failure.after;
        self.during(lasts, move |ground| {
            let order = |seat: &Seat| ground.site(number(*seat)).fail_syncs(&failure);
            let ordered = victims.iter().map(order).collect::<chronos_inject::Result<_>>()?;
            Ok(Episode::all("a sync fails", ordered))
        })
        .await?;
        if failed(seats) > before {
            Ok(())
        } else {
            Err(format!("less than {after} syncs came while it lasted"))
        }
    }

    pub(super) async fn fill(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        let _turn = self.turn(Part::Disk, seats).await;
        self.each(seats, lasts, |site| site.disk()?.fill(Leave::Bytes(FULL_BYTES))).await
    }

    /// The processes are ended after it: a file system that gave up on itself is mounted anew.
    pub(super) async fn read_only(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        let _turn = self.turn(Part::Disk, seats).await;
        let mut began = Ok(());
        for seat in seats {
            began = began.and(self.hands(site(*seat, |site| site.disk()?.fail_read_only())).await);
        }
        if began.is_ok() {
            self.wait(lasts).await;
        }
        self.take_down(seats).await;
        let mounted = self.mount_anew(seats).await;
        self.up(seats);
        began.and(mounted)
    }

    /// Whatever is synced takes up to so long: the disk stands still again and again.
    pub(super) async fn stall(&self, seats: &[Seat], sync_ms: u64, lasts: Duration) -> Outcome {
        let _turn = self.turn(Part::Disk, seats).await;
        let end = self.now() + lasts;
        while self.now() < end {
            self.each(seats, Duration::from_millis(sync_ms), |site| site.disk()?.stall()).await?;
            self.wait(BREATH).await;
        }
        Ok(())
    }

    pub(super) async fn throttle(&self, seats: &[Seat], bytes_per_second: u64, lasts: Duration) -> Outcome {
        let _turn = self.turn(Part::Limits, seats).await;
        let rate = DiskRate { write_bytes: Some(bytes_per_second), read_bytes: Some(bytes_per_second) };
        self.each(seats, lasts, move |site| site.slow_disk(rate)).await
    }

    /// Lets the same be so on each of these nodes for a while.
    pub(super) async fn each(
        &self,
        seats: &[Seat],
        lasts: Duration,
        begin: impl Fn(&Site) -> chronos_inject::Result<Episode> + Send + 'static,
    ) -> Outcome {
        let victims = seats.to_vec();
        let episode = self.hands(move |ground| {
            let begun = victims.iter().map(|seat| begin(ground.site(number(*seat))));
            Ok(Episode::all("nodes are struck", begun.collect::<chronos_inject::Result<_>>()?))
        });
        let episode = episode.await?;
        self.wait(lasts).await;
        heal(episode).await
    }

    /// Bits flip below the page cache, in bytes that hold something.
    pub(super) async fn rot(&self, seats: &[Seat], bits: u32, dice: &Entropy) -> Outcome {
        let _turn = self.turn(Part::Disk, seats).await;
        for seat in seats {
            for _ in 0..bits {
                let mut dice = dice_of(dice);
                self.hands(site(*seat, move |site| rot_somewhere(site, &mut dice))).await?;
            }
        }
        Ok(())
    }
}

/// Something done at one node's site.
pub(super) fn site<T>(
    seat: Seat,
    act: impl FnOnce(&Site) -> chronos_inject::Result<T> + Send + 'static,
) -> impl FnOnce(&chronos_inject::Ground) -> chronos_inject::Result<T> + Send + 'static {
    move |ground| act(ground.site(number(seat)))
}

/// Files come and go, and are written to while this looks: places are tried until one rots.
fn rot_somewhere(site: &Site, dice: &mut Dice) -> chronos_inject::Result<()> {
    let disk = site.disk()?;
    let mut why = format!("no byte of {} could rot", site.data().display());
    for _ in 0..PLACES {
        let Some((file, at)) = some_byte(site.data(), dice) else { continue };
        match disk.rot(&file, at, 1 << dice.below(8)) {
            Ok(_) => return Ok(()),
            // It did rot: a process maps the page, and whoever reads the disk next sees it.
            Err(chronos_inject::Error::Unfit(why)) if why.contains("rotted, but") => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(chronos_inject::Error::Unfit(why))
}

fn some_byte(data: &Path, dice: &mut Dice) -> Option<(PathBuf, u64)> {
    let files = files_of(data);
    if files.is_empty() {
        return None;
    }
    let (file, length) = dice.pick(&files).clone();
    let at = dice.below(length);
    byte_in_use(&file, at).then_some((file, at))
}
