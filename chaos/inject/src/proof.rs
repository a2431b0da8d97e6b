//! Proof by measurement: each kind of fault is brought about on a small ground, what it does is measured, and so is that
//! nothing of it is left once it is healed.

mod clocks;
mod disks;
mod files;
mod links;
mod measure;
mod processes;
mod switching;
mod talk;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::clock::Clocks;
use crate::dice::Dice;
use crate::error::{Error, Result, While};
use crate::fault::Fault;
use crate::ground::{Ground, Layout, Wire};
use crate::owner::Mark;
use crate::probe::{Abilities, probe};

/// Where proofs are done, and on whom.
#[derive(Debug)]
pub struct Bench {
    mark: Mark,
    scratch: PathBuf,
    /// A directory of this bench alone, for what is compiled.
    own: PathBuf,
    victim: PathBuf,
    seed: u64,
}

impl Bench {
    /// Grounds are laid below `scratch`. `victim` is the `probe` program of this crate: as `probe victim` it is the process
    /// that faults are tried on. All decisions follow from `seed`.
    ///
    /// # Errors
    /// If nothing can be written to `scratch`.
    pub fn set_up(scratch: &Path, victim: &Path, seed: u64) -> Result<Bench> {
        let mark = Mark::claim()?;
        let own = scratch.join(mark.name());
        mark.remember(&own)?;
        DirBuilder::new().mode(0o700).create(&own).during(|| format!("making {}", own.display()))?;
        Ok(Bench { mark, scratch: scratch.to_owned(), own, victim: victim.to_owned(), seed })
    }

    /// What this machine can do: [`probe()`](probe) here.
    pub fn abilities(&self) -> Abilities {
        probe(&self.scratch, &self.own)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.own) {
            Ok(()) => self.mark.release(),
            Err(error) => eprintln!("left behind: {}: {error}", self.own.display()),
        }
    }
}

/// Brings `fault` about, measures its effect and its end. Gives what was measured, in words.
///
/// # Errors
/// [`Error::Ineffective`] if what was measured is not what the fault is for; others if it cannot be brought about,
/// which [`Bench::abilities`] knows beforehand.
pub fn prove(fault: Fault, bench: &Bench) -> Result<String> {
    match fault {
        Fault::Kill => processes::kill(bench),
        Fault::CrashPoint => processes::crash_point(bench),
        Fault::Pause => processes::pause(bench),
        Fault::Freeze => processes::freeze(bench),
        Fault::MemoryLimit => processes::memory_limit(bench),
        Fault::RestartLoop => processes::restart_loop(bench),
        Fault::FileLimit => processes::file_limit(bench),
        Fault::Partition => links::partition(bench),
        Fault::Isolate => links::isolate(bench),
        Fault::BridgeNode => links::bridge_node(bench),
        Fault::OneWay => links::one_way(bench),
        Fault::Loss => links::loss(bench),
        Fault::SlowLink => links::slow_link(bench),
        Fault::HalfOpen => links::half_open(bench),
        Fault::Reset => links::reset(bench),
        Fault::Flapping => links::flapping(bench),
        Fault::Swizzle => links::swizzle(bench),
        Fault::SeededLoss => switching::seeded_loss(bench),
        Fault::Delay => switching::delay(bench),
        Fault::Jitter => switching::jitter(bench),
        Fault::Reorder => switching::reorder(bench),
        Fault::Duplicate => switching::duplicate(bench),
        Fault::Corrupt => switching::corrupt(bench),
        Fault::PowerCutOne => disks::power_cut(bench, 1),
        Fault::PowerCutAll => disks::power_cut(bench, 3),
        Fault::SyncError => disks::sync_error(bench),
        Fault::BitRot => disks::bit_rot(bench),
        Fault::DiskFull => disks::full(bench),
        Fault::SlowDisk => disks::slow(bench),
        Fault::StalledDisk => disks::stalled(bench),
        Fault::ReadOnly => disks::read_only(bench),
        Fault::TornTail
        | Fault::Rollback
        | Fault::SwappedFiles
        | Fault::SwappedBlocks
        | Fault::Truncated
        | Fault::Removed
        | Fault::Stranger
        | Fault::Wiped
        | Fault::Twin => files::prove(fault, bench),
        Fault::ClockOffset => clocks::offset(bench),
        Fault::ClockJump => clocks::jump(bench),
        Fault::ClockSpeed => clocks::speed(bench),
    }
}

impl Bench {
    /// A ground of nodes with nothing but what their wire brings.
    fn wired(&self, nodes: u8, wire: Wire) -> Result<Ground> {
        Ground::lay(&self.layout(nodes, wire))
    }

    fn layout(&self, nodes: u8, wire: Wire) -> Layout {
        let (under, cache) = (self.scratch.clone(), self.own.clone());
        Layout {
            under,
            cache,
            nodes,
            wire,
            disk_bytes: None,
            caged: false,
            clocks: Clocks::True,
            seed: self.seed,
        }
    }

    fn dice(&self, purpose: &str) -> Dice {
        Dice::new(self.seed).child(purpose)
    }
}

/// `Ok` if what was measured is the effect.
fn effect(holds: bool, measured: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Ineffective(measured())) }
}
