//! Where a demo's events come from.

use std::path::PathBuf;
use std::str::FromStr;

use chronos_block::Draft;

use super::feed::Feed;
use crate::failure::{Failure, Outcome};
use crate::git::events::History;
use crate::git::log::{Log, repository_name};
use crate::ingest::Item;
use crate::ingest::chunks::{Chunks, Source as Input};
use crate::ingest::lines::{self, Format, Numbering};

/// A source that gives the same events every time it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The seeded order-to-cash feed.
    Generated,
    /// The history of a git repository.
    Git(PathBuf),
    /// NDJSON, as for `chronos import`.
    File(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "generated" => Ok(Self::Generated),
            Some(("git", path)) if !path.is_empty() => Ok(Self::Git(path.into())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(format!("{text:?} is no source; give generated, git:PATH or file:PATH")),
        }
    }
}

/// The events of a source, numbered from 1.
pub(crate) type Items = Box<dyn Iterator<Item = Outcome<Item>> + Send>;

impl Source {
    /// Opens the source at its beginning.
    pub(crate) fn open(&self, seed: u64) -> Outcome<Items> {
        match self {
            Self::Generated => Ok(Box::new(number(Feed::new(seed).map(Ok)))),
            Self::Git(path) => {
                let history = History::new(&repository_name(path)?)?;
                Ok(Box::new(number(git_drafts(Log::open(path)?, history))))
            }
            Self::File(path) => {
                let cannot = |e| Failure::failed(format!("cannot read {}: {e}", path.display()));
                let input = Input::open(path).map_err(cannot)?;
                Ok(Box::new(number(file_drafts(Chunks::new(input), path.clone()))))
            }
        }
    }
}

fn number(drafts: impl Iterator<Item = Outcome<Draft>>) -> impl Iterator<Item = Outcome<Item>> {
    drafts.zip(1..).map(|(draft, line)| draft.map(|draft| Item { draft, line }))
}

fn git_drafts(mut log: Log, mut history: History) -> impl Iterator<Item = Outcome<Draft>> {
    let commits = std::iter::from_fn(move || log.next().transpose());
    commits.flat_map(move |commit| match commit {
        Ok(commit) => history.events(&commit).into_iter().map(Ok).collect(),
        Err(failure) => vec![Err(failure)],
    })
}

fn file_drafts(chunks: Chunks, path: PathBuf) -> impl Iterator<Item = Outcome<Draft>> {
    let mut numbering = Numbering::default();
    chunks.flat_map(move |chunk| -> Vec<Outcome<Draft>> {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(e) => return vec![Err(Failure::failed(format!("cannot read {}: {e}", path.display())))],
        };
        let read = lines::parse(&chunk, Format::Ndjson).into_iter();
        read.map(|read| match read {
            Ok((line, parsed)) => Ok(numbering.item(line, parsed).draft),
            Err(bad) => Err(Failure::failed(format!("{}:{}: {}", path.display(), bad.line, bad.reason))),
        })
        .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_by_a_word_or_a_path() {
        assert_eq!("generated".parse(), Ok(Source::Generated));
        assert_eq!("git:a:b".parse(), Ok(Source::Git("a:b".into())));
        assert_eq!("file:x.zst".parse(), Ok(Source::File("x.zst".into())));
        for text in ["", "git:", "git", "http:x", "generated:1"] {
            assert!(text.parse::<Source>().unwrap_err().contains("git:PATH"), "{text}");
        }
    }

    #[test]
    fn the_same_source_gives_the_same_events_numbered_from_1() {
        let first =
            |n| -> Vec<_> { Source::Generated.open(5).unwrap().take(n).map(Result::unwrap).collect() };
        let (one, two) = (first(50), first(50));
        assert!(one.iter().zip(&two).all(|(a, b)| a.draft == b.draft && a.line == b.line));
        assert_eq!(one[49].line, 50);
    }
}
