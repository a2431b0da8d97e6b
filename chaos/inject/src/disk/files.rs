//! Damage to files of a node that is not running: cut short, lost, swapped, joined by strangers, taken back to an old
//! state. Works on any directory, without root.
//!
//! None of it heals: a store has to live with it, or to be given a new directory.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::dice::Dice;
use crate::error::{Error, Result, While};
use crate::tool::CP;

/// Cuts `file` to its first `bytes`.
///
/// # Errors
/// If it is not longer than that, or cannot be written.
pub fn truncate_file(file: &Path, bytes: u64) -> Result<()> {
    let (opened, length) = open(file)?;
    if bytes >= length {
        return Err(Error::Unfit(format!(
            "{} has only {length} bytes: it cannot be cut to {bytes}",
            file.display()
        )));
    }
    opened.set_len(bytes).and_then(|()| opened.sync_all()).during(|| format!("cutting {}", file.display()))
}

/// Overwrites the last `bytes` of `file` with zeros, as a write leaves them that was torn.
///
/// # Errors
/// If the file is shorter, or cannot be written.
pub fn zero_tail(file: &Path, bytes: u64) -> Result<()> {
    let (opened, length) = open(file)?;
    let Some(from) = length.checked_sub(bytes) else {
        return Err(Error::Unfit(format!("{} has only {length} bytes, not {bytes} to zero", file.display())));
    };
    let zeros = vec![0; usize::try_from(bytes).expect("a tail that is zeroed fits memory")];
    let zeroing = || format!("zeroing the tail of {}", file.display());
    opened.write_all_at(&zeros, from).and_then(|()| opened.sync_all()).during(zeroing)
}

/// Removes `file` for good.
///
/// # Errors
/// If it is not there.
pub fn remove_file(file: &Path) -> Result<()> {
    fs::remove_file(file).during(|| format!("removing {}", file.display()))
}

/// Puts a file of `bytes` random bytes into `directory` that nobody knows there. Gives its path.
///
/// # Errors
/// If a file of that name is there, or the directory cannot be written.
pub fn add_stranger(directory: &Path, name: &str, bytes: usize, dice: &mut Dice) -> Result<PathBuf> {
    let path = directory.join(name);
    let content: Vec<u8> =
        std::iter::repeat_with(|| dice.u64().to_le_bytes()).flatten().take(bytes).collect();
    let mut options = File::options();
    let made = options.write(true).create_new(true).open(&path);
    made.and_then(|mut file| file.write_all(&content)).during(|| format!("adding {}", path.display()))?;
    Ok(path)
}

/// Lets two files of one directory tree trade places.
///
/// # Errors
/// If one is not there, or they lie on different file systems.
pub fn swap_files(a: &Path, b: &Path) -> Result<()> {
    let swapping = || format!("swapping {} with {}", a.display(), b.display());
    rustix::fs::renameat_with(rustix::fs::CWD, a, rustix::fs::CWD, b, rustix::fs::RenameFlags::EXCHANGE)
        .during(swapping)
}

/// Lets two blocks of a file trade places, as after writes that went astray. Blocks are counted from 0.
///
/// # Errors
/// If the file does not hold both whole, or they are equal, so that nothing would change.
pub fn swap_blocks(file: &Path, block_bytes: usize, one: u64, other: u64) -> Result<()> {
    let (opened, _) = open(file)?;
    let swapping = || format!("swapping blocks {one} and {other} of {}", file.display());
    let read = |number: u64| {
        let mut block = vec![0; block_bytes];
        opened.read_exact_at(&mut block, number * block_bytes as u64).during(swapping).map(|()| block)
    };
    let (first, second) = (read(one)?, read(other)?);
    if first == second {
        return Err(Error::Unfit(format!("{}: they are equal", swapping())));
    }
    opened.write_all_at(&second, one * block_bytes as u64).during(swapping)?;
    opened.write_all_at(&first, other * block_bytes as u64).during(swapping)?;
    opened.sync_all().during(swapping)
}

/// Removes everything in `directory` but not the directory itself.
///
/// # Errors
/// If something in it cannot be removed.
pub fn wipe(directory: &Path) -> Result<()> {
    let wiping = || format!("wiping {}", directory.display());
    for entry in fs::read_dir(directory).during(wiping)? {
        let path = entry.during(wiping)?.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.during(|| format!("wiping {}", path.display()))?;
    }
    Ok(())
}

/// A copy of a node's directory, to go back to or to give to another node. Kept until it is removed with what holds it.
#[derive(Debug)]
pub struct Copied {
    copy: PathBuf,
}

impl Copied {
    /// Copies all of `directory` to `copy`, which must not be there.
    ///
    /// # Errors
    /// If `copy` is there or something cannot be read.
    pub fn take(directory: &Path, copy: &Path) -> Result<Copied> {
        fs::create_dir(copy).during(|| format!("making {}", copy.display()))?;
        clone_directory(directory, copy)?;
        Ok(Copied { copy: copy.to_owned() })
    }

    /// Puts the directory back to how it was when the copy was taken, as a disk does that lied about its syncs, or an
    /// operator who restores a backup. To be done while nobody uses it.
    ///
    /// # Errors
    /// If something cannot be removed or written.
    pub fn restore(&self, directory: &Path) -> Result<()> {
        wipe(directory)?;
        clone_directory(&self.copy, directory)
    }
}

/// Copies everything in `from` into `to` with its times and modes: two nodes with one identity.
///
/// # Errors
/// If something cannot be read or written.
pub fn clone_directory(from: &Path, to: &Path) -> Result<()> {
    // `DIR/.` means what is in it, hidden files too.
    CP.finish(CP.command().arg("-a").arg(from.join(".")).arg(to)).map(drop)
}

fn open(file: &Path) -> Result<(File, u64)> {
    let opening = || format!("opening {}", file.display());
    let opened = File::options().read(true).write(true).open(file).during(opening)?;
    let length = opened.metadata().during(opening)?.len();
    Ok((opened, length))
}

#[cfg(test)]
mod tests;
