//! What opening may change: a torn tail becomes zeros, and the newest unit is written and synced once more when
//! nothing proves that it is on the disk. Everything else stays as found.

use std::io;

use chronos_env::{Disk, Env, OpenMode};

use super::{Cut, LaneSeen};
use crate::crash;
use crate::segment::{self, is_spare};

/// On return every frame that counts is durable, and nothing else follows the last of them.
pub(crate) fn repair(env: &Env, lane: &LaneSeen) -> io::Result<()> {
    let disk = env.disk.as_ref();
    if lane.doubt.is_some() {
        chronos_env::sometimes!("wal.end_in_doubt");
        return remove_spares(disk, lane);
    }
    if let Some(unit) = &lane.unproven {
        chronos_env::sometimes!("wal.newest_unit_unproven");
        rewrite(disk, lane, unit)?;
    }
    if let Some(tail) = &lane.cut {
        chronos_env::sometimes!("wal.torn_tail_cut");
        env.crash.hit(crash::CUT_BEFORE);
        let file = disk.open(&lane.found.segments[tail.segment].path, OpenMode::ReadWrite)?;
        segment::zero(file.as_ref(), tail.from, tail.to)?;
        env.crash.hit(crash::CUT_AFTER);
    }
    remove_spares(disk, lane)
}

/// Writes the bytes of a unit over themselves and syncs. They were read from the page cache perhaps, and a sync
/// that failed in an earlier life may have left the pages there, marked clean, without their being on disk.
fn rewrite(disk: &dyn Disk, lane: &LaneSeen, unit: &Cut) -> io::Result<()> {
    let file = disk.open(&lane.found.segments[unit.segment].path, OpenMode::ReadWrite)?;
    let mut bytes = vec![0; (unit.to - unit.from) as usize];
    file.read_exact_at(&mut bytes, unit.from)?;
    file.write_at(&bytes, unit.from)?;
    file.sync_data()
}

/// Of a lane in doubt nothing is touched but its spares: it goes on in a new segment.
///
/// Spares never hold anything that is needed, and how far one came is unknown.
fn remove_spares(disk: &dyn Disk, lane: &LaneSeen) -> io::Result<()> {
    if !disk.exists(&lane.found.dir)? {
        return Ok(());
    }
    for entry in disk.list(&lane.found.dir)?.iter().filter(|entry| is_spare(&entry.name)) {
        disk.remove(&lane.found.dir.join(&entry.name))?;
    }
    Ok(())
}
