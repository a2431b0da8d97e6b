//! What a process has used, read from `/proc`.

use std::fs;
use std::path::Path;

/// Used by all threads that are alive. Take two and subtract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds on a processor.
    pub cpu_nanos: u64,
    /// How often a thread went to sleep for want of work: about one for each time work went from one thread to another.
    pub sleeps: u64,
}

impl Usage {
    /// Of a process by its id; what cannot be read counts as nothing.
    #[must_use]
    pub fn of(process: u32) -> Usage {
        let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Usage::default() };
        threads.flatten().map(|thread| Usage::of_thread(&thread.path())).fold(Usage::default(), Usage::plus)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Usage) -> Usage {
        Usage { cpu_nanos: self.cpu_nanos + other.cpu_nanos, sleeps: self.sleeps + other.sleeps }
    }

    fn of_thread(thread: &Path) -> Usage {
        let schedstat = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
        let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
        let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
        Usage { cpu_nanos: number(schedstat.split(' ').next()), sleeps: number(sleeps) }
    }

    /// What was used since `earlier`. Threads that have ended since took their counts with them.
    #[must_use]
    pub fn since(self, earlier: Usage) -> Usage {
        Usage {
            cpu_nanos: self.cpu_nanos.saturating_sub(earlier.cpu_nanos),
            sleeps: self.sleeps.saturating_sub(earlier.sleeps),
        }
    }
}

/// The most physical memory that a process has had at once, in bytes, since it began or since it was told to
/// [forget](forget_peak). Pages of files that the system keeps for it do not count.
///
/// # Errors
/// When the system does not say.
pub fn peak_bytes(process: u32) -> std::io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = peak.and_then(|peak| peak.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes
        .map(|kibibytes| kibibytes << 10)
        .ok_or_else(|| std::io::Error::other("the system does not say VmHWM"))
}

/// From now on the peak counts from what the process has now.
///
/// # Errors
/// When the system does not allow it.
pub fn forget_peak(process: u32) -> std::io::Result<()> {
    // proc(5): 5 resets the peak resident set size.
    fs::write(format!("/proc/{process}/clear_refs"), "5")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_peak_is_remembered_until_it_is_forgotten() {
        let me = std::process::id();
        let held = vec![1_u8; 64 << 20];
        let with = peak_bytes(me).unwrap();
        assert!(with >= held.iter().map(|byte| u64::from(*byte)).sum(), "{with}");
        drop(held);
        // Each thread counts its last few pages for itself before it tells the process.
        let still = peak_bytes(me).unwrap();
        assert!(still + (4 << 20) >= with, "a peak does not sink by itself, from {with} to {still}");
        forget_peak(me).unwrap();
        assert!(peak_bytes(me).unwrap() < with);
    }

    #[test]
    fn a_thread_that_waits_is_seen_to_sleep() {
        let before = Usage::of(std::process::id());
        let (ping, pinged) = channel::<()>();
        let (pong, ponged) = channel::<()>();
        let echo = std::thread::spawn(move || pinged.iter().for_each(|()| pong.send(()).unwrap()));
        for _ in 0..1000 {
            ping.send(()).unwrap();
            ponged.recv().unwrap();
        }
        let used = Usage::of(std::process::id()).since(before);
        assert!(used.sleeps > 100 && used.cpu_nanos > 0, "{used:?}");
        drop(ping);
        echo.join().unwrap();
    }
}
