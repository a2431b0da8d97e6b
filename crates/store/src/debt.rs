//! What waits to get into parts.

use chronos_domain::LogIndex;

use crate::state::State;

/// How far parts are behind what was applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debt {
    /// Generations that are cut and not yet compacted.
    pub sealed_generations: u64,
    /// Their events.
    pub events: u64,
    /// What their events say, in bytes before any packing.
    pub bytes: u64,
    /// Events after the last cut.
    pub uncut_events: u64,
    /// Entries of the log that were applied after the last cut, whether they added events or not; zero where only the
    /// consensus layer has spoken since.
    pub uncut_entries: u64,
    /// Entries of the log that were applied after the last one that parts have taken in, if any of them has commands:
    /// the log cannot be purged of them. Zero where only the consensus layer has spoken since: then there is nothing to
    /// take in.
    pub log_index_behind: u64,
    /// The last of the entries that parts have taken in: the log may be purged up to it.
    pub purgeable: LogIndex,
}

impl Debt {
    pub(crate) fn of(state: &State) -> Debt {
        let layers = &state.layers;
        let kept = layers.shelf().manifest.applied;
        let sealed = || layers.sealed().iter().map(|sealed| &sealed.events);
        let cut = layers.sealed().back().map_or(kept, |last| last.cut.index);
        Debt {
            sealed_generations: sealed().count() as u64,
            events: sealed().map(|events| events.events()).sum(),
            bytes: sealed().map(|events| events.raw_bytes()).sum(),
            uncut_events: layers.active().events(),
            uncut_entries: if state.spoken() > cut { state.applied().get() - cut.get() } else { 0 },
            log_index_behind: if state.spoken() > kept { state.applied().get() - kept.get() } else { 0 },
            purgeable: kept,
        }
    }
}
