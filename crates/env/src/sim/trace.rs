//! The diary of a simulated run, folded into one number: two runs that did the same things at the same virtual
//! times in the same order have the same hash, and practically only those.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::VirtualTime;

/// A handle to the diary of one world. Clones write to the same one.
#[derive(Clone)]
pub struct Trace {
    time: VirtualTime,
    state: Arc<Mutex<State>>,
}

struct State {
    hash: u64,
    /// Kept only on request: a long run has millions of lines.
    lines: Option<String>,
}

impl Trace {
    pub(crate) fn new(time: VirtualTime) -> Trace {
        let state = State { hash: 0x6a09_e667_f3bc_c908, lines: None };
        Trace { time, state: Arc::new(Mutex::new(state)) }
    }

    /// Folds in something that happened, with the present virtual time. For whatever a run must repeat exactly:
    /// messages, decisions, results.
    pub fn record(&self, what: &str, values: &[u64]) {
        self.enter(what, "", values);
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.state.lock().hash
    }

    /// Keeps the lines from now on, for [`Trace::dump_to`]: to compare two runs whose hashes differ.
    pub fn keep_lines(&self) {
        self.state.lock().lines.get_or_insert_default();
    }

    /// Writes the kept lines to a real file: virtual nanoseconds, what, where, values.
    ///
    /// # Errors
    /// What the system says about writing the file.
    pub fn dump_to(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.state.lock().lines.as_deref().unwrap_or_default())
    }

    pub(super) fn enter(&self, what: &str, place: &str, values: &[u64]) {
        let at =
            u64::try_from(self.time.elapsed().as_nanos()).expect("a simulation spans less than 584 years");
        let mut state = self.state.lock();
        let mut hash = fold(state.hash, at);
        hash = fold_text(fold_text(hash, what), place);
        state.hash = values.iter().fold(fold(hash, values.len() as u64), |hash, value| fold(hash, *value));
        if let Some(lines) = &mut state.lines {
            writeln!(lines, "{at} {what} {place} {values:?}").expect("a string takes whatever is written");
        }
    }
}

fn fold_text(hash: u64, text: &str) -> u64 {
    let words = text.as_bytes().chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    words.fold(fold(hash, text.len() as u64), fold)
}

/// Multiplying spreads a difference upwards, the shift brings it down again.
fn fold(hash: u64, word: u64) -> u64 {
    let mixed = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(entries: &[(&str, &[u64])]) -> u64 {
        let trace = Trace::new(VirtualTime::new());
        entries.iter().for_each(|(what, values)| trace.record(what, values));
        trace.hash()
    }

    #[test]
    fn order_names_values_and_their_borders_all_count() {
        let hashes = [
            hash_of(&[]),
            hash_of(&[("a", &[])]),
            hash_of(&[("a", &[0])]),
            hash_of(&[("a", &[1]), ("b", &[2])]),
            hash_of(&[("b", &[2]), ("a", &[1])]),
            hash_of(&[("a", &[1, 2]), ("b", &[])]),
            hash_of(&[("ab", &[1]), ("", &[2])]),
        ];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len(), "{hashes:x?}");
        assert_eq!(hash_of(&[("a", &[1])]), hash_of(&[("a", &[1])]));
    }

    #[test]
    fn lines_are_kept_from_the_moment_they_are_asked_for() {
        let trace = Trace::new(VirtualTime::new());
        trace.record("early", &[]);
        trace.keep_lines();
        trace.record("late", &[7]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        trace.dump_to(&path).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "0 late  [7]\n");
    }
}
