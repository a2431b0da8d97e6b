//! The stage of a demo: a directory of its own, the server process in it, and a way to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chronos_client::Read;
use chronos_domain::PartitionId;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::ledger::{Ledger, Promise};
use super::proof::{Findings, Proof, Seen};
use super::source::Source;
use crate::connect::Connection;
use crate::failure::{Failure, Outcome};
use crate::ingest::Item;
use crate::ingest::cut::Size;
use crate::ingest::intake::Intake;
use crate::own_server::OwnServer;

/// How long a request may take; a demo's disk may be a slow one.
const PATIENCE: Duration = Duration::from_secs(30);

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
    fn batch_size(&self) -> Size {
        let share = self.events / (PartitionId::all().len() as u64 * BATCHES_PER_PARTITION);
        let events = usize::try_from(share).unwrap_or(usize::MAX).clamp(1, Size::DEFAULT.events);
        Size { events, ..Size::DEFAULT }
    }

    /// The items on a thread of its own, from the first one, without those that `leave_out` names.
    fn items(
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

/// The stage.
pub(crate) struct Stage {
    // Before its directory: dropped in this order, no server writes into what is being removed.
    server: OwnServer,
    home: TempDir,
    connection: Connection,
}

impl Stage {
    /// Makes the directory and starts the first server in it.
    pub(crate) async fn set() -> Outcome<Self> {
        let home = tempfile::Builder::new()
            .prefix("chronos-demo-")
            .tempdir()
            .map_err(|e| Failure::failed(format!("cannot make a temporary directory: {e}")))?;
        let server = OwnServer::start(home.path()).await?;
        let connection = Connection::to(&[server.address().to_owned()], PATIENCE).await?;
        Ok(Self { home, server, connection })
    }

    pub(crate) fn address(&self) -> &str {
        self.server.address()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Feeds the script up to an event, without what is acknowledged already.
    pub(crate) async fn feed(&self, script: &Script, up_to: u64, ledger: &Arc<Ledger>) -> Outcome {
        let promised = ledger.clone();
        let mut items = script.items(up_to, move |ordinal| promised.has(ordinal));
        let mut intake = Intake::start(&self.connection.sink(), ledger, script.batch_size());
        while let Some(handful) = items.recv().await {
            for item in handful? {
                intake.take(item).await?;
            }
        }
        intake.finish().await
    }

    /// Feeds the script and kills the server, without a warning, once `acknowledged` events are safe.
    pub(crate) async fn feed_and_kill(
        self,
        script: &Script,
        acknowledged: u64,
        ledger: &Arc<Ledger>,
    ) -> Outcome<TempDir> {
        let mut count = ledger.acknowledged();
        tokio::select! {
            biased; // a source that ends, or a server that dies by itself, comes before the murder
            fed = self.feed(script, script.events, ledger) => fed?,
            reached = count.wait_for(|count| *count >= acknowledged) => drop(reached),
        }
        self.server.kill().await?;
        Ok(self.home)
    }

    /// Starts another server on what the last one left behind.
    pub(crate) async fn reset(home: TempDir) -> Outcome<Self> {
        let server = OwnServer::start(home.path()).await?;
        let connection = Connection::to(&[server.address().to_owned()], PATIENCE).await?;
        Ok(Self { home, server, connection })
    }

    /// Reads back everything and compares it with what was promised.
    pub(crate) async fn prove(&self, promises: Vec<Promise>) -> Outcome<Vec<(PartitionId, Findings)>> {
        let mut proof = Proof::of(promises);
        for partition in PartitionId::all() {
            let mut events = self.connection.read(Read::partition(partition)).await?;
            while let Some(event) = events.next().await? {
                proof.see(&Seen {
                    event_id: event.event_id,
                    entity_id: event.entity_id.as_str(),
                    partition: event.partition,
                    position: event.position,
                    version: event.version,
                });
            }
        }
        Ok(proof.conclude())
    }

    /// Stops the server in order; the directory stays until it is dropped.
    pub(crate) async fn strike(self) -> Outcome<TempDir> {
        self.server.stop().await?;
        Ok(self.home)
    }
}

/// Whole and tenths of seconds.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
