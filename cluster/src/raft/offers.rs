//! What this node has offered to followers that are behind its log.
//!
//! A transfer takes as long as it takes. Meanwhile compaction replaces the parts that were offered and the log grows
//! beyond where they end; both must wait for it, or the follower never arrives. So as long as an offer stands, its parts
//! stay open, and, once the follower has answered, the log is not purged beyond its end; nor for a while afterwards, so
//! that entries follow the parts.

use std::sync::Arc;
use std::time::Duration;

use chronos_env::Clock;
use chronos_store::Shelf;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::intake::PARTS_AT_ONCE;
use crate::peer::Peers;

/// The log is kept for so long behind an offer that is over.
const ENTRIES_FOLLOW_WITHIN: Duration = Duration::from_secs(30);

/// How parts get from and to a node. Clones share it.
#[derive(Clone)]
pub(crate) struct Transfers {
    /// Where they come from; `None` where there is nobody to have them from.
    pub(crate) peers: Option<Peers>,
    /// Those that are being fetched.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) offers: Offers,
    pub(crate) taken: Taken,
}

/// What was taken over from other nodes since the start of this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferStats {
    /// Manifests offered to followers that are behind the log.
    pub offered: u64,
    /// Manifests taken over from leaders.
    pub installed: u64,
    /// Parts of these that were not here before.
    pub parts: u64,
    /// Their bytes: what had to be had from others.
    pub bytes: u64,
}

/// Counts what is taken over. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Taken(Arc<Mutex<TransferStats>>);

impl Taken {
    /// A manifest was taken over, with so many parts that were not here before.
    pub(crate) fn count(&self, parts: usize, bytes: u64) {
        let mut stats = self.0.lock();
        stats.installed += 1;
        stats.parts += parts as u64;
        stats.bytes += bytes;
    }
}

impl Transfers {
    pub(crate) fn new(clock: &Clock, peers: Option<Peers>) -> Transfers {
        let turns = Arc::new(Semaphore::new(PARTS_AT_ONCE));
        Transfers { peers, turns, offers: Offers::new(clock.clone()), taken: Taken::default() }
    }

    /// What was offered and taken over so far.
    pub(crate) fn stats(&self) -> TransferStats {
        TransferStats { offered: self.offers.0.standing.lock().next, ..*self.taken.0.lock() }
    }
}

/// The offers of a node. Clones share them.
#[derive(Clone)]
pub(crate) struct Offers(Arc<Inner>);

struct Inner {
    clock: Clock,
    standing: Mutex<Standing>,
}

#[derive(Default)]
struct Standing {
    next: u64,
    offers: Vec<Offer>,
}

struct Offer {
    number: u64,
    group: u8,
    /// The last entry that the parts have taken in.
    ends: u64,
    /// `None` when it is over.
    shelf: Option<Arc<Shelf>>,
    /// Whether somebody has answered it.
    is_heard: bool,
    /// Since when it is forgotten, once it is over.
    until: Option<Duration>,
}

/// An offer stands until this is dropped.
pub(crate) struct Offered {
    offers: Offers,
    number: u64,
}

impl Offers {
    pub(crate) fn new(clock: Clock) -> Offers {
        Offers(Arc::new(Inner { clock, standing: Mutex::default() }))
    }

    /// Makes an offer.
    pub(crate) fn stand(&self, group: u8, shelf: &Arc<Shelf>) -> Offered {
        let mut standing = self.standing();
        let number = standing.next;
        standing.next += 1;
        let ends = shelf.manifest.applied.get();
        let shelf = Some(Arc::clone(shelf));
        standing.offers.push(Offer { number, group, ends, shelf, is_heard: false, until: None });
        drop(standing);
        Offered { offers: self.clone(), number }
    }

    /// What is offered of a group.
    pub(crate) fn shelves(&self, group: u8) -> Vec<Arc<Shelf>> {
        let standing = self.standing();
        let own = standing.offers.iter().filter(|offer| offer.group == group);
        own.filter_map(|offer| offer.shelf.clone()).collect()
    }

    /// The last entry that the log of a group may be purged of, as far as offers go.
    pub(crate) fn purge_up_to(&self, group: u8) -> Option<u64> {
        let standing = self.standing();
        let heard = standing.offers.iter().filter(|offer| offer.group == group && offer.is_heard);
        heard.map(|offer| offer.ends).min()
    }

    /// Without those that are over for long.
    fn standing(&self) -> parking_lot::MutexGuard<'_, Standing> {
        let now = self.0.clock.monotonic();
        let mut standing = self.0.standing.lock();
        standing.offers.retain(|offer| offer.until.is_none_or(|until| now < until));
        standing
    }
}

impl Offered {
    /// The follower has answered: it is there, and fetching or done.
    pub(crate) fn is_heard(&self) {
        let mut standing = self.offers.0.standing.lock();
        let own = standing.offers.iter_mut().find(|offer| offer.number == self.number);
        if let Some(offer) = own {
            offer.is_heard = true;
        }
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        let until = self.offers.0.clock.monotonic() + ENTRIES_FOLLOW_WITHIN;
        let mut standing = self.offers.0.standing.lock();
        let own = standing.offers.iter_mut().find(|offer| offer.number == self.number);
        if let Some(offer) = own {
            (offer.shelf, offer.until) = (None, Some(until));
        }
        standing.offers.retain(|offer| offer.is_heard || offer.shelf.is_some());
    }
}
