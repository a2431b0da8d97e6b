//! A network namespace: a machine of its own as far as the network can tell.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Result, While};
use crate::tool::{IP, NSENTER, Tool};

/// One network namespace. Removed by its ground.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub(crate) fn make(name: String) -> Result<Namespace> {
        IP.run(["netns", "add", &name])?;
        let made = Namespace { name };
        made.ip("link set lo up")?;
        Ok(made)
    }

    /// Does something in a thread of its own inside the namespace. Sockets that it opens stay in there wherever they are
    /// used later, so this is how a client of the harness stands beside a node.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    ///
    /// # Panics
    /// If `act` panics.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T> {
        let entering = || format!("entering the namespace {}", self.name);
        let place = File::open(self.path()).during(entering)?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))
                    .during(entering)?;
                Ok(act())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` inside with arguments that hold no spaces.
    pub(crate) fn ip(&self, args: &str) -> Result<String> {
        IP.line(&format!("-n {} {args}", self.name))
    }

    /// `tool`, to be run inside.
    pub(crate) fn command(&self, tool: Tool) -> Command {
        let mut command = NSENTER.command();
        command.args(self.enter().into_iter().skip(1)).arg(tool.program);
        command
    }

    /// The words before a program that let it run inside. Not `ip netns exec`: that gives the program a mount namespace of
    /// its own, whose copies of all mounts keep the file systems of other nodes alive that are to be unmounted.
    pub(crate) fn enter(&self) -> [OsString; 2] {
        [NSENTER.program.into(), format!("--net={}", self.path().display()).into()]
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }
}
