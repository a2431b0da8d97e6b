//! How commands that start a server of their own end when somebody ends them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::server::command;

/// A command with a server or a cluster of its own, in temporary directories of the test's.
struct Owner {
    child: Child,
    temporary: tempfile::TempDir,
}

impl Owner {
    /// Returns when its first server has a directory.
    fn start(args: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = command(args);
        command.env("TMPDIR", temporary.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut owner = Self { child: command.spawn().unwrap(), temporary };
        while owner.servers().is_empty() {
            assert_eq!(owner.child.try_wait().unwrap(), None, "{args:?} ended before its server was there");
            std::thread::yield_now();
        }
        owner
    }

    /// The directory of its server, once that is there.
    fn home(&self) -> Option<PathBuf> {
        fs::read_dir(self.temporary.path()).unwrap().next().map(|entry| entry.unwrap().path())
    }

    /// The directory of its first server.
    fn first(&self) -> Option<PathBuf> {
        let home = self.home()?;
        let of_cluster = home.join("n1");
        Some(if of_cluster.exists() { of_cluster } else { home })
    }

    /// Its servers' processes, once the first holds its data directory.
    fn servers(&self) -> Vec<Pid> {
        if !self.first().is_some_and(|first| first.join("data/wal").exists()) {
            return Vec::new();
        }
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let children = |task: PathBuf| fs::read_to_string(task.join("children")).ok();
        // Of whichever thread of the command started them.
        let all: String = tasks.filter_map(|task| children(task.ok()?.path())).collect();
        all.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

const OWNERS: [&[&str]; 3] = [
    &["demo", "--events", "100000000"],
    &["torture", "--rounds", "1000000", "--fault", "pause"],
    &["bench", "append", "--duration", "600s", "--entities", "10"],
];

#[test]
fn who_is_asked_to_stop_stops_his_server_and_removes_its_directory() {
    for args in OWNERS {
        for signal in [Signal::TERM, Signal::INT] {
            let mut owner = Owner::start(args);
            let servers = owner.servers();
            owner.signal(signal);
            assert_eq!(owner.child.wait().unwrap().code(), Some(1), "{args:?}");
            let mut said = String::new();
            owner.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert!(said.contains("interrupted"), "{args:?}: {said}");
            let left = servers.into_iter().filter(|server| test_kill_process(*server).is_ok());
            assert_eq!(left.count(), 0, "{args:?}: a server is still there");
            assert!(is_empty(owner.temporary.path()), "{args:?}: the directory is still there");
        }
    }
}

#[test]
fn a_server_does_not_outlive_an_owner_that_was_killed() {
    let mut owner = Owner::start(OWNERS[0]);
    let log = owner.first().unwrap().join("server.log");
    let servers = owner.servers();
    owner.signal(Signal::KILL);
    owner.child.wait().unwrap();
    // Whoever adopts it may take its time to notice that it ended; a test without a server to end it runs for ever.
    while servers.iter().any(|server| runs(*server)) {
        std::thread::yield_now();
    }
    let text = fs::read_to_string(&log).unwrap();
    assert!(!text.contains("panicked"), "{text}");
}

/// Whether the process is there and not just waiting to be buried.
fn runs(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}
