//! What a read gave, as far as a history needs it.

use chronos_client::{Client, Event, Events, Read, ReadError, Token};
use chronos_history::RangeHash;
use futures::StreamExt;

use super::{Origin, content};

/// The hash of events, in the order in which they came, and the last of them.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) hash: RangeHash,
    pub(super) count: u64,
    pub(super) last: Option<Event>,
}

impl Seen {
    /// Takes in the next event.
    pub(super) fn push(&mut self, origin: &Origin, event: Event) {
        self.hash.push(content::word(origin, &event));
        self.count += 1;
        self.last = Some(event);
    }
}

/// In which order a read gives its events. A history has them as they are stored either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The oldest first.
    Forward,
    /// The newest first.
    Backward,
}

/// All events of a read, and the past that they are of.
pub(super) async fn collect(
    sdk: &Client,
    origin: &Origin,
    read: Read,
    order: Order,
) -> Result<(Seen, Token), ReadError> {
    let mut events: Events = sdk.read(read).await?;
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        all.push(event?);
    }
    if order == Order::Backward {
        all.reverse();
    }
    let mut seen = Seen::default();
    all.into_iter().for_each(|event| seen.push(origin, event));
    Ok((seen, events.token().cloned().unwrap_or_default()))
}
