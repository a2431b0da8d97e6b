//! `chronos cluster token`

use std::io::{IsTerminal, Read};

use clap::Args;

use crate::failure::{Failure, Outcome};

const EXAMPLES: &str = "\
The token is read from standard input, so that it is in no list of processes and in no history of a shell. The cluster \
keeps only a hash of it.

Examples:
  chronos cluster token < token.txt
  head -c 32 /dev/urandom | base64 | tee token.txt | chronos cluster token
  chronos cluster token --none";

/// Set what a new node must show to be let in
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Token {
    /// Let in whoever asks
    #[arg(long)]
    none: bool,
}

impl Token {
    /// The token to set.
    pub(super) fn read(&self) -> Outcome<Option<String>> {
        if self.none {
            return Ok(None);
        }
        let mut input = std::io::stdin();
        if input.is_terminal() {
            return Err(Failure::usage("give the token on standard input, or --none to need none"));
        }
        let mut text = String::new();
        let read = input.read_to_string(&mut text);
        read.map_err(|error| Failure::usage(format!("cannot read a token from standard input: {error}")))?;
        match text.trim() {
            "" => Err(Failure::usage("the token is empty; give --none to need none")),
            token => Ok(Some(token.to_owned())),
        }
    }
}
