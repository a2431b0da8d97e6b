//! A control group for one node: how much memory it may use, how fast it may use a disk, and whether it runs at all.
//!
//! Works with both versions of control groups, each controller where this machine has it: some machines have the old
//! version for some controllers and the new one beside it.

mod controller;

use std::fs;
use std::path::PathBuf;

pub(crate) use controller::{Controller, Seat, find_seats};

use crate::disk::DeviceNumber;
use crate::episode::Episode;
use crate::error::{Error, Result, While};

/// Bytes per second that a disk may be written and read with; `None` leaves that direction as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskRate {
    /// For writes that wait for the disk. The old control groups do not see what the kernel writes later by itself.
    pub write_bytes: Option<u64>,
    /// For reads that the page cache cannot answer.
    pub read_bytes: Option<u64>,
}

/// The control group of one node, removed by its ground. Processes enter it before they begin.
#[derive(Debug)]
pub(crate) struct Cage {
    name: String,
    seats: Vec<Seat>,
}

impl Cage {
    /// Makes the group under every controller that this machine has.
    pub(crate) fn make(name: &str) -> Result<Cage> {
        let seats = find_seats()?;
        for seat in &seats {
            seat.prepare()?;
            let directory = seat.root.join(name);
            fs::create_dir_all(&directory)
                .during(|| format!("making the control group {}", directory.display()))?;
        }
        Ok(Cage { name: name.to_owned(), seats })
    }

    /// The files to which a process writes its id to enter.
    pub(crate) fn doors(&self) -> Vec<PathBuf> {
        let mut doors: Vec<_> =
            self.seats.iter().map(|seat| seat.root.join(&self.name).join("cgroup.procs")).collect();
        doors.sort_unstable();
        doors.dedup();
        doors
    }

    pub(crate) fn limit_memory(&self, bytes: u64) -> Result<Episode> {
        self.begin(Controller::Memory, format!("{} may use {bytes} bytes of memory", self.name), |seat| {
            (seat.memory_limit(Some(bytes)), seat.memory_limit(None))
        })
    }

    pub(crate) fn slow_disk(&self, device: DeviceNumber, rate: DiskRate) -> Result<Episode> {
        self.begin(Controller::Disk, format!("{} uses disk {device} at {rate:?}", self.name), |seat| {
            let unlimited =
                DiskRate { write_bytes: rate.write_bytes.map(|_| 0), read_bytes: rate.read_bytes.map(|_| 0) };
            (seat.disk_rate(device, rate), seat.disk_rate(device, unlimited))
        })
    }

    pub(crate) fn freeze(&self) -> Result<Episode> {
        self.begin(Controller::Freezer, format!("{} is frozen", self.name), |seat| {
            (seat.frozen(true), seat.frozen(false))
        })
    }

    fn begin(
        &self,
        controller: Controller,
        what: String,
        writes: impl FnOnce(&Seat) -> (Vec<(&'static str, String)>, Vec<(&'static str, String)>),
    ) -> Result<Episode> {
        let seat = self.seats.iter().find(|seat| seat.controller == controller);
        let seat = seat
            .ok_or_else(|| Error::Unfit(format!("this machine has no control groups for {controller:?}")))?;
        let (begin, heal) = writes(seat);
        let directory = seat.root.join(&self.name);
        let episode = Episode::new(what, {
            let directory = directory.clone();
            move || write_all(&directory, heal)
        });
        write_all(&directory, begin)?;
        Ok(episode)
    }
}

fn write_all(directory: &std::path::Path, writes: Vec<(&'static str, String)>) -> Result<()> {
    writes.into_iter().try_for_each(|(file, value)| {
        let path = directory.join(file);
        fs::write(&path, &value).during(|| format!("writing {value:?} to {}", path.display()))
    })
}

/// Where groups of this crate may be, for whoever removes them.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    find_seats().unwrap_or_default().into_iter().map(|seat| seat.root).collect()
}
