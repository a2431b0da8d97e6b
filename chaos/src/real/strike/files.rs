//! Damage to files of a node that is down.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chronos_env::Entropy;
use chronos_inject::{
    Copied, Dice, Error, add_stranger, remove_file, swap_blocks, swap_files, truncate_file, wipe, zero_tail,
};

use super::disks::site;
use super::{Outcome, Part, Striker, dice_of};
use crate::attack::cluster::Seat;

const BLOCK_BYTES: u64 = 4096;
/// Places that are tried until one can be damaged.
const PLACES: u32 = 40;

type Done = chronos_inject::Result<()>;

impl Striker {
    /// Does something to the directories of these nodes while they are down.
    async fn damage(
        &self,
        seats: &[Seat],
        lasts: Duration,
        act: impl Fn(&Path, usize) -> Done + Clone + Send + 'static,
    ) -> Outcome {
        let _turn = self.turn(Part::Disk, seats).await;
        self.take_down(seats).await;
        let mut done = Ok(());
        for (at, seat) in seats.iter().enumerate() {
            let act = act.clone();
            done = done.and(self.hands(site(*seat, move |site| act(site.data(), at))).await);
        }
        self.wait(lasts).await;
        self.up(seats);
        done
    }

    /// A file is cut short, removed, exchanged, or its end was never written; or there is one more.
    pub(super) async fn mangle(&self, seats: &[Seat], lasts: Duration, dice: &Entropy) -> Outcome {
        let seed = dice.u64();
        let act = move |data: &Path, at: usize| mangle(data, &mut Dice::new(seed).child(&at.to_string()));
        self.damage(seats, lasts, act).await
    }

    /// Two blocks of a file have each other's bytes, as after writes that went astray.
    pub(super) async fn misdirect(&self, seats: &[Seat], lasts: Duration, dice: &Entropy) -> Outcome {
        let seed = dice_of(dice).u64();
        let act = move |data: &Path, at: usize| misdirect(data, &mut Dice::new(seed).child(&at.to_string()));
        self.damage(seats, lasts, act).await
    }

    pub(super) async fn wipe(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        self.damage(seats, lasts, |data, _| wipe(data)).await
    }

    /// The directory is set back to how it was: what was synced meanwhile is gone, as on a disk that lied.
    pub(super) async fn roll_back(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        let copy = |seat: Seat| self.cluster.ground().directory().join(format!("n{seat}.copy"));
        for seat in seats {
            let (from, to) = (self.cluster.site(*seat).data().to_owned(), copy(*seat));
            self.take_down(&[*seat]).await;
            let copied = self.hands(move |_| Copied::take(&from, &to)).await;
            self.up(&[*seat]);
            let copied = Arc::new(copied?);
            self.wait(lasts).await;
            let (data, to) = (self.cluster.site(*seat).data().to_owned(), copy(*seat));
            self.damage(&[*seat], super::STEP, move |_, _| copied_back(&copied, &data, &to)).await?;
        }
        Ok(())
    }
}

fn copied_back(copied: &Copied, data: &Path, copy: &Path) -> Done {
    copied.restore(data)?;
    wipe(copy)?;
    std::fs::remove_dir(copy)
        .map_err(|source| Error::Os { what: format!("removing {}", copy.display()), source })
}

fn mangle(data: &Path, dice: &mut Dice) -> Done {
    let files = files_of(data);
    if files.is_empty() {
        return Err(Error::Unfit(format!("{} holds no file to damage", data.display())));
    }
    let (file, length) = dice.pick(&files).clone();
    let (other, _) = dice.pick(&files).clone();
    match dice.below(5) {
        0 => truncate_file(&file, dice.below(length)),
        1 if other != file => swap_files(&file, &other),
        2 => zero_tail(&file, 1 + dice.below(length.min(BLOCK_BYTES))),
        3 => add_stranger(file.parent().unwrap_or(data), "stranger", 1 + dice.below(9999) as usize, dice)
            .map(drop),
        _ => remove_file(&file),
    }
}

fn misdirect(data: &Path, dice: &mut Dice) -> Done {
    let mut files = files_of(data);
    files.retain(|(_, length)| *length >= 2 * BLOCK_BYTES);
    for _ in 0..PLACES {
        if files.is_empty() {
            break;
        }
        let (file, length) = dice.pick(&files).clone();
        let blocks = length / BLOCK_BYTES;
        let (one, other) = (dice.below(blocks), dice.below(blocks));
        if byte_in_use(&file, one * BLOCK_BYTES)
            && swap_blocks(&file, BLOCK_BYTES as usize, one, other).is_ok()
        {
            return Ok(());
        }
    }
    Err(Error::Unfit(format!("{} holds no two blocks that could be swapped", data.display())))
}

/// All files with something in them, with their lengths, in order.
pub(super) fn files_of(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        match std::fs::symlink_metadata(&path) {
            Ok(about) if about.is_dir() => found.extend(files_of(&path)),
            Ok(about) if about.is_file() && about.len() > 0 => found.push((path, about.len())),
            _ => {}
        }
    }
    found.sort();
    found
}

/// Whether the block around that byte holds anything but zeros: room that is only reserved has nothing to lose.
#[expect(clippy::disallowed_methods, reason = "files of nodes are files of this machine")]
pub(super) fn byte_in_use(file: &Path, at: u64) -> bool {
    let mut block = [0; 256];
    let read = File::open(file).and_then(|file| file.read_at(&mut block, at - at % 256));
    read.is_ok_and(|bytes| block[..bytes].iter().any(|byte| *byte != 0))
}
