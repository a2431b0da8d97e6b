//! A disk in memory that keeps what is durable apart from what merely looks so.
//!
//! Every call on it is folded into the world's [`Trace`] with its arguments, its outcome and the virtual time.
//! Invariants: without faults and power cuts it is indistinguishable from a plain file system; after a power cut
//! everything synced is there exactly; handles and locks of an earlier life never work again.

mod content;
mod faults;
mod handle;
mod inode;
mod mercy;
mod names;
mod outside;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;

use self::content::BLOCK_BYTES;
use self::handle::SimFile;
use self::inode::Inode;
use self::mercy::Mercy;
use self::names::Names;
use super::{Trace, VirtualTime};
use crate::disk::{Held, check_path};
use crate::{Disk, Entropy, Entry, File, Lock, OpenMode, PathError, PowerLost};

pub use faults::{FaultPlan, Repeat};
pub use outside::Image;

/// What a disk without a [`FaultPlan::capacity`] says it can hold.
const ROOMY_BYTES: u64 = 1 << 40;

/// A handle to a simulated disk. Clones are handles to the same one.
///
/// As a [`Disk`] it serves the code under test. Its own methods are for whoever tortures it: the power switch, the
/// [`FaultPlan`], damage from outside, and looking inside.
#[derive(Clone)]
pub struct SimDisk(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    trace: Trace,
}

struct State {
    has_power: bool,
    /// Counts power cuts; handles and locks remember in which life they were made.
    life: u64,
    names: Names,
    faults: FaultPlan,
    /// How long every sync takes.
    sync_takes: Duration,
    /// Bytes that can be written in a second, if that is told, and those that were written and not waited for.
    bytes_per_second: Option<u64>,
    bytes_owed: u64,
    /// Files that are locked, by inode.
    locks: BTreeSet<u64>,
    entropy: Entropy,
}

/// One call: what the trace and the errors say about it.
struct Op<'a> {
    name: &'static str,
    path: &'a Path,
    args: &'a [u64],
}

impl SimDisk {
    /// An empty disk with power on that belongs to no world: its time stands still and it has a trace of its own.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::in_world(Entropy::seeded(seed), Trace::new(VirtualTime::new()))
    }

    pub(super) fn in_world(entropy: Entropy, trace: Trace) -> SimDisk {
        SimDisk::holding(Names::new(), entropy, trace)
    }

    fn holding(names: Names, entropy: Entropy, trace: Trace) -> SimDisk {
        let (faults, locks) = (FaultPlan::default(), BTreeSet::new());
        let state = State {
            has_power: true,
            life: 0,
            names,
            faults,
            sync_takes: Duration::ZERO,
            bytes_per_second: None,
            bytes_owed: 0,
            locks,
            entropy,
        };
        SimDisk(Arc::new(Shared { state: Mutex::new(state), trace }))
    }

    /// Cuts the power: every call from now on fails with [`PowerLost`]. Does nothing if it is off already.
    pub fn power_off(&self) {
        self.0.trace.enter("power off", "", &[]);
        self.0.state.lock().has_power = false;
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        !self.0.state.lock().has_power
    }

    /// Turns the power on again. The seed now decides what of the un-synced had reached the medium: sometimes
    /// nothing, sometimes everything, mostly any subset. Handles and locks of the life before stay dead.
    ///
    /// # Panics
    /// If the power is on: cut it first.
    pub fn power_on(&self) {
        self.power_on_after(|entropy| Mercy::draw(entropy.child("power cut")));
    }

    /// Turns the power on again; everything that was written is there, as when only a process had died: its page cache has
    /// outlived it. Handles and locks of the life before stay dead.
    ///
    /// # Panics
    /// If the power is on: cut it first.
    pub fn power_on_unharmed(&self) {
        self.power_on_after(|entropy| Mercy::sparing_all(entropy.child("power cut")));
    }

    fn power_on_after(&self, mercy: impl FnOnce(&Entropy) -> Mercy) {
        let mut state = self.0.state.lock();
        assert!(!state.has_power, "the power is on already: cut it first");
        let mercy = mercy(&state.entropy);
        state.names.power_cut(&mercy);
        state.locks.clear();
        state.life += 1;
        state.has_power = true;
        let left = state.names.files();
        self.0.trace.enter("power on", "", &[state.life, left.len() as u64]);
        for (path, inode) in &left {
            self.0.trace.enter("survived", &path.to_string_lossy(), &[inode.image().live().len()]);
        }
    }

    /// Runs one call under the disk's lock, with power, and writes it into the trace.
    fn perform<T>(
        &self,
        op: &Op<'_>,
        life: Option<u64>,
        call: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        check_path(op.name, op.path)?;
        let mut state = self.0.state.lock();
        let powered = state.has_power && life.is_none_or(|life| life == state.life);
        let result = if powered { call(&mut state) } else { Err(io::Error::other(PowerLost)) };
        let outcome = result.as_ref().err().map_or(0, |error| 1 + error.kind() as u64);
        let mut values = op.args.to_vec();
        values.push(outcome);
        self.0.trace.enter(op.name, &op.path.to_string_lossy(), &values);
        result.map_err(|cause| PathError::wrap(op.name, op.path, cause))
    }

    fn unlock(&self, life: u64, inode: u64) {
        let mut state = self.0.state.lock();
        if state.life == life {
            state.locks.remove(&inode);
        }
    }
}

