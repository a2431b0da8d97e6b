//! A server process of one's own, for a demo or a benchmark: this very binary, on this machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::failure::{Failure, Outcome};

/// Recovery of a large directory takes a while; a server that says nothing for so long is stuck.
const START_MAX: Duration = Duration::from_secs(120);

/// How long an orderly stop may take.
const STOP_MAX: Duration = Duration::from_secs(60);

/// How long a process that was killed may take to be gone.
const DEATH_MAX: Duration = Duration::from_secs(5);

/// How often a death is looked for.
const DEATH_STEP: Duration = Duration::from_millis(1);

/// How a server is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch<'a> {
    /// Its data is in `data` there, its log in `server.log`.
    pub(crate) home: &'a Path,
    /// Arguments of `chronos server` beside the data directory.
    pub(crate) arguments: &'a [String],
    /// The begin of the line that says that it is ready.
    pub(crate) ready: &'a str,
    /// The network namespace it runs in, when it is not this process's.
    pub(crate) namespace: Option<&'a str>,
}

/// A running server process. Dropping it kills it and waits until it is gone, so that its directory can be removed
/// after that. It stops in order when this process dies without dropping anything.
pub(crate) struct OwnServer {
    child: Child,
    address: String,
    log: PathBuf,
    // Held so that the server can write to its standard output as long as it lives.
    stdout: BufReader<ChildStdout>,
    // Held so that it ends when this process does, in whatever way: the server stops then.
    _stdin: ChildStdin,
}

impl OwnServer {
    /// Starts a server that is alone, on a free port, and waits until it listens.
    pub(crate) async fn start(home: &Path) -> Outcome<Self> {
        let arguments = ["--listen".to_owned(), "127.0.0.1:0".to_owned()];
        Self::launch(Launch { home, arguments: &arguments, ready: LISTENING, namespace: None }).await
    }

    /// Starts a server and waits until it is ready.
    pub(crate) async fn launch(launch: Launch<'_>) -> Outcome<Self> {
        let log = launch.home.join("server.log");
        let mut child = command(launch, &log)?
            .spawn()
            .map_err(|e| Failure::failed(format!("cannot start a server process: {e}")))?;
        let stdout = child.stdout.take().expect("standard output was just piped");
        let stdin = child.stdin.take().expect("standard input was just piped");
        let (address, stdout) = (String::new(), BufReader::new(stdout));
        // From here on whoever gives up waiting drops a server, not just a process.
        let mut server = Self { child, address, log, stdout, _stdin: stdin };
        let said = timeout(START_MAX, server.announcements(launch.ready)).await;
        match said {
            Ok(true) => Ok(server),
            Ok(false) => Err(mute("the server ended before it was ready", &server.log)),
            Err(_) => Err(mute("the server did not get ready", &server.log)),
        }
    }

    /// Reads what it announces up to the line that says that it is ready; false when that never comes.
    async fn announcements(&mut self, ready: &str) -> bool {
        loop {
            let mut line = String::new();
            // An error is an end, too.
            if self.stdout.read_line(&mut line).await.unwrap_or(0) == 0 {
                return false;
            }
            if let Some(address) = line.trim_end().strip_prefix(LISTENING) {
                address.clone_into(&mut self.address);
            }
            if line.starts_with(ready) {
                return true;
            }
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The number of the process.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it the hard way (SIGKILL) and waits until it is gone.
    pub(crate) async fn kill(mut self) -> Outcome {
        self.child.kill().await.map_err(|e| Failure::failed(format!("cannot kill the server: {e}")))
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub(crate) async fn stop(mut self) -> Outcome {
        self.signal(Signal::TERM)?;
        match timeout(STOP_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(mute(&format!("the server stopped with {status}"), &self.log)),
            Ok(Err(error)) => Err(Failure::failed(format!("lost the server process: {error}"))),
            Err(_) => Err(mute("the server did not stop", &self.log)),
        }
    }

    /// Waits until it ends by itself, as the server of a node does that was removed.
    pub(crate) async fn ended(mut self) -> Outcome {
        match timeout(STOP_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.code() == Some(1) => Ok(()),
            Ok(Ok(status)) => Err(mute(&format!("the server ended with {status}"), &self.log)),
            Ok(Err(error)) => Err(Failure::failed(format!("lost the server process: {error}"))),
            Err(_) => Err(mute("the server did not end by itself", &self.log)),
        }
    }

    /// Halts it where it stands (SIGSTOP): its connections stay open, and nobody answers.
    pub(crate) fn pause(&self) -> Outcome {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after a [pause](Self::pause).
    pub(crate) fn resume(&self) -> Outcome {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Outcome {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let Some(pid) = id else { return Err(mute("the server is gone already", &self.log)) };
        kill_process(pid, signal).map_err(|e| Failure::failed(format!("cannot signal the server: {e}")))
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // One that is gone already cannot be killed, and need not be.
        let _ = self.child.start_kill();
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < DEATH_MAX {
            thread::sleep(DEATH_STEP);
        }
    }
}

const LISTENING: &str = "listening on ";

fn command(launch: Launch<'_>, log: &Path) -> Outcome<Command> {
    let failed = |what: &str, error: std::io::Error| Failure::failed(format!("cannot {what}: {error}"));
    let program = std::env::current_exe().map_err(|e| failed("find this program's own file", e))?;
    let log =
        std::fs::File::options().create(true).append(true).open(log).map_err(|e| failed("open a log", e))?;
    let mut command = match launch.namespace {
        None => Command::new(program),
        Some(namespace) => {
            // `ip` becomes the program: the process that is started is the server itself.
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace]).arg(program);
            command
        }
    };
    // What the user's environment says about *their* server must not leak into this one.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHRONOS_") {
            command.env_remove(name);
        }
    }
    command
        .args(["server", "--until-stdin-ends", "--log-filter", "info", "--data"])
        .arg(launch.home.join("data"))
        .args(launch.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log);
    Ok(command)
}

/// The last thing the server logged says more than we can.
fn mute(what: &str, log: &Path) -> Failure {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it logged nothing");
    Failure::failed(format!("{what}; its last words: {last}"))
}
