//! A process that is killed, paused and started again.

use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::clock::clean_up_after;
use crate::episode::Episode;
use crate::error::{Error, Result, While};
use crate::pace::wait_until;

/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(60);

type Recipe = Box<dyn FnMut() -> Command + Send>;

/// A process and how to start it again. Dropping it kills it.
///
/// Its id stays valid until its end was noticed here, so a signal never hits a stranger.
pub struct Process {
    recipe: Recipe,
    child: Option<Child>,
}

impl Process {
    /// Starts what `recipe` describes; it is asked again at every start.
    ///
    /// # Errors
    /// If it cannot be started. That the program failed right after is not noticed here.
    pub fn start(recipe: impl FnMut() -> Command + Send + 'static) -> Result<Process> {
        let mut process = Process { recipe: Box::new(recipe), child: None };
        process.start_again()?;
        Ok(process)
    }

    /// Starts it once more, after it ended or was killed.
    ///
    /// # Errors
    /// If it still runs or cannot be started.
    pub fn start_again(&mut self) -> Result<()> {
        if self.runs()? {
            return Err(Error::Unfit(format!(
                "process {} still runs: kill it before it is started again",
                self.id()?
            )));
        }
        let mut command = (self.recipe)();
        let child =
            command.spawn().during(|| format!("starting {}", command.get_program().to_string_lossy()))?;
        self.child = Some(child);
        Ok(())
    }

    /// The running child, for its pipes.
    pub fn child(&mut self) -> Option<&mut Child> {
        self.child.as_mut()
    }

    /// The id of the process, while it runs and until its end was noticed.
    ///
    /// # Errors
    /// If it does not run.
    pub fn id(&self) -> Result<u32> {
        self.child.as_ref().map(Child::id).ok_or_else(|| Error::Unfit("the process does not run".into()))
    }

    /// Whether it runs; a paused process does.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.is_some() && self.ended()?.is_none())
    }

    /// How it ended, if it did and this was not asked before.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait().during(|| "asking how a process ended".into())?;
        if status.is_some() {
            clean_up_after(child.id());
            self.child = None;
        }
        Ok(status)
    }

    /// Waits for its end, at most for `limit`; `None` when it then still runs.
    ///
    /// # Errors
    /// If it does not run or the system does not say.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        self.id()?;
        let mut outcome = Ok(None);
        wait_until(limit, || {
            outcome = self.ended();
            !matches!(outcome, Ok(None))
        });
        outcome
    }

    /// SIGKILL, and waits until it is gone: after this it holds no file, port or memory. Nothing happens to one that
    /// does not run.
    ///
    /// # Errors
    /// If the signal cannot be sent, or the process does not die within a minute because it is frozen or waits for a disk: heal that,
    /// and kill it again.
    pub fn kill(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let id = child.id();
        child.kill().during(|| format!("killing process {id}"))?;
        match self.wait(GONE_WITHIN)? {
            Some(_) => Ok(()),
            None => Err(Error::Unfit(format!(
                "process {id} was killed and is still there: it may be frozen or wait for a stalled disk"
            ))),
        }
    }

    /// SIGTERM: asks it to end by itself. See [`Process::wait`].
    ///
    /// # Errors
    /// If it does not run.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGSTOP: from now on it does nothing, while the kernel still accepts connections and data for it.
    ///
    /// # Errors
    /// If it does not run.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: it goes on where it was paused.
    ///
    /// # Errors
    /// If it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// A restart loop: starts it `times` times and kills it `life` after each start, if it did not end before. It does
    /// not run afterwards. Gives how often it ended by itself.
    ///
    /// # Errors
    /// If it cannot be started or killed.
    pub fn crash_loop(&mut self, times: u32, life: Duration) -> Result<u32> {
        self.kill()?;
        let mut own_ends = 0;
        for _ in 0..times {
            self.start_again()?;
            own_ends += u32::from(self.wait(life)?.is_some());
            self.kill()?;
        }
        Ok(own_ends)
    }

    /// From now on it may have at most `files` open at once; what is open stays open. Lasts until the process ends or
    /// the episode does.
    ///
    /// # Errors
    /// If it does not run.
    pub fn limit_files(&self, files: u64) -> Result<Episode> {
        let (id, pid) = (self.id()?, self.pid()?);
        let doing = move || format!("changing the file limit of process {id}");
        // What cannot be read cannot be put back; setting gives what was before.
        let unlimited = rustix::process::getrlimit(Resource::Nofile);
        let before =
            prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(files), maximum: unlimited.maximum });
        let before = before.during(doing)?;
        Ok(Episode::new(format!("process {id} may have {files} files open"), move || {
            match prlimit(Some(pid), Resource::Nofile, before) {
                Ok(_) | Err(rustix::io::Errno::SRCH) => Ok(()),
                Err(error) => Err(error).during(doing),
            }
        }))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid()?;
        kill_process(pid, signal).during(|| format!("sending {signal:?} to process {}", pid.as_raw_nonzero()))
    }

    fn pid(&self) -> Result<Pid> {
        let id = i32::try_from(self.id()?).expect("the kernel counts processes in 22 bits");
        Ok(Pid::from_raw(id).expect("a child is not process 0"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn sleeper() -> Process {
        Process::start(|| {
            let mut command = Command::new("sleep");
            command.arg("600");
            command
        })
        .unwrap()
    }

    fn state_of(id: u32) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    #[test]
    fn a_killed_process_is_gone_and_can_be_started_again() {
        let mut process = sleeper();
        let first = process.id().unwrap();
        assert!(process.start_again().unwrap_err().to_string().contains("still runs"));
        process.kill().unwrap();
        assert!(!process.runs().unwrap());
        assert!(!std::path::Path::new(&format!("/proc/{first}")).exists());
        process.start_again().unwrap();
        assert!(process.runs().unwrap());
    }

    #[test]
    fn a_paused_process_is_stopped_until_it_is_resumed() {
        let process = sleeper();
        let id = process.id().unwrap();
        process.pause().unwrap();
        assert!(wait_until(Duration::from_secs(60), || state_of(id) == 'T'));
        process.resume().unwrap();
        assert!(wait_until(Duration::from_secs(60), || state_of(id) != 'T'));
    }

    #[test]
    fn a_terminated_process_ends_by_that_signal() {
        let mut process = sleeper();
        process.terminate().unwrap();
        let status = process.wait(Duration::from_secs(60)).unwrap().expect("it ends");
        assert_eq!(status.signal(), Some(15));
        assert!(process.terminate().is_err());
    }

    #[test]
    fn a_restart_loop_starts_it_every_time_and_leaves_it_dead() {
        let starts = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = starts.clone();
        let mut process = Process::start(move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Command::new("true")
        })
        .unwrap();
        assert_eq!(process.crash_loop(5, Duration::from_secs(60)).unwrap(), 5);
        assert_eq!(starts.load(std::sync::atomic::Ordering::Relaxed), 6);
        assert!(!process.runs().unwrap());
    }

    #[test]
    fn a_file_limit_holds_for_the_process_until_it_is_healed() {
        let process = sleeper();
        let limits = || std::fs::read_to_string(format!("/proc/{}/limits", process.id().unwrap())).unwrap();
        let soft = || {
            let text = limits();
            let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
            line.split_whitespace().nth(3).unwrap().to_owned()
        };
        let before = soft();
        let limited = process.limit_files(17).unwrap();
        assert_eq!(soft(), "17");
        limited.heal().unwrap();
        assert_eq!(soft(), before);
    }
}
