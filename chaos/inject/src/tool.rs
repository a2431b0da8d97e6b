//! The programs of the system that do what the standard library cannot, each with the Debian package to install when it
//! is not there.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result, While};

/// Where administrative programs live, which an unprivileged user's `PATH` often leaves out.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// One program of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

pub(crate) const IP: Tool = Tool { program: "ip", package: "iproute2" };
pub(crate) const TC: Tool = Tool { program: "tc", package: "iproute2" };
pub(crate) const NFT: Tool = Tool { program: "nft", package: "nftables" };
pub(crate) const NSENTER: Tool = Tool { program: "nsenter", package: "util-linux" };
pub(crate) const MOUNT: Tool = Tool { program: "mount", package: "mount" };
pub(crate) const UMOUNT: Tool = Tool { program: "umount", package: "mount" };
pub(crate) const LOSETUP: Tool = Tool { program: "losetup", package: "mount" };
pub(crate) const FSFREEZE: Tool = Tool { program: "fsfreeze", package: "util-linux" };
pub(crate) const MKFS: Tool = Tool { program: "mkfs.ext4", package: "e2fsprogs" };
pub(crate) const FILEFRAG: Tool = Tool { program: "filefrag", package: "e2fsprogs" };
pub(crate) const CP: Tool = Tool { program: "cp", package: "coreutils" };
pub(crate) const GCC: Tool = Tool { program: "gcc", package: "gcc libc6-dev" };

impl Tool {
    /// Where the program is, if it is installed.
    pub(crate) fn find(self) -> Option<PathBuf> {
        std::env::split_paths(&search_path()).map(|dir| dir.join(self.program)).find(|path| path.is_file())
    }

    /// The program, to be run with plain messages and administrative programs in its path.
    pub(crate) fn command(self) -> Command {
        let mut command = Command::new(self.program);
        command.env("LC_ALL", "C").env("PATH", search_path());
        command
    }

    /// Runs the program to its end and gives what it printed.
    pub(crate) fn run<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Result<String> {
        self.finish(self.command().args(args))
    }

    /// As [`Tool::run`] with the arguments in one string, separated by spaces: for arguments that hold none.
    pub(crate) fn line(self, args: &str) -> Result<String> {
        self.run(args.split_whitespace())
    }

    /// As [`Tool::line`] with one more argument that may hold spaces.
    pub(crate) fn on(self, args: &str, path: &Path) -> Result<String> {
        self.finish(self.command().args(args.split_whitespace()).arg(path))
    }

    /// Runs a prepared command of this program to its end and gives what it printed.
    pub(crate) fn finish(self, command: &mut Command) -> Result<String> {
        let ended = command.stdin(Stdio::null()).output();
        self.judge(command, ended)
    }

    /// As [`Tool::finish`] with `input` as its standard input.
    pub(crate) fn feed(self, command: &mut Command, input: &str) -> Result<String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ended = command.spawn().and_then(|mut child| {
            let mut stdin = child.stdin.take().expect("the standard input was asked for as a pipe");
            // A program that ends before it read everything says why in its own words.
            let _ = stdin.write_all(input.as_bytes());
            drop(stdin);
            child.wait_with_output()
        });
        self.judge(command, ended)
    }

    fn judge(self, command: &Command, ended: std::io::Result<Output>) -> Result<String> {
        if self.find().is_none() {
            return Err(Error::Missing { program: self.program, package: self.package });
        }
        let output = ended.during(|| format!("running {}", shown(command)))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        let why = if said.is_empty() { output.status.to_string() } else { said };
        Err(Error::Refused { command: shown(command), why })
    }
}

/// This process's path, and where administrative programs are.
pub(crate) fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":");
    path.push(SBIN);
    path
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: Tool = Tool { program: "chronos-no-such-program", package: "no-such-package" };
    const SH: Tool = Tool { program: "sh", package: "dash" };

    #[test]
    fn a_program_that_is_not_there_is_named_with_its_package() {
        let error = ABSENT.line("--version").unwrap_err().to_string();
        assert_eq!(
            error,
            "chronos-no-such-program is not installed; on Debian: apt-get install no-such-package"
        );
        assert_eq!(ABSENT.find(), None);
    }

    #[test]
    fn a_refusal_carries_the_command_and_its_words() {
        let error = SH.run(["-c", "echo no such thing >&2; exit 3"]).unwrap_err().to_string();
        assert_eq!(error, "`sh -c echo no such thing >&2; exit 3` failed: no such thing");
        let silent = SH.run(["-c", "exit 3"]).unwrap_err().to_string();
        assert!(silent.ends_with("exit status: 3"), "{silent}");
    }

    #[test]
    fn what_is_fed_is_read() {
        assert_eq!(SH.feed(SH.command().args(["-c", "cat"]), "a line\n").unwrap(), "a line\n");
    }
}
