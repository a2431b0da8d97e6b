//! One part of the cache, behind one lock.

use hashbrown::HashTable;

use super::{PageKey, Value};

/// Pages in a ring, a hand on it, and a table that finds a page's place in the ring.
pub(super) struct Shard {
    capacity: usize,
    bytes: usize,
    evicted: u64,
    slots: Vec<Slot>,
    /// Indexes into `slots`.
    places: HashTable<u32>,
    hand: usize,
}

struct Slot {
    hash: u64,
    key: PageKey,
    value: Value,
    bytes: usize,
    /// Hit since the hand last passed.
    used: bool,
}

/// What a page costs besides its own bytes: slot, place, counters of the `Arc`.
const OVERHEAD_BYTES: usize = 96;

impl Shard {
    pub(super) fn new(capacity: usize) -> Shard {
        Shard { capacity, bytes: 0, evicted: 0, slots: Vec::new(), places: HashTable::new(), hand: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn pages(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(super) fn get(&mut self, hash: u64, key: PageKey) -> Option<Value> {
        let place = *self.places.find(hash, |place| self.slots[*place as usize].key == key)?;
        let slot = &mut self.slots[place as usize];
        slot.used = true;
        Some(Value::clone(&slot.value))
    }

    /// Keeps a page, if it can fit at all. Returns what had to go, for the caller to drop.
    pub(super) fn insert(&mut self, hash: u64, key: PageKey, value: Value, bytes: usize) -> Vec<Value> {
        let bytes = bytes.saturating_add(OVERHEAD_BYTES);
        if bytes > self.capacity {
            return vec![value];
        }
        let mut dropped = Vec::new();
        if let Some(place) = self.places.find(hash, |place| self.slots[*place as usize].key == key) {
            dropped.push(self.remove(*place as usize));
        }
        while self.bytes + bytes > self.capacity {
            dropped.push(self.evict());
        }
        self.bytes += bytes;
        let place = u32::try_from(self.slots.len()).expect("a shard's bytes bound its pages far below 2^32");
        self.slots.push(Slot { hash, key, value, bytes, used: false });
        self.places.insert_unique(hash, place, |place| self.slots[*place as usize].hash);
        dropped
    }

    /// Moves the hand to the first page that was not used since it last passed, and takes that page out.
    fn evict(&mut self) -> Value {
        loop {
            self.hand = if self.hand + 1 < self.slots.len() { self.hand + 1 } else { 0 };
            let slot = &mut self.slots[self.hand];
            if !std::mem::take(&mut slot.used) {
                break;
            }
        }
        self.evicted += 1;
        self.remove(self.hand)
    }

    /// Takes a page out; the last one of the ring moves into its place.
    fn remove(&mut self, place: usize) -> Value {
        let find = |place: usize| move |other: &u32| *other as usize == place;
        let last = self.slots.len() - 1;
        self.places
            .find_entry(self.slots[place].hash, find(place))
            .expect("every page of the ring has its place in the table")
            .remove();
        if place != last {
            *self
                .places
                .find_mut(self.slots[last].hash, find(last))
                .expect("every page of the ring has its place in the table") = place as u32;
        }
        let slot = self.slots.swap_remove(place);
        self.bytes -= slot.bytes;
        slot.value
    }
}
