//! What became of the events of one import.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chronos_client::{Counters, Counts};
use clap::ValueEnum;
use serde::Serialize;

use super::cut::Batch;
use super::progress::{Progress, per_second};
use super::settle::{Ack, Witness};
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

/// What to do about a line that cannot be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// Import what stands before it, nothing after it, and fail.
    #[default]
    Stop,
    /// Report it and go on.
    Skip,
}

/// Counts, and tells of what went wrong on standard error.
pub(crate) struct Tally {
    source: PathBuf,
    on_error: OnError,
    progress: Progress,
    read: AtomicU64,
    stored: AtomicU64,
    already: AtomicU64,
    skipped: AtomicU64,
    way: Arc<Counters>,
}

/// The end of an import, as it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Events that the source holds, wrong lines included.
    pub(crate) read: u64,
    pub(crate) stored: u64,
    pub(crate) already_there: u64,
    pub(crate) skipped: u64,
    pub(crate) seconds: f64,
    pub(crate) events_per_second: u64,
    /// Attempts of batches after one that failed.
    pub(crate) retries: u64,
    /// How often a node named another one as the leader.
    pub(crate) redirects: u64,
}

impl Tally {
    /// `way` counts what finding the way to the leaders costs.
    pub(crate) fn new(source: PathBuf, on_error: OnError, progress: Progress, way: Arc<Counters>) -> Self {
        let [read, stored, already, skipped] = [const { AtomicU64::new(0) }; 4];
        Self { source, on_error, progress, read, stored, already, skipped, way }
    }

    /// One more event, or line that should have been one, was read.
    pub(crate) fn read(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells of a line that cannot be stored; an error when the import must stop there.
    pub(crate) fn bad_line(&self, line: u64, reason: &str) -> Outcome {
        let sentence = format!("{}:{line}: {reason}", self.source.display());
        match self.on_error {
            OnError::Stop => Err(Failure::new(Exit::Failed, sentence)),
            OnError::Skip => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                self.progress.say(&sentence);
                Ok(())
            }
        }
    }

    /// Tells something on standard error.
    pub(crate) fn say(&self, sentence: &str) {
        self.progress.say(sentence);
    }

    /// Counts what the source itself could not turn into events.
    pub(crate) fn skip(&self, events: u64) {
        self.skipped.fetch_add(events, Ordering::Relaxed);
    }

    /// Takes the bar away and adds up.
    pub(crate) fn finish(&self) -> Summary {
        self.progress.clear();
        let [read, stored, already_there, skipped] = [&self.read, &self.stored, &self.already, &self.skipped]
            .map(|count| count.load(Ordering::Relaxed));
        let seconds = self.progress.seconds();
        let events_per_second = per_second(stored + already_there, seconds);
        let Counts { retries, redirects, .. } = self.way.counts();
        Summary { read, stored, already_there, skipped, seconds, events_per_second, retries, redirects }
    }
}

impl Witness for Tally {
    fn acknowledged(&self, batch: &Batch, ack: &Ack) {
        let events = batch.lines.len() as u64;
        let count = if ack.deduplicated { &self.already } else { &self.stored };
        count.fetch_add(events, Ordering::Relaxed);
        self.progress.add(events);
    }

    fn refused(&self, line: u64, why: &Failure) -> Outcome {
        self.bad_line(line, &why.to_string()).map_err(|failure| Failure::new(why.exit(), failure))
    }
}

impl Summary {
    pub(crate) fn print(&self, format: Format) -> Outcome {
        let mut out = Out::new(format);
        match format {
            Format::Json => out.object(self)?,
            Format::Table => {
                let mut table = Table::new(&[("EVENTS", Align::Left), ("", Align::Right)]);
                let rows = [
                    ("read", self.read),
                    ("stored", self.stored),
                    ("already there", self.already_there),
                    ("skipped", self.skipped),
                    ("per second", self.events_per_second),
                ];
                let way = [("retries", self.retries), ("redirects", self.redirects)];
                // Of interest only where there were any.
                for (name, count) in rows.into_iter().chain(way.into_iter().filter(|(_, count)| *count > 0)) {
                    table.row([name.to_owned(), grouped(count)]);
                }
                out.table(&table)?;
                if let Some(sentence) = self.sentence() {
                    out.line(sentence)?;
                }
            }
        }
        out.finish()
    }

    /// What the counts mean, where that is easily overlooked.
    fn sentence(&self) -> Option<String> {
        let nothing_new = self.stored == 0 && self.already_there > 0;
        match (nothing_new, self.skipped) {
            (false, 0) => None,
            (true, 0) => Some("nothing new: every event was there already".to_owned()),
            (nothing_new, skipped) => {
                let begin = if nothing_new { "nothing new, and " } else { "" };
                Some(format!("{begin}{} skipped, which is told of on standard error", grouped(skipped)))
            }
        }
    }

    /// The failure that ended it, with what is safe nevertheless.
    pub(crate) fn interrupted(&self, why: &Failure) -> Failure {
        let (stored, already) = (grouped(self.stored), grouped(self.already_there));
        let text = format!(
            "{why}\n{stored} events were stored before that, {already} were there already; \
             run the same import again to go on"
        );
        Failure::new(why.exit(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_events_are_never_said_to_be_there() {
        let sentence = |stored, already_there, skipped| {
            let read = stored + already_there + skipped;
            let (seconds, events_per_second) = (1.0, read);
            let (retries, redirects) = (0, 0);
            Summary { read, stored, already_there, skipped, seconds, events_per_second, retries, redirects }
                .sentence()
        };
        assert_eq!(sentence(5, 0, 0), None);
        assert_eq!(sentence(0, 0, 0), None);
        assert_eq!(sentence(0, 5, 0).unwrap(), "nothing new: every event was there already");
        assert_eq!(
            sentence(0, 5, 1).unwrap(),
            "nothing new, and 1 skipped, which is told of on standard error"
        );
        assert_eq!(sentence(3, 5, 2000).unwrap(), "2,000 skipped, which is told of on standard error");
    }
}