impl State {
    fn writable(&self) -> io::Result<()> {
        if self.faults.is_read_only() { Err(Errno::ROFS.into()) } else { Ok(()) }
    }

    /// Blocks that may still be allocated; `None` without a limit.
    fn blocks_left(&self) -> Option<u64> {
        let room = self.faults.room()? / BLOCK_BYTES as u64;
        Some(room.saturating_sub(self.blocks_taken()))
    }

    fn blocks_taken(&self) -> u64 {
        let taken: usize = self.names.files().values().map(|inode| inode.image().live().allocated()).sum();
        taken as u64
    }

    fn used_bytes(&self) -> u64 {
        self.blocks_taken() * BLOCK_BYTES as u64
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Arc<Inode>> {
        if self.faults.has_few_files() {
            return Err(Errno::MFILE.into());
        }
        if mode != OpenMode::Read {
            self.writable()?;
        }
        match mode {
            OpenMode::CreateNew => self.names.create(path),
            OpenMode::Read | OpenMode::ReadWrite => self.names.file(path),
        }
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        if self.faults.sync_fails(&dir.to_string_lossy()) {
            return Err(Errno::IO.into());
        }
        if self.faults.lies() {
            return Ok(());
        }
        self.names.sync(dir)
    }

    fn lock(&mut self, path: &Path) -> io::Result<u64> {
        let inode = match self.names.exists(path)? {
            true => self.names.file(path)?,
            false => self.open(path, OpenMode::CreateNew)?,
        };
        if !self.locks.insert(inode.id()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(inode.id())
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let op = Op { name: "open", path, args: &[mode as u64] };
        self.perform(&op, None, |state| {
            let inode = state.open(path, mode)?;
            Ok(Arc::new(SimFile::new(self.clone(), inode, mode, state.life)) as Arc<dyn File>)
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.perform(&Op { name: "create directory", path, args: &[] }, None, |state| {
            // A read-only file system has no objection to a directory that is there already.
            state.names.list(path).map(drop).or_else(|_| {
                state.writable()?;
                state.names.create_dir_all(path)
            })
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        check_path("rename to", to)?;
        let to_sum = u64::from(crc32fast::hash(to.as_os_str().as_encoded_bytes()));
        self.perform(&Op { name: "rename", path: from, args: &[to_sum] }, None, |state| {
            state.writable()?;
            state.names.rename(from, to)
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.perform(&Op { name: "remove", path, args: &[] }, None, |state| {
            state.writable()?;
            state.names.remove(path)
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.perform(&Op { name: "list", path: dir, args: &[] }, None, |state| state.names.list(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.perform(&Op { name: "sync directory", path: dir, args: &[] }, None, |state| state.sync_dir(dir))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.perform(&Op { name: "look for", path, args: &[] }, None, |state| state.names.exists(path))
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        self.perform(&Op { name: "lock", path, args: &[] }, None, |state| {
            let inode = state.lock(path)?;
            let (disk, path) = (self.clone(), path.to_path_buf());
            Ok(Lock::holding(Locked { disk, life: state.life, inode, path }))
        })
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.perform(&Op { name: "ask for the free space of", path: dir, args: &[] }, None, |state| {
            state.names.list(dir)?;
            Ok(state.blocks_left().map_or(ROOMY_BYTES, |blocks| blocks * BLOCK_BYTES as u64))
        })
    }
}

/// Gives the lock back when dropped, unless its life is over.
struct Locked {
    disk: SimDisk,
    life: u64,
    inode: u64,
    path: PathBuf,
}

impl Held for Locked {
    fn is_in_place(&self) -> io::Result<bool> {
        let op = Op { name: "look for", path: &self.path, args: &[] };
        self.disk.perform(&op, Some(self.life), |state| Ok(state.names.leads_to(&self.path, self.inode)))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.disk.unlock(self.life, self.inode);
    }
}
