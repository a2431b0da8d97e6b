//! `chronos completions`

use std::io;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::failure::Outcome;

const EXAMPLES: &str = "\
Examples:
  source <(chronos completions bash)
  chronos completions zsh > ~/.zfunc/_chronos
  chronos completions fish > ~/.config/fish/completions/chronos.fish";

/// Print a completion script for a shell
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// Whose
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Outcome {
        generate(self.shell, &mut Cli::command(), "chronos", &mut io::stdout());
        Ok(())
    }
}
