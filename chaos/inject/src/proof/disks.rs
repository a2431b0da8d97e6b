//! Proofs of faults of disks.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Instant;

use super::processes::talk;
use super::{Bench, effect};
use crate::cage::DiskRate;
use crate::disk::Leave;
use crate::error::{Error, Result, While};
use crate::ground::{Ground, Layout, Wire};
use crate::syncs::SyncFailure;
use crate::tool::Tool;

const DISK_BYTES: u64 = 32 << 20;
const SYNCED: &[u8] = &[1; 100_000];
const LATER: &[u8] = &[2; 100_000];

pub(super) fn power_cut(bench: &Bench, nodes: u8) -> Result<String> {
    let ground =
        Ground::lay(&Layout { disk_bytes: Some(DISK_BYTES), ..bench.layout(nodes, Wire::Loopback) })?;
    let mut open = Vec::new();
    for site in ground.sites() {
        let path = site.data().join("log");
        let mut log = File::create(&path).during(|| format!("creating {}", path.display()))?;
        let syncing = || format!("syncing {}", path.display());
        log.write_all(SYNCED).and_then(|()| log.sync_all()).during(syncing)?;
        File::open(site.data()).and_then(|directory| directory.sync_all()).during(syncing)?;
        log.write_all(LATER).during(syncing)?;
        fs::write(site.data().join("new"), LATER).during(syncing)?;
        open.push(log);
    }
    let cut = ground.cut_power(&(1..=nodes).collect::<Vec<_>>())?;
    effect(cut.disks == usize::from(nodes), || format!("{} disks lost power", cut.disks))?;
    for mut log in open {
        let refused = log.write_all(b"x").err().and_then(|error| error.raw_os_error());
        effect(refused == Some(5), || format!("a write without power ended with {refused:?}"))?;
    }
    for site in ground.sites() {
        site.disk()?.remount()?;
        let log = fs::read(site.data().join("log")).during(|| "reading what was synced".into())?;
        effect(log == SYNCED, || format!("{} bytes of {} synced are there", log.len(), SYNCED.len()))?;
        effect(!site.data().join("new").exists(), || "a file that was never synced is there".into())?;
        fs::write(site.data().join("new"), LATER).during(|| "writing with power".into())?;
    }
    let bytes = SYNCED.len();
    Ok(format!(
        "{nodes} disks within {} µs; writes then: EIO; after mounting: {bytes} synced bytes there, {bytes} un-synced \
        bytes and an un-synced file gone",
        cut.within_us
    ))
}

pub(super) fn full(bench: &Bench) -> Result<String> {
    let ground = with_disk(bench)?;
    let (site, disk) = (ground.site(1), ground.site(1).disk()?);
    let full = disk.fill(Leave::Nothing)?;
    let refused = fs::write(site.data().join("more"), SYNCED).err().map(|error| error.kind());
    effect(refused == Some(ErrorKind::StorageFull), || {
        format!("a write to a full disk ended with {refused:?}")
    })?;
    full.heal()?;
    fs::write(site.data().join("more"), SYNCED).during(|| "writing when there is room again".into())?;
    let left = 1 << 20;
    let nearly = disk.fill(Leave::Bytes(left))?;
    let free = disk.free_bytes()?;
    effect(free.abs_diff(left) <= 64 << 10, || format!("{free} bytes are left instead of {left}"))?;
    nearly.heal()?;
    Ok(format!("write: ENOSPC; healed: written; asked to leave {left} bytes: {free} left"))
}

pub(super) fn read_only(bench: &Bench) -> Result<String> {
    let ground = with_disk(bench)?;
    let path = ground.site(1).data().join("log");
    let mut log = File::create(&path).during(|| format!("creating {}", path.display()))?;
    ground.site(1).disk()?.fail_read_only()?;
    let written = log.write_all(b"x").err().map(|error| error.kind());
    let made = File::create(path.with_extension("new")).err().map(|error| error.kind());
    effect(written == Some(ErrorKind::ReadOnlyFilesystem), || {
        format!("a write to an open file ended with {written:?}")
    })?;
    effect(made == Some(ErrorKind::ReadOnlyFilesystem), || format!("making a file ended with {made:?}"))?;
    drop(log);
    ground.site(1).disk()?.remount()?;
    fs::write(&path, b"again").during(|| "writing after it was mounted again".into())?;
    ground.site(1).disk()?.remount_read_only()?.heal()?;
    fs::write(&path, b"again").during(|| "writing after an orderly read-only mount".into())?;
    Ok("write to an open file and a new file: EROFS; mounted again: written".into())
}

