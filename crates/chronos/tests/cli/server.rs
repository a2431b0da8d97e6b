//! A server process for a test, and runs of the binary against it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_chronos");

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary, with nothing of this process's environment that could reach another server.
pub(crate) fn chronos(args: &[&str]) -> Run {
    finish(command(args), "")
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHRONOS_") {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

pub(crate) fn finish(mut command: Command, input: &str) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running server with a directory of its own.
pub(crate) struct Server {
    home: TempDir,
    child: Child,
    address: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    /// A server in a place where a data directory may be already.
    pub(crate) fn on(home: TempDir) -> Self {
        let (child, address) = spawn(&home.path().join("data"), "warn", Stdio::inherit());
        Self { home, child, address }
    }

    /// A server whose log somebody reads until it has started, and nobody any more.
    pub(crate) fn unread() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (mut child, address) = spawn(&home.path().join("data"), "info", Stdio::piped());
        drop(child.stderr.take());
        Self { home, child, address }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A place for files.
    pub(crate) fn dir(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The binary with arguments, aimed at this server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = command(args);
        command.env("CHRONOS_ADDR", &self.address);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, "")
    }

    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> Run {
        finish(self.command(args), input)
    }

    /// The last object that a successful run prints.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let run = self.run(&[args, &["--output", "json"]].concat());
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        serde_json::from_str(run.stdout.lines().last().expect("an object is printed")).unwrap()
    }

    pub(crate) fn verify(&self) -> Run {
        chronos(&["verify", "--data", self.data().to_str().unwrap()])
    }

    pub(crate) fn verify_json(&self) -> Run {
        chronos(&["verify", "--data", self.data().to_str().unwrap(), "--output", "json"])
    }

    /// The first file of the log.
    pub(crate) fn segment(&self) -> PathBuf {
        let lane = self.data().join("wal/lane-00");
        let mut segments: Vec<PathBuf> = std::fs::read_dir(lane)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
            .collect();
        segments.sort();
        segments.remove(0)
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; the exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    /// Another process on the same directory.
    pub(crate) fn restart(&mut self) {
        (self.child, self.address) = spawn(&self.data(), "warn", Stdio::inherit());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns when the server has said that it listens.
fn spawn(data: &Path, logged: &str, log: Stdio) -> (Child, String) {
    let data = data.to_str().unwrap();
    let mut child = command(&["server", "--listen", "127.0.0.1:0", "--log-filter", logged, "--data", data])
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address =
        line.trim().strip_prefix("listening on ").expect("the server says where it listens").to_owned();
    (child, address)
}
