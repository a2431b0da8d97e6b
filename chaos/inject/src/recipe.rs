//! How to start a program, as often as one likes.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use crate::error::Result;
use crate::process::Process;
use crate::tool::search_path;

/// A program with its arguments and variables, and with what wraps it so that it runs on its site. It borrows nothing from
/// the site, but what it makes works only while the ground is there.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub(crate) words: Vec<OsString>,
    pub(crate) variables: Vec<(OsString, OsString)>,
}

impl Recipe {
    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, word: impl AsRef<OsStr>) -> Recipe {
        self.words.push(word.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(self, words: impl IntoIterator<Item = S>) -> Recipe {
        words.into_iter().fold(self, Recipe::arg)
    }

    /// Adds a variable, or replaces it.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Recipe {
        self.variables.retain(|(known, _)| known != name.as_ref());
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The program may have at most `files` open at once, from its start; it may raise that to the hard limit by itself. See
    /// [`Process::limit_files`] for one that runs.
    #[must_use]
    pub fn limit_files(mut self, files: u64) -> Recipe {
        let limit = ["sh", "-c", r#"ulimit -S -n "$0" && exec "$@""#].map(OsString::from);
        self.words.splice(0..0, limit.into_iter().chain([files.to_string().into()]));
        self
    }

    /// One command, for pipes and files to be added.
    pub fn command(&self) -> Command {
        let (program, args) = self.words.split_first().expect("a recipe begins with a program");
        let mut command = Command::new(program);
        command.args(args).env("PATH", search_path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A process of it, with this process's input and outputs.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(self) -> Result<Process> {
        Process::start(move || self.command())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_files_holds_from_the_start() {
        let recipe = Recipe { words: vec!["sh".into()], variables: Vec::new() };
        let limited = recipe.args(["-c", "ulimit -S -n; echo $1", "sh", "a b"]).limit_files(19);
        assert_eq!(limited.command().output().unwrap().stdout, b"19\na b\n");
    }

    #[test]
    fn every_command_of_a_recipe_is_the_same() {
        let recipe = Recipe { words: vec!["sh".into()], variables: Vec::new() };
        let recipe = recipe.args(["-c", "echo $A $1", "sh"]).arg("b c").env("A", "x").env("A", "a");
        for _ in 0..2 {
            assert_eq!(recipe.command().output().unwrap().stdout, b"a b c\n");
        }
    }
}
