//! What a run needs to know besides its plan, and what it shows while it goes on.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::workload::Tally;

/// Bytes of each node's own disk: sparse, so that only what is written takes room.
const DISK_BYTES: u64 = 4 << 30;

/// Where a run happens, and of what.
#[derive(Clone)]
pub struct Settings {
    /// The product's binary.
    pub binary: PathBuf,
    /// Where plan, history, logs and verdict are left. Made when it is not there.
    pub out: PathBuf,
    /// Where the nodes' disks or directories are, in a directory that is removed afterwards.
    pub scratch: PathBuf,
    /// Bytes of each node's own disk, where it has one.
    pub disk_bytes: u64,
    /// Who is shown every second how it goes.
    pub watch: Option<Watch>,
}

/// Somebody who looks on.
pub type Watch = Arc<dyn Fn(&Look) + Send + Sync>;

/// How a run stands.
#[derive(Clone, Debug)]
pub struct Look {
    /// Since clients began, or before that zero.
    pub elapsed: Duration,
    /// How operations ended so far.
    pub tally: Tally,
    /// Every node's place, in order.
    pub nodes: Vec<NodeLook>,
}

/// How one node stands.
#[derive(Clone, Debug)]
pub struct NodeLook {
    /// Its place, from 1.
    pub seat: u32,
    /// Its process, while one runs.
    pub pid: Option<u32>,
    /// Its data directory.
    pub data: PathBuf,
    /// How many processes it had.
    pub lives: u64,
    /// How many of them ended by themselves.
    pub ends: u64,
}

impl Settings {
    /// A run of this binary that leaves its files there.
    pub fn new(binary: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Settings {
        Settings {
            binary: binary.into(),
            out: out.into(),
            scratch: std::env::temp_dir(),
            disk_bytes: DISK_BYTES,
            watch: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { binary, out, scratch, disk_bytes, watch: _ } = self;
        let mut told = f.debug_struct("Settings");
        told.field("binary", binary).field("out", out).field("scratch", scratch);
        told.field("disk_bytes", disk_bytes).finish_non_exhaustive()
    }
}
