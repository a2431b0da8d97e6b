//! What imports make of bytes that are at hand, without a server to send it to: the whole way of a file up to the events
//! it would store. For whoever has to know that any bytes are read or refused, and how.

use std::io;

use chronos_block::Draft;

use crate::failure::Failure;
use crate::git::events::History;
use crate::git::log::Commits;
use crate::ingest::chunks::{Chunks, Source};
use crate::ingest::lines::{self, Format, Numbering};

/// What became of one line that holds anything.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// The event it is, or why it is none.
    pub event: Result<Draft, String>,
}

/// The lines of a file of events, compressed or not, as `chronos import` reads them; `None` where the file cannot be read on.
pub fn lines(file: Vec<u8>, format: Format) -> impl Iterator<Item = Option<Line>> {
    let mut numbering = Numbering::default();
    let chunks = Source::of(file).map(Chunks::new).into_iter().flatten();
    chunks.flat_map(move |chunk: io::Result<_>| {
        let Ok(chunk) = chunk else { return vec![None] };
        let read = lines::parse(&chunk, format).into_iter();
        let line = |read: lines::Read| match read {
            Ok((number, parsed)) => Line { number, event: Ok(numbering.item(number, parsed).draft) },
            Err(bad) => Line { number: bad.line, event: Err(bad.reason) },
        };
        read.map(line).map(Some).collect()
    })
}

/// The events of what `git log` has written about a repository of this name, up to where it is no such thing.
///
/// # Errors
/// When the name cannot name a repository.
pub fn git_history(log: &[u8], name: &str) -> Result<Vec<Draft>, String> {
    let mut history = History::new(name).map_err(|failure: Failure| failure.to_string())?;
    let commits = Commits::new(log).map_while(Result::ok);
    Ok(commits.flat_map(|commit| history.events(&commit)).collect())
}