pub(super) fn slow(bench: &Bench) -> Result<String> {
    const WRITTEN: u64 = 2 << 20;
    let layout = Layout { caged: true, disk_bytes: Some(DISK_BYTES), ..bench.layout(1, Wire::Loopback) };
    let ground = Ground::lay(&layout)?;
    let before = direct_write_ms(&ground, WRITTEN)?;
    let slowed = ground.site(1).slow_disk(DiskRate { write_bytes: Some(1 << 20), read_bytes: None })?;
    let during = direct_write_ms(&ground, WRITTEN)?;
    // Two seconds by the limit; half of that may have been let through at once.
    effect(during >= 1000, || format!("{WRITTEN} bytes took {during} ms at a MiB per second"))?;
    slowed.heal()?;
    // A busy machine is slow by itself, but not every time.
    let mut after = Vec::new();
    while after.last().is_none_or(|last| *last >= during) {
        effect(after.len() < 10, || format!("{after:?} ms after it was healed, {during} before"))?;
        after.push(direct_write_ms(&ground, WRITTEN)?);
    }
    Ok(format!(
        "{WRITTEN} bytes past the page cache: {before} ms before, {during} at 1 MiB/s, {after:?} healed"
    ))
}

pub(super) fn stalled(bench: &Bench) -> Result<String> {
    let ground = with_disk(bench)?;
    let mut talk = syncing(&ground, bench)?;
    talk.ask("before")?;
    let stalled = ground.site(1).disk()?.stall()?;
    talk.say("during")?;
    effect(talk.is_silent(), || "a sync ended while the disk stood still".into())?;
    stalled.heal()?;
    let answer = talk.hear()?;
    effect(answer == "synced", || format!("after it was healed: {answer}"))?;
    Ok("a sync waits, and ends when it is healed".into())
}

pub(super) fn sync_error(bench: &Bench) -> Result<String> {
    let ground = bench.wired(1, Wire::Loopback)?;
    let mut talk = syncing(&ground, bench)?;
    let order = |part: &str| SyncFailure { path_part: part.into(), after: 2, times: 1 };
    let other = ground.site(1).fail_syncs(&order("no-such-file"))?;
    let untouched: Vec<_> = (0..4).map(|_| talk.ask("x")).collect::<Result<_>>()?;
    effect(untouched.iter().all(|answer| answer == "synced"), || {
        format!("syncs of another file: {untouched:?}")
    })?;
    other.heal()?;
    let failing = ground.site(1).fail_syncs(&order("/log"))?;
    let answers: Vec<_> = (0..4).map(|_| talk.ask("x")).collect::<Result<_>>()?;
    failing.heal()?;
    let right = answers[2].ends_with("os error 5)") && [0, 1, 3].iter().all(|n| answers[*n] == "synced");
    effect(right && ground.site(1).failed_syncs() == 1, || format!("four syncs: {answers:?}"))?;
    Ok(format!("four syncs, the third to fail: {}", answers.join(", ")))
}

pub(super) fn bit_rot(bench: &Bench) -> Result<String> {
    const AT: u64 = 70_001;
    let ground = with_disk(bench)?;
    let path = ground.site(1).data().join("log");
    fs::write(&path, SYNCED).during(|| format!("writing {}", path.display()))?;
    let modified = |path: &Path| fs::metadata(path).and_then(|found| found.modified());
    let before = modified(&path).during(|| "looking at a time stamp".into())?;
    let rotten = ground.site(1).disk()?.rot(&path, AT, 0b0100_0000)?;
    ground.site(1).disk()?.remount()?;
    let content = fs::read(&path).during(|| format!("reading {}", path.display()))?;
    let changed: Vec<_> =
        (0..).zip(std::iter::zip(&content, SYNCED)).filter(|(_, (is, was))| is != was).collect();
    let right = matches!(changed[..], [(AT, (&is, &was))] if is == rotten.is && was == rotten.was);
    effect(right, || format!("bytes that changed: {changed:?}"))?;
    let after = modified(&path).during(|| "looking at a time stamp".into())?;
    effect(before == after, || "the time stamp of the file changed".into())?;
    Ok(format!(
        "byte {AT}: {:#04x} became {:#04x}, no other byte and no time stamp changed",
        rotten.was, rotten.is
    ))
}

fn with_disk(bench: &Bench) -> Result<Ground> {
    Ground::lay(&Layout { disk_bytes: Some(DISK_BYTES), ..bench.layout(1, Wire::Loopback) })
}

/// A victim that appends to a file and syncs it at each line.
fn syncing(ground: &Ground, bench: &Bench) -> Result<super::talk::Talk> {
    talk(ground, bench, &["sync", &ground.site(1).data().join("log").to_string_lossy()])
}

fn direct_write_ms(ground: &Ground, bytes: u64) -> Result<u128> {
    const DD: Tool = Tool { program: "dd", package: "coreutils" };
    let output = format!("of={}", ground.site(1).data().join("direct").display());
    let recipe = ground.site(1).recipe(DD.program).args(["if=/dev/zero", &output, "bs=64k", "oflag=direct"]);
    let mut command = recipe.arg(format!("count={}", bytes >> 16)).command();
    let begin = Instant::now();
    DD.finish(&mut command)?;
    let took = begin.elapsed().as_millis();
    let there = fs::metadata(ground.site(1).data().join("direct")).map_or(0, |found| found.len());
    if there == bytes {
        Ok(took)
    } else {
        Err(Error::Ineffective(format!("{there} of {bytes} bytes were written")))
    }
}
