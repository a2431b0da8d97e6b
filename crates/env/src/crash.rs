//! Crash points: places with a name, put where a crash would be interesting, at which a test can end the node.
//!
//! In the real world the process aborts there (nothing is flushed, no destructor runs); in a simulation the disk
//! loses power, so that the code after the point goes on but can no longer change or learn anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::sim::SimDisk;

const CRASH_AT: &str = "CHRONOS_CRASH_AT";

/// A handle to the crash points of one node. Clones share arming and counts.
#[derive(Clone)]
pub struct CrashPoints {
    state: Arc<Mutex<State>>,
    tally: SharedTally,
    end: End,
}

/// What became of crash points, by their names, over all nodes of a world and all their lives. What is absent never was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrashTally {
    /// How often each was passed.
    pub passed: BTreeMap<&'static str, u64>,
    /// How often a node ended at each.
    pub crashed: BTreeMap<&'static str, u64>,
}

pub(crate) type SharedTally = Arc<Mutex<CrashTally>>;

#[derive(Default)]
struct State {
    hits: BTreeMap<&'static str, u64>,
    armed: Option<Armed>,
}

struct Armed {
    name: String,
    left: u64,
}

#[derive(Clone)]
enum End {
    Abort,
    PowerOff(SimDisk),
}

impl CrashPoints {
    pub(crate) fn real() -> CrashPoints {
        let points = CrashPoints { state: Arc::default(), tally: Arc::default(), end: End::Abort };
        if let Ok(wanted) = std::env::var(CRASH_AT) {
            let (name, nth) = parse(&wanted).unwrap_or_else(|| {
                panic!(
                    "{CRASH_AT} is {wanted:?} but must be name:n with n counted from 1, as in wal.synced:3"
                )
            });
            points.arm(name, nth);
        }
        points
    }

    pub(crate) fn sim(disk: SimDisk, tally: SharedTally) -> CrashPoints {
        CrashPoints { state: Arc::default(), tally, end: End::PowerOff(disk) }
    }

    /// Ends the node at the `nth` hit of `name` from now on, counted from 1. Replaces an earlier arming.
    pub(crate) fn arm(&self, name: &str, nth: u64) {
        assert!(nth >= 1, "crash point {name} cannot be armed for hit 0: hits are counted from 1");
        self.state.lock().armed = Some(Armed { name: name.to_owned(), left: nth });
    }

    /// Takes an arming back.
    pub(crate) fn disarm(&self) {
        self.state.lock().armed = None;
    }

    /// Whether one is armed and was not met.
    pub(crate) fn is_armed(&self) -> bool {
        self.state.lock().armed.is_some()
    }

    /// Takes over what is armed there and was not met.
    pub(crate) fn go_on_from(&self, earlier: &CrashPoints) {
        self.state.lock().armed = earlier.state.lock().armed.take();
    }

    /// Passes the crash point `name`. Usually does nothing but count.
    pub fn hit(&self, name: &'static str) {
        let is_due = self.count(name);
        self.tally.lock().count(name, is_due);
        if !is_due {
            return;
        }
        match &self.end {
            End::Abort => {
                eprintln!("{CRASH_AT}: aborting at crash point {name}");
                std::process::abort();
            }
            End::PowerOff(disk) => disk.power_off(),
        }
    }

    /// How often each point was passed so far, by name; a point never passed is absent. For tests that must prove
    /// that they reached every point.
    pub fn hits(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().hits.clone()
    }

    /// Counts the hit; true when it is the one that was armed.
    fn count(&self, name: &'static str) -> bool {
        let mut state = self.state.lock();
        *state.hits.entry(name).or_default() += 1;
        let Some(armed) = state.armed.as_mut().filter(|armed| armed.name == name) else { return false };
        armed.left -= 1;
        let due = armed.left == 0;
        if due {
            state.armed = None;
        }
        due
    }
}

impl CrashTally {
    fn count(&mut self, name: &'static str, is_end: bool) {
        *self.passed.entry(name).or_default() += 1;
        if is_end {
            *self.crashed.entry(name).or_default() += 1;
        }
    }
}

fn parse(wanted: &str) -> Option<(&str, u64)> {
    let (name, nth) = wanted.rsplit_once(':')?;
    let nth = nth.parse().ok().filter(|nth| *nth >= 1)?;
    (!name.is_empty()).then_some((name, nth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_to_crash_is_a_name_and_a_count_from_one() {
        assert_eq!(parse("wal.synced:3"), Some(("wal.synced", 3)));
        assert_eq!(parse("a:b:1"), Some(("a:b", 1)));
        for wrong in ["", "wal.synced", "wal.synced:0", "wal.synced:x", ":1"] {
            assert_eq!(parse(wrong), None, "{wrong:?} was accepted");
        }
    }
}
