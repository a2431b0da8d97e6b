//! The wall clock of one node, as its processes see it through libfaketime.
//!
//! The library reads a file at every look at the clock, so the clock of a running process changes when the file does.
//! Timers are not touched unless asked for: a program that measures spans with the wall clock is wrong, and a fault
//! that moves both clocks would hide it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result, While};

/// What a clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Milliseconds ahead of the machine's clock; may be negative. Changed while a process runs, it is a jump.
    pub ahead_ms: i64,
    /// How fast it runs, counted from the start of each process: 1,000 is the true speed, 1,100 gains six seconds each
    /// minute, 0 stands still.
    pub speed_per_mille: u32,
}

impl Reading {
    /// What the machine's own clock shows.
    pub const TRUE: Reading = Reading::ahead(0);

    /// The machine's time and this much; behind it when negative.
    pub const fn ahead(ahead_ms: i64) -> Reading {
        Reading { ahead_ms, speed_per_mille: 1000 }
    }

    /// The machine's time at the start of a process, running at this speed from there.
    pub const fn speed(speed_per_mille: u32) -> Reading {
        Reading { ahead_ms: 0, speed_per_mille }
    }

    /// What lets a clock show `wanted` when the machine's own shows `now`: for far years and their edges.
    pub fn showing(wanted: SystemTime, now: SystemTime) -> Reading {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Reading::ahead(wanted.duration_since(now).map_or_else(|behind| -millis(behind.duration()), millis))
    }

    /// In libfaketime's words. Only offsets: it takes absolute times for local ones.
    fn text(self) -> String {
        let sign = if self.ahead_ms < 0 { '-' } else { '+' };
        let (ahead, speed) = (self.ahead_ms.unsigned_abs(), self.speed_per_mille);
        let offset = format!("{sign}{}.{:03}", ahead / 1000, ahead % 1000);
        if speed == 1000 { offset } else { format!("{offset} x{}.{:03}", speed / 1000, speed % 1000) }
    }
}

/// Which clocks of a node's processes can be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// None: processes look at the machine's clock, and a look costs nothing.
    True,
    /// The wall clock. A look at it reads a file.
    Wall,
    /// The wall clock, and timers (the monotonic clock) that are stretched and moved with it. Meant for
    /// [`Reading::speed`]: a timer that jumps back is a fault no machine has.
    WallAndTimers,
}

/// The clock of one node.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
    clocks: Clocks,
    library: Option<PathBuf>,
}

impl Clock {
    /// A true clock that is governed by `file`.
    pub(crate) fn new(file: PathBuf, clocks: Clocks) -> Result<Clock> {
        let library = if clocks == Clocks::True { None } else { Some(find_library()?) };
        let clock = Clock { file, clocks, library };
        clock.write(Reading::TRUE)?;
        Ok(clock)
    }

    /// From now on the node's processes see this, also those that run. [`Reading::TRUE`] heals.
    ///
    /// # Errors
    /// If the ground was laid with [`Clocks::True`], or the file that the library reads cannot be replaced.
    pub fn set(&self, reading: Reading) -> Result<()> {
        if self.clocks == Clocks::True {
            return Err(Error::Unfit("this ground was laid with true clocks: they cannot be set".into()));
        }
        self.write(reading)
    }

    fn write(&self, reading: Reading) -> Result<()> {
        // Renamed into place: a process that looks now sees the old time or the new one, never an empty file.
        let draft = self.file.with_extension("draft");
        let doing = || format!("setting the clock {}", self.file.display());
        fs::write(&draft, reading.text() + "\n").during(doing)?;
        fs::rename(&draft, &self.file).during(doing)
    }

    /// The library that makes it so, if it is installed.
    pub(crate) fn library(&self) -> Option<&Path> {
        self.library.as_deref()
    }

    /// What a process needs in its environment beside the library.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        if self.clocks == Clocks::True {
            return Vec::new();
        }
        let keep_timers = u8::from(self.clocks == Clocks::Wall).to_string();
        vec![
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", keep_timers.clone()),
            // The name in older releases.
            ("DONT_FAKE_MONOTONIC", keep_timers),
        ]
    }
}

/// The variant for programs with threads, in any of the places where distributions put it.
pub(crate) fn find_library() -> Result<PathBuf> {
    let multiarch = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let places = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].into_iter().map(PathBuf::from).chain(multiarch);
    let found = places.map(|place| place.join("faketime/libfaketimeMT.so.1")).find(|path| path.is_file());
    found.ok_or(Error::Missing { program: "libfaketimeMT.so.1", package: "libfaketime" })
}

/// Removes what the library leaves in shared memory when a process is killed. That process must be gone.
pub(crate) fn clean_up_after(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        // Most processes leave nothing.
        let _ = fs::remove_file(Path::new("/dev/shm").join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_said_in_the_librarys_words() {
        assert_eq!(Reading::TRUE.text(), "+0.000");
        assert_eq!(Reading::ahead(3_600_000).text(), "+3600.000");
        assert_eq!(Reading::ahead(-1_050).text(), "-1.050");
        assert_eq!(Reading::speed(1_100).text(), "+0.000 x1.100");
        assert_eq!(Reading { ahead_ms: 5, speed_per_mille: 0 }.text(), "+0.005 x0.000");
    }

    #[test]
    fn a_date_is_shown_by_going_ahead_or_behind() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(Reading::showing(at(2_147_483_647), at(1_000_000_000)), Reading::ahead(1_147_483_647_000));
        assert_eq!(Reading::showing(at(0), at(1_000_000_000)), Reading::ahead(-1_000_000_000_000));
    }

    #[test]
    fn the_file_that_is_read_says_what_was_set() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clock");
        let clock = Clock { file, clocks: Clocks::Wall, library: None };
        clock.set(Reading::TRUE).unwrap();
        assert_eq!(fs::read_to_string(&clock.file).unwrap(), "+0.000\n");
        clock.set(Reading::ahead(86_400_000)).unwrap();
        assert_eq!(fs::read_to_string(&clock.file).unwrap(), "+86400.000\n");
    }

    #[test]
    fn a_true_clock_cannot_be_set_and_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::new(dir.path().join("clock"), Clocks::True).unwrap();
        assert!(clock.set(Reading::ahead(1)).is_err());
        assert!(clock.environment().is_empty());
        assert_eq!(clock.library(), None);
    }
}
