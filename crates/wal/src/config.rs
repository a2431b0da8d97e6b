//! What a write-ahead log must be told.

use std::path::PathBuf;

use crate::error::OpenError;
use crate::format::{self, LOGS_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

/// Settings of a write-ahead log.
#[derive(Clone, Debug)]
pub struct Config {
    /// The directory that holds it, and nothing else. Made if missing. Absolute.
    pub dir: PathBuf,
    /// Identity of the cluster; a directory of another cluster is refused.
    pub cluster: u128,
    /// Number of logs, `1..=56`, fixed for the life of the directory.
    pub logs: u8,
    /// Number of lanes in use, `1..=logs`; may change at each opening.
    pub lanes: u8,
    /// Length of a new segment in bytes, 64 KiB to 1 GiB, a multiple of 4096; may change at each opening.
    pub segment_bytes: u64,
    /// The release that writes, for the headers of files.
    pub release: String,
    /// Whether an opening of it is known to have ended well before: then a directory in which nothing is left is damaged,
    /// and not new.
    pub exists: bool,
}

impl Config {
    /// The usual settings: 33 logs in one lane, segments of 64 MiB.
    pub fn new(dir: PathBuf, cluster: u128) -> Config {
        let release = env!("CARGO_PKG_VERSION").to_owned();
        Config { dir, cluster, logs: 33, lanes: 1, segment_bytes: 64 << 20, release, exists: false }
    }

    /// The longest payload one entry may have with these settings.
    pub fn payload_bytes_max(&self) -> usize {
        format::append_bytes_max(self.segment_bytes) - crate::frame::framed_len(0)
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let refuse = |what: String| Err(OpenError::Config(what));
        if !self.dir.is_absolute() {
            return refuse(format!("directory {} is not absolute", self.dir.display()));
        }
        if self.logs == 0 || self.logs > LOGS_MAX {
            return refuse(format!("{} logs asked for, 1 to {LOGS_MAX} are possible", self.logs));
        }
        if self.lanes == 0 || self.lanes > self.logs {
            return refuse(format!("{} lanes asked for, 1 to {} are possible", self.lanes, self.logs));
        }
        let bytes = self.segment_bytes;
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) || !bytes.is_multiple_of(4096) {
            let bounds = format!("{SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}");
            return refuse(format!(
                "segments of {bytes} bytes asked for; give a multiple of 4096 from {bounds}"
            ));
        }
        Ok(())
    }
}
