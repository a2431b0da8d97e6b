//! From generations in memory to parts on disk.
//!
//! A cut ends a generation; compaction takes the cuts in, one after the other, oldest first:
//!
//! ```text
//!  sealed generation ──write──► new part ─┐
//!  old parts, eight neighbours ──merge────┼─► all new files complete, synced, read back
//!  old parts, truncated since ──erase─────┘          │
//!                                          one manifest swap ─► install ─► old files removed ─► log purged (by the caller)
//! ```
//!
//! Invariants:
//!
//! * **A part is a pure function of cuts, events and truncations.** Nothing here asks for the time, the load or the
//!   machine, so that replicas that apply the same log have the same files, whenever each of them compacts.
//! * **One cut, one swap.** Before the swap the old parts and the log hold everything; after it the new parts do. What a
//!   crash leaves over is removed by the next start, which also finds the cut again, because the log decides about cuts.
//! * **The log is purged last**, up to the entry of the cut, after the swap is durable under both names.
//! * **Hashes go on.** Chain and tree head are computed from the events as they were applied, and a part whose own
//!   chain ends elsewhere is never named by a manifest.
//!
//! A [`Compaction`] works in slices, so that whoever drives it can pause in between: throttled by a clock, in a
//! simulation as in the real world.

mod copy;
mod job;
mod plan;
mod setback;

pub use job::{Compaction, Done, Slice};
pub use setback::Setback;

use crate::partition::Partition;

pub(crate) const BEGUN: &str = "store.compact.begun";
pub(crate) const WRITTEN: &str = "store.compact.written";
pub(crate) const REWRITTEN: &str = "store.compact.rewritten";
pub(crate) const SWAPPED: &str = "store.compact.swapped";
pub(crate) const INSTALLED: &str = "store.compact.installed";
pub(crate) const REMOVED: &str = "store.compact.removed";

impl Partition {
    /// Begins to take in the oldest cut that waits; `None` when none does.
    ///
    /// Only one compaction of a partition may be on its way at a time.
    pub fn begin_compaction(&self) -> Option<Compaction> {
        self.oldest_sealed().map(|(sealed, shelf)| Compaction::new(self.clone(), sealed, shelf))
    }

    /// Takes in the oldest cut that waits, from beginning to end; `None` when none does. Blocks. `pace` is told, after
    /// each slice, how many bytes of events it has gone through.
    ///
    /// # Errors
    /// See [`Setback`]: the parts are as they were, and so is the log.
    pub fn compact_step(&self, mut pace: impl FnMut(u64)) -> Result<Option<Done>, Setback> {
        let Some(mut compaction) = self.begin_compaction() else { return Ok(None) };
        loop {
            match compaction.step()? {
                Slice::More { bytes } => pace(bytes),
                Slice::Over(done) => return Ok(Some(done)),
            }
        }
    }

    /// Number of the last cut that is in parts; zero before the first.
    pub fn taken_in(&self) -> u64 {
        self.shelf().manifest.cut
    }

    /// Number of the last cut, in parts or not; zero before the first.
    pub fn last_cut(&self) -> u64 {
        let state = self.shared.state.read();
        let layers = &state.layers;
        layers.sealed().back().map_or(layers.shelf().manifest.cut, |sealed| sealed.cut.number)
    }
}

#[cfg(test)]
mod tests;
