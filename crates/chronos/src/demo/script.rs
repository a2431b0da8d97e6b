//! Which events take part in a show, and in which portions.

use chronos_domain::PartitionId;
use tokio::sync::mpsc;

use super::source::Source;
use crate::failure::{Failure, Outcome};
use crate::ingest::Item;
use crate::ingest::cut::Size;

/// How many batches a partition's share of the events makes, at least.
const BATCHES_PER_PARTITION: u64 = 10;

/// Items that are read ahead, in handfuls.
const AHEAD: usize = 8;
const HANDFUL: usize = 512;

/// A source that is read from the beginning again and again.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) source: Source,
    pub(crate) seed: u64,
    /// Events that take part.
    pub(crate) events: u64,
}

impl Script {
    /// At most `events` events of a source; all it has when that is left open.
    pub(crate) fn new(source: Source, seed: u64, events: Option<u64>) -> Outcome<Self> {
        let events = match (&source, events) {
            (Source::Generated, Some(events)) => events,
            (_, limit) => count(&source, seed, limit.unwrap_or(u64::MAX))?,
        };
        if events == 0 {
            return Err(Failure::usage("the source has no events to show"));
        }
        Ok(Self { source, seed, events })
    }

    /// A short show needs small batches: whoever is to be killed in mid-write must be writing by then.
    pub(crate) fn batch_size(&self) -> Size {
        let share = self.events / (PartitionId::all().len() as u64 * BATCHES_PER_PARTITION);
        let events = usize::try_from(share).unwrap_or(usize::MAX).clamp(1, Size::DEFAULT.events);
        Size { events, ..Size::DEFAULT }
    }

    /// The items on a thread of its own, from the first one, without those that `leave_out` names.
    pub(crate) fn items(
        &self,
        up_to: u64,
        leave_out: impl Fn(u64) -> bool + Send + 'static,
    ) -> mpsc::Receiver<Outcome<Vec<Item>>> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let script = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut handful = Vec::with_capacity(HANDFUL);
            let items = match script.source.open(script.seed) {
                Ok(items) => items,
                Err(failure) => return drop(sender.blocking_send(Err(failure))),
            };
            for item in items.take(usize::try_from(up_to).unwrap_or(usize::MAX)) {
                match item {
                    Ok(item) if leave_out(item.line) => {}
                    Ok(item) => handful.push(item),
                    Err(failure) => return drop(sender.blocking_send(Err(failure))),
                }
                if handful.len() == HANDFUL && sender.blocking_send(Ok(std::mem::take(&mut handful))).is_err()
                {
                    return;
                }
            }
            // A receiver that is gone does not miss the rest.
            drop(sender.blocking_send(Ok(handful)));
        });
        receiver
    }
}

fn count(source: &Source, seed: u64, limit: u64) -> Outcome<u64> {
    let mut events = 0;
    for item in source.open(seed)?.take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        item?;
        events += 1;
    }
    Ok(events)
}
