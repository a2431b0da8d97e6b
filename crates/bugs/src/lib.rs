//! Deliberate defects, to see that the harness finds them: each stands in the product where such a bug would really be,
//! and is there only in a process in which it was planted.
//!
//! ```text
//!   product    if bugs::is_seeded(Bug::M7) { … }     a constant `false` without the feature: the branch is not compiled in
//!   harness    bugs::plant(Bug::M7)                  once in a process, before anything of the product runs
//! ```
//!
//! Invariants:
//!
//! * nothing is planted that was not asked for, and never two at once;
//! * without the feature `seeded-bugs` nothing can be planted, and with it nothing compiles where `debug_assertions` are
//!   off: neither can a release build be made with it, nor does a build that has it pass for one.
//!
//! A crate of its own, without dependencies: the SDK has defects too, and must not depend on what nodes are made of; and the
//! feature is of this crate alone, so nobody has to pass it on.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(all(feature = "seeded-bugs", not(debug_assertions)))]
compile_error!(
    "chronos-bugs: the feature `seeded-bugs` puts deliberate defects into the product, and no release build may contain them; \
     build with `--profile dst`, which is as fast and keeps its assertions, or leave the feature out"
);

use core::fmt;
#[cfg(feature = "seeded-bugs")]
use core::sync::atomic::{AtomicU8, Ordering};

macro_rules! bugs {
    ($($name:ident = $number:literal, $statement:literal;)*) => {
        /// What can be planted. Numbers are those of the verification plan, and never given to another one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Bug { $(#[doc = $statement] $name = $number,)* }

        impl Bug {
            /// All of them, in the order of their numbers.
            pub const ALL: [Bug; [$($number),*].len()] = [$(Bug::$name),*];

            /// What it is called: `M7`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Bug::$name => stringify!($name),)* }
            }

            /// What is wrong, in one line.
            #[must_use]
            pub const fn statement(self) -> &'static str {
                match self { $(Bug::$name => $statement,)* }
            }
        }
    };
}

bugs! {
    M1 = 1, "an append is acknowledged before the log is synced";
    M2 = 2, "a vote counts as saved before it is synced";
    M3 = 3, "after a restart an earlier vote is read than the one that was cast";
    M4 = 4, "entries count as committed as soon as they are appended";
    M5 = 5, "a leader answers strong reads without asking whether it still leads";
    M6 = 6, "the ids of events that have gone into parts, of which a snapshot consists, are forgotten";
    M7 = 7, "what an append expects is checked before it is proposed, and not when it is applied";
    M8 = 8, "recovery cuts the log at the first frame that is not as written, wherever that is";
    M9 = 9, "compaction removes its sources before the manifest without them is durable";
    M10 = 10, "the directory is not synced after a segment got its name";
    M11 = 11, "a subscription loses the events between the end of catching up and the beginning of live ones";
    M12 = 12, "a failed sync is tried again, and believed";
    M13 = 13, "the applied entry is noted before what it did";
    M14 = 14, "removing a fork removes a part that its parent shares";
    M15 = 15, "a tenant is told from another by the beginning of its name";
    M16 = 16, "the SDK gives events new ids when it tries again";
    M17 = 17, "the SDK reports a deadline as a definite failure";
    M18 = 18, "a machine that lost its disk is given its old node id";
    M19 = 19, "a call to another node waits for ever";
    M20 = 20, "a file from another node is taken without comparing its hash";
}

impl Bug {
    /// The bug that is called so: `M7`.
    #[must_use]
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| bug.name() == name)
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a bug cannot be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPlanted {
    /// The process was built without the feature `seeded-bugs`.
    NotBuilt,
    /// Another one is there already.
    Taken(Bug),
}

impl fmt::Display for NotPlanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotPlanted::NotBuilt => f.write_str("this program was built without the feature seeded-bugs"),
            NotPlanted::Taken(bug) => {
                write!(f, "{bug} is planted in this process already; plant another one in another process")
            }
        }
    }
}

impl core::error::Error for NotPlanted {}

/// Whether anything can be planted in this process.
pub const CAN_BE_PLANTED: bool = cfg!(feature = "seeded-bugs");

/// 0 for none.
#[cfg(feature = "seeded-bugs")]
static PLANTED: AtomicU8 = AtomicU8::new(0);

/// Plants a bug, for as long as this process lives. To be called before anything of the product runs: what has run without
/// it says nothing.
///
/// # Errors
/// See [`NotPlanted`]; nothing has changed then.
#[cfg(feature = "seeded-bugs")]
pub fn plant(bug: Bug) -> Result<(), NotPlanted> {
    let planted = PLANTED.compare_exchange(0, bug as u8, Ordering::Relaxed, Ordering::Relaxed);
    planted
        .map(drop)
        .map_err(|_| NotPlanted::Taken(planted_here().expect("the number that was there is one of a bug")))
}

/// Plants nothing: see [`NotPlanted::NotBuilt`].
///
/// # Errors
/// Always.
#[cfg(not(feature = "seeded-bugs"))]
pub fn plant(_: Bug) -> Result<(), NotPlanted> {
    Err(NotPlanted::NotBuilt)
}

/// What is planted in this process.
#[cfg(feature = "seeded-bugs")]
#[must_use]
pub fn planted_here() -> Option<Bug> {
    let number = PLANTED.load(Ordering::Relaxed);
    Bug::ALL.into_iter().find(|bug| *bug as u8 == number)
}

/// What is planted in this process: nothing.
#[cfg(not(feature = "seeded-bugs"))]
#[must_use]
pub const fn planted_here() -> Option<Bug> {
    None
}

/// Whether this very bug is planted in this process.
#[cfg(feature = "seeded-bugs")]
#[inline]
#[must_use]
pub fn is_seeded(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as u8
}

/// No bug is planted in this process.
#[cfg(not(feature = "seeded-bugs"))]
#[inline]
#[must_use]
pub const fn is_seeded(_: Bug) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_found_by_its_name_and_by_no_other() {
        for bug in Bug::ALL {
            assert_eq!(Bug::named(bug.name()), Some(bug));
        }
        for stranger in ["", "M", "M0", "M21", "7", "m7", "M7 ", "M+7", "M256"] {
            assert_eq!(Bug::named(stranger), None, "{stranger:?}");
        }
    }

    /// One test, because a process has one ground to plant in.
    #[test]
    fn nothing_is_planted_unless_it_is_planted_and_then_nothing_else_is() {
        assert_eq!(planted_here(), None);
        assert!(
            Bug::ALL.into_iter().all(|bug| !is_seeded(bug)),
            "something is planted that nobody asked for"
        );
        if !CAN_BE_PLANTED {
            assert_eq!(plant(Bug::M7), Err(NotPlanted::NotBuilt));
            assert!(
                Bug::ALL.into_iter().all(|bug| !is_seeded(bug)),
                "something is planted without the feature"
            );
            return;
        }
        assert_eq!(plant(Bug::M7), Ok(()));
        assert_eq!(plant(Bug::M1), Err(NotPlanted::Taken(Bug::M7)));
        assert_eq!(planted_here(), Some(Bug::M7));
        let seeded: [bool; Bug::ALL.len()] = Bug::ALL.map(is_seeded);
        assert_eq!(seeded.iter().filter(|is| **is).count(), 1);
        assert!(is_seeded(Bug::M7));
    }
}
