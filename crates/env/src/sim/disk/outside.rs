//! What an outsider does to a simulated disk: plan its faults, damage files behind its back, look inside, copy it.
//! All of it works with the power off too.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::names::Names;
use super::{FaultPlan, Repeat, SimDisk, State, Trace, VirtualTime};
use crate::{Entropy, PathError};

/// What a disk held at one moment.
pub struct Image(Names);

/// Faults. The methods named like those of [`FaultPlan`] add to the plan in force.
impl SimDisk {
    /// Replaces the plan in force; `FaultPlan::default()` heals the disk.
    pub fn faults(&self, plan: FaultPlan) {
        self.0.trace.enter("faults", &format!("{plan:?}"), &[]);
        self.0.state.lock().faults = plan;
    }

    /// Adds [`FaultPlan::fail_sync`].
    pub fn fail_sync(&self, path: &str, nth: u64, repeat: Repeat) {
        self.extend_faults(|plan| plan.fail_sync(path, nth, repeat));
    }

    /// Adds [`FaultPlan::fail_read`].
    pub fn fail_read(&self, path: &str, nth: u64, repeat: Repeat) {
        self.extend_faults(|plan| plan.fail_read(path, nth, repeat));
    }

    /// Adds [`FaultPlan::fail_write`].
    pub fn fail_write(&self, path: &str, nth: u64, repeat: Repeat) {
        self.extend_faults(|plan| plan.fail_write(path, nth, repeat));
    }

    /// Adds [`FaultPlan::misdirect_write`].
    pub fn misdirect_write(&self, path: &str, nth: u64, offset: u64) {
        self.extend_faults(|plan| plan.misdirect_write(path, nth, offset));
    }

    /// Adds [`FaultPlan::capacity`].
    pub fn capacity(&self, bytes: u64) {
        self.extend_faults(|plan| plan.capacity(bytes));
    }

    fn extend_faults(&self, extend: impl FnOnce(FaultPlan) -> FaultPlan) {
        let plan = self.0.state.lock().faults.clone();
        self.faults(extend(plan));
    }
}

/// Damage: to the medium and to what readers see, at once.
impl SimDisk {
    /// Flips bit `bit` (0 to 7) of byte `byte` of a file.
    ///
    /// # Errors
    /// If there is no such file or byte.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u8) -> io::Result<()> {
        assert!(bit < 8, "a byte has no bit {bit}");
        self.damage("flip a bit of", path, &[byte, u64::from(bit)], |state| {
            let inode = state.names.file(path)?;
            let mut image = inode.image();
            if byte >= image.live().len() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it has no byte {byte}")));
            }
            image.flip_bit(byte, bit);
            Ok(())
        })
    }

    /// From now on every sync of a file takes so long for whoever measures it ([`File::owes`](crate::File::owes)).
    pub fn slow_syncs(&self, take: Duration) {
        self.0.trace.enter("slow syncs", "", &[take.as_micros() as u64]);
        self.0.state.lock().sync_takes = take;
    }

    /// From now on so many bytes can be written in a second; whoever measures a sync waits for all that was written by then.
    /// `None` for a disk that is never busy.
    pub fn throttle(&self, bytes_per_second: Option<u64>) {
        self.0.trace.enter("throttle", "", &[bytes_per_second.unwrap_or(0)]);
        let mut state = self.0.state.lock();
        (state.bytes_per_second, state.bytes_owed) = (bytes_per_second, 0);
    }

    /// How long a sync takes that has come now.
    pub(super) fn sync_takes(&self) -> Duration {
        let mut state = self.0.state.lock();
        let bytes = std::mem::take(&mut state.bytes_owed);
        let rate = state.bytes_per_second.unwrap_or(u64::MAX).max(1);
        state.sync_takes + Duration::from_secs_f64(bytes as f64 / rate as f64)
    }

    /// Cuts a file to `len` bytes; a shorter one stays as it is.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn damage_truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.damage("damage by truncation", path, &[len], |state| {
            state.names.file(path)?.image().damage_truncate(len);
            Ok(())
        })
    }

    /// Removes a file, or a directory with all that is in it.
    ///
    /// # Errors
    /// If there is no such name.
    pub fn damage_remove(&self, path: &Path) -> io::Result<()> {
        self.damage("damage by removal", path, &[], |state| state.names.damage_remove(path))
    }

    /// Exchanges the contents of two files.
    ///
    /// # Errors
    /// If one of them is not there.
    pub fn swap(&self, one: &Path, other: &Path) -> io::Result<()> {
        let other_sum = u64::from(crc32fast::hash(other.as_os_str().as_encoded_bytes()));
        self.damage("swap", one, &[other_sum], |state| {
            let (one, other) = (state.names.file(one)?, state.names.file(other)?);
            if one.id() != other.id() {
                one.image().swap(&mut other.image());
            }
            Ok(())
        })
    }

    /// Puts the disk back to what an [`Image`] of it holds. Handles and locks are dead afterwards, as after a power cut.
    pub fn set_back(&self, image: &Image) {
        let mut state = self.0.state.lock();
        state.names = image.0.fork();
        state.locks.clear();
        state.life += 1;
        self.0.trace.enter("set back", "", &[state.life]);
    }

    fn damage(
        &self,
        name: &'static str,
        path: &Path,
        args: &[u64],
        hurt: impl FnOnce(&mut State) -> io::Result<()>,
    ) -> io::Result<()> {
        self.0.trace.enter(name, &path.to_string_lossy(), args);
        hurt(&mut self.0.state.lock()).map_err(|cause| PathError::wrap(name, path, cause))
    }
}

/// Looking inside.
impl SimDisk {
    /// Every file that readers see, with its length, by path.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let files = self.0.state.lock().names.files();
        files.into_iter().map(|(path, inode)| (path, inode.image().live().len())).collect()
    }

    /// Bytes that are taken, in whole blocks.
    pub fn used_bytes(&self) -> u64 {
        self.0.state.lock().used_bytes()
    }

    /// Every file that readers see, with its content.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = self.0.state.lock().names.files();
        files.into_iter().map(|(path, inode)| (path, inode.image().live().bytes())).collect()
    }

    /// What is certain to survive a power cut now: every file with a durable name, with its durable content.
    pub fn durable_snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = self.0.state.lock().names.durable_files();
        files.into_iter().map(|(path, inode)| (path, inode.image().durable().bytes())).collect()
    }

    /// What is certain to survive a power cut now, to be put back later.
    pub fn image(&self) -> Image {
        Image(self.0.state.lock().names.fork())
    }

    /// A deep copy of what is certain to survive a power cut now, as a disk of its own: power on, no faults, its own
    /// dice and trace. Content is shared until written to, so a copy per test case is cheap.
    pub fn fork(&self, seed: u64) -> SimDisk {
        let names = self.0.state.lock().names.fork();
        SimDisk::holding(names, Entropy::seeded(seed), Trace::new(VirtualTime::new()))
    }
}
