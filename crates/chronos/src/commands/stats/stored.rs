//! How many bytes the parts of all partitions take, and what for.

use std::path::{Path, PathBuf};

use chronos_client::PartitionHoldings;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::table::grouped;

/// Bytes of compacted events.
#[derive(Serialize)]
pub(super) struct Stored {
    /// Everything: parts, and the indexes beside them.
    stored_bytes: u64,
    /// The parts without what only helps to find events in them.
    stored_bytes_without_indexes: u64,
    /// Events that are not among them yet.
    uncompacted: u64,
    #[serde(flatten)]
    against: Option<Against>,
}

/// A file that the bytes are compared with.
#[derive(Serialize)]
struct Against {
    against: PathBuf,
    against_bytes: u64,
}

impl Stored {
    pub(super) fn of(held: &[PartitionHoldings], against: Option<&Path>) -> Outcome<Self> {
        let held = || held.iter().filter_map(|one| one.holdings.as_ref().ok());
        Ok(Self {
            stored_bytes: held().map(|held| held.part_bytes + held.index_bytes).sum(),
            stored_bytes_without_indexes: held()
                .map(|held| held.part_bytes.saturating_sub(held.lookup_bytes))
                .sum(),
            uncompacted: held().map(|held| held.uncompacted).sum(),
            against: against.map(Against::of).transpose()?,
        })
    }

    pub(super) fn rows(&self) -> [(&'static str, String); 3] {
        [
            ("parts and indexes", self.show(self.stored_bytes)),
            ("the same without indexes", self.show(self.stored_bytes_without_indexes)),
            ("events in no part yet", grouped(self.uncompacted)),
        ]
    }

    fn show(&self, bytes: u64) -> String {
        let share = self.against.as_ref().filter(|against| against.against_bytes > 0).map(|against| {
            let percent = 100.0 * bytes as f64 / against.against_bytes as f64;
            format!(", {percent:.2} % of {}", against.against.display())
        });
        format!("{} bytes{}", grouped(bytes), share.unwrap_or_default())
    }
}

impl Against {
    fn of(file: &Path) -> Outcome<Self> {
        let about = std::fs::metadata(file)
            .map_err(|e| Failure::usage(format!("cannot compare with {}: {e}", file.display())))?;
        Ok(Self { against: file.to_owned(), against_bytes: about.len() })
    }
}
