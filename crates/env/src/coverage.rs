//! Rare events, marked where they happen, so that a campaign can say which of them it has never met.
//!
//! A test in which no follower ever had to cut its log says nothing about cutting logs, however long it ran. So places
//! where something rare happens carry a mark, and whoever runs simulations adds up which marks were passed: one that
//! never was means that the faults or the load are too weak for it, or that it cannot happen and the thought behind it is
//! wrong. (The idea: FoundationDB's test macros, and Antithesis' "sometimes assertions".)
//!
//! ```
//! # fn truncate(after: u64, committed: u64) {
//! chronos_env::sometimes!("raft.log_truncated");
//! chronos_env::sometimes!("raft.truncated_above_commit", after > committed);
//! # }
//! ```
//!
//! * **One list says what there is**: [`RARE`], with where each mark stands and what it means. A mark whose name is not in
//!   it does not compile, and a test reads the sources for the rest: each name stands where the list says, and once.
//! * **Nobody counts for anybody else.** A simulated world counts what happens on its thread while it runs
//!   ([`World::rare`](crate::sim::World::rare)); the next one begins with nothing. A process that asks for it
//!   ([`of_process`]) counts what happens on any of its threads outside of such worlds.
//! * **Counting changes nothing.** A condition is looked at only while somebody counts, so it must do nothing but look.
//!   Where nobody does a mark costs one relaxed load.
//!
//! Marked are events of what exists. For subscriptions and forks, which do not, names are added with them.

mod registered;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

pub use registered::RARE;

/// Counts that something rare has happened, or that it has if a condition holds.
///
/// The name is one of [`coverage::RARE`](crate::coverage::RARE). The condition may be costly, and must change nothing: it
/// is looked at only while somebody counts.
#[macro_export]
macro_rules! sometimes {
    ($name:literal) => {{
        const MARK: $crate::coverage::Mark = $crate::coverage::Mark::named($name);
        if $crate::coverage::somebody_counts() {
            MARK.pass();
        }
    }};
    ($name:literal, $condition:expr) => {{
        const MARK: $crate::coverage::Mark = $crate::coverage::Mark::named($name);
        if $crate::coverage::somebody_counts() && $condition {
            MARK.pass();
        }
    }};
}

/// Something that happens rarely, and that a campaign has to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rare {
    /// What it is called: the area, a dot, and what happened.
    pub name: &'static str,
    /// The file with its mark, from the top of the sources.
    pub file: &'static str,
    /// What has happened when it is counted.
    pub means: &'static str,
}

/// The place of a name in the list.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Mark(usize);

impl Mark {
    /// The one of that name. Without one, whoever marks does not compile.
    pub const fn named(name: &str) -> Mark {
        let mut at = 0;
        while at < RARE.len() {
            if is_same(RARE[at].name, name) {
                return Mark(at);
            }
            at += 1;
        }
        panic!(
            "no rare event of that name: add it to crates/env/src/coverage/registered.rs, with file and meaning"
        )
    }

    /// Counts one, for the world that runs on this thread or else for the process.
    pub fn pass(self) {
        let is_counted =
            HERE.try_with(|here| here.borrow().as_ref().map(|counts| counts.add(self)).is_some());
        if !is_counted.unwrap_or(false)
            && let Some(counts) = OF_PROCESS.get()
        {
            counts.add(self);
        }
    }
}

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// How many count at this moment.
static COUNTING: AtomicUsize = AtomicUsize::new(0);
static OF_PROCESS: OnceLock<Counts> = OnceLock::new();

thread_local! {
    /// Of the world that runs on this thread.
    static HERE: RefCell<Option<Counts>> = const { RefCell::new(None) };
}

/// Whether a mark has to be looked at.
#[doc(hidden)]
#[inline]
pub fn somebody_counts() -> bool {
    COUNTING.load(Ordering::Relaxed) > 0
}

/// What happens from the first call on, on any thread of this process, outside of simulated worlds.
pub fn of_process() -> &'static Counts {
    OF_PROCESS.get_or_init(|| {
        COUNTING.fetch_add(1, Ordering::Relaxed);
        Counts::new()
    })
}

/// How often each mark was passed. Clones count together.
#[derive(Clone)]
pub struct Counts(Arc<[AtomicU64]>);

impl Counts {
    pub(crate) fn new() -> Counts {
        Counts(RARE.iter().map(|_| AtomicU64::new(0)).collect())
    }

    /// By name; what never happened is absent.
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        RARE.iter().map(|rare| rare.name).zip(counts).filter(|(_, count)| *count > 0).collect()
    }

    /// Until the guard goes, what happens on this thread is counted here.
    pub(crate) fn count_here(&self) -> Counting {
        COUNTING.fetch_add(1, Ordering::Relaxed);
        Counting { before: HERE.replace(Some(self.clone())) }
    }

    fn add(&self, mark: Mark) {
        self.0[mark.0].fetch_add(1, Ordering::Relaxed);
    }
}

/// Somebody counts on this thread as long as this lives.
pub(crate) struct Counting {
    before: Option<Counts>,
}

impl Drop for Counting {
    fn drop(&mut self) {
        HERE.set(self.before.take());
        COUNTING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
