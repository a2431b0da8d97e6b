//! What a read gave, as far as a history needs it.

use chronos_client::{Client, Event, Events, Read, ReadError, Token};
use chronos_history::RangeHash;
use futures::StreamExt;

use super::content;

/// The hash of events, in the order in which they came, and the last of them.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) hash: RangeHash,
    pub(super) count: u64,
    pub(super) last: Option<Event>,
}

impl Seen {
    /// Takes in the next event.
    pub(super) fn push(&mut self, event: Event) {
        self.hash.push(content::word(&event));
        self.count += 1;
        self.last = Some(event);
    }
}

/// All events of a read, and the past that they are of.
pub(super) async fn collect(sdk: &Client, read: Read) -> Result<(Seen, Token), ReadError> {
    let mut events: Events = sdk.read(read).await?;
    let mut all = Seen::default();
    while let Some(event) = events.next().await {
        all.push(event?);
    }
    Ok((all, events.token().cloned().unwrap_or_default()))
}
