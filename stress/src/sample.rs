//! Samples: how fast a cluster is and what it takes, every few seconds, one JSON line each.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What the samples of a soak are called in its directory.
pub const FILE: &str = "samples.jsonl";

/// What happened in one stretch of seconds, and how things stand at its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Seconds that the soak had been running, over all its starts.
    pub age: f64,
    /// Which round.
    pub round: u16,
    /// How long the stretch is, in seconds.
    pub seconds: f64,
    /// Whether clients are at work. Otherwise what they did is being judged.
    pub under_load: bool,
    /// Operations that ended.
    pub ended: u64,
    /// Of these, those that were not done or of which that is not known.
    pub not_done: u64,
    /// Events that were acknowledged.
    pub acked: u64,
    /// How long appends took that were answered.
    pub appends: Latency,
    /// How long reads took that were answered.
    pub reads: Latency,
    /// Faults that went on at some time in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// How the nodes stand.
    pub nodes: Vec<NodeSample>,
}

/// How long operations of one kind took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// How many there were. The rest is 0 if there were none.
    pub count: u64,
    /// Half of them took less.
    pub p50_ms: f64,
    /// All but one of a hundred took less.
    pub p99_ms: f64,
}

impl Latency {
    /// Of so many nanoseconds each.
    #[must_use]
    pub fn of(mut nanos: Vec<u64>) -> Latency {
        nanos.sort_unstable();
        let at = |permille: usize| {
            let last = nanos.len().checked_sub(1)?;
            Some(nanos[(nanos.len() * permille / 1000).min(last)] as f64 / 1e6)
        };
        Latency { count: nanos.len() as u64, p50_ms: at(500).unwrap_or(0.0), p99_ms: at(990).unwrap_or(0.0) }
    }
}

/// What one node takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSample {
    /// Its place, from 1.
    pub seat: u32,
    /// Its process, if one runs.
    pub process: Option<ProcessSample>,
    /// Bytes that its files take on its disk.
    pub disk_bytes: u64,
}

/// What one process takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessSample {
    /// Its id.
    pub pid: u32,
    /// When it began, in ticks since the machine did: an id may come again.
    pub born: u64,
    /// Bytes of it that are in memory.
    pub rss_bytes: u64,
    /// Open file descriptors.
    pub fds: u64,
    /// Threads.
    pub threads: u64,
}

/// The samples of a round, in short: what the ledger keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Operations that ended in a second, on average under load.
    pub operations_per_second: f64,
    /// The median over all stretches of their p50 of appends.
    pub append_p50_ms: f64,
    /// The same of their p99.
    pub append_p99_ms: f64,
    /// The same of their p99 of reads.
    pub read_p99_ms: f64,
    /// The most memory that a process had.
    pub rss_bytes_max: u64,
    /// The most descriptors that a process had.
    pub fds_max: u64,
    /// Bytes on all disks at its end.
    pub disk_bytes: u64,
}

impl Summary {
    /// Of the samples of a round.
    #[must_use]
    pub fn of(samples: &[Sample]) -> Summary {
        let loaded: Vec<&Sample> = samples.iter().filter(|sample| sample.under_load).collect();
        let seconds: f64 = loaded.iter().map(|sample| sample.seconds).sum();
        let ended: u64 = loaded.iter().map(|sample| sample.ended).sum();
        let typical = |of: fn(&Sample) -> (u64, f64)| {
            let values = loaded.iter().map(|sample| of(sample)).filter(|(count, _)| *count > 0);
            median(values.map(|(_, value)| value).collect()).unwrap_or(0.0)
        };
        let processes = || samples.iter().flat_map(|sample| &sample.nodes).filter_map(|node| node.process);
        let disk = samples.last().map_or(0, |last| last.nodes.iter().map(|node| node.disk_bytes).sum());
        Summary {
            operations_per_second: if seconds > 0.0 { ended as f64 / seconds } else { 0.0 },
            append_p50_ms: typical(|sample| (sample.appends.count, sample.appends.p50_ms)),
            append_p99_ms: typical(|sample| (sample.appends.count, sample.appends.p99_ms)),
            read_p99_ms: typical(|sample| (sample.reads.count, sample.reads.p99_ms)),
            rss_bytes_max: processes().map(|process| process.rss_bytes).max().unwrap_or(0),
            fds_max: processes().map(|process| process.fds).max().unwrap_or(0),
            disk_bytes: disk,
        }
    }
}

/// The middle one, or the mean of the two in the middle.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[half]),
        _ => Some(f64::midpoint(values[half - 1], values[half])),
    }
}

/// Reads the samples of a soak. Lines that a crash tore are left out: a sample more or less changes nothing.
///
/// # Errors
/// The file is there and cannot be read.
pub fn read(dir: &Path) -> io::Result<Vec<Sample>> {
    match fs::read_to_string(dir.join(FILE)) {
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whoever writes samples.
#[derive(Debug)]
pub struct Samples {
    path: PathBuf,
    file: File,
}

impl Samples {
    /// Goes on with the samples of a soak, or begins them.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn open(dir: &Path) -> io::Result<Samples> {
        let path = dir.join(FILE);
        let is_torn = fs::read(&path).is_ok_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n'));
        let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
        if is_torn {
            file.write_all(b"\n")?;
        }
        Ok(Samples { path, file })
    }

    /// Adds one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, sample: &Sample) -> io::Result<()> {
        let mut line = serde_json::to_vec(sample).expect("a sample is plain data");
        line.push(b'\n');
        let written = self.file.write_all(&line);
        written.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))
    }
}
