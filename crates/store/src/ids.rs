//! Where the event with an id is.
//!
//! A slot holds the id's hash and the position; the id itself stands in the ledger and decides when hashes are equal.
//! The table is cut into shards by the top bits of the hash, so that growing moves a sixteenth of it at a time and no
//! single append waits for the whole.

use chronos_domain::{EventId, Position};
use hashbrown::HashTable;

const SHARDS: usize = 16;
const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// The ids of one tenant and fork.
#[derive(Debug)]
pub(crate) struct Ids {
    shards: [HashTable<Slot>; SHARDS],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u64,
    position: Position,
}

impl Ids {
    pub(crate) fn new() -> Ids {
        Ids { shards: [const { HashTable::new() }; SHARDS] }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(HashTable::len).sum()
    }

    /// The position of `id`; `stored` gives the id at a position.
    pub(crate) fn find(&self, id: EventId, stored: impl Fn(Position) -> EventId) -> Option<Position> {
        let hash = hash(id);
        let slot =
            self.shards[shard(hash)].find(hash, |slot| slot.hash == hash && stored(slot.position) == id)?;
        Some(slot.position)
    }

    /// Adds an id that is not here yet: apply has looked.
    pub(crate) fn insert(&mut self, id: EventId, position: Position) {
        let hash = hash(id);
        self.shards[shard(hash)].insert_unique(hash, Slot { hash, position }, |slot| slot.hash);
    }
}

const fn shard(hash: u64) -> usize {
    // The table takes its buckets from the low bits and its tags from the top seven: shard by others.
    ((hash >> 40) as usize) & ((1 << SHARD_BITS) - 1)
}

/// Mixes both halves into every bit: ids made from a clock or from a counter must not crowd together.
const fn hash(id: EventId) -> u64 {
    let bits = id.as_u128();
    let high = (bits >> 64) as u64 ^ 0x9E37_79B9_7F4A_7C15;
    let low = bits as u64 ^ 0xD1B5_4A32_D192_ED03;
    fold(fold(high, 0xA24B_AED4_963E_E407) ^ low, 0x9FB2_1C65_1E98_DF25)
}

const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    type Family = (&'static str, fn(u64) -> EventId);

    fn families() -> [Family; 4] {
        [
            ("counter", |n| EventId::from_u128(u128::from(n) + 1)),
            ("counter in the high half", |n| EventId::from_u128((u128::from(n) + 1) << 64)),
            ("uuid v7 of one millisecond", |n| EventId::new_v7(1_700_000_000_000, u128::from(n))),
            ("uuid v7 of many", |n| EventId::new_v7(1_700_000_000_000 + n, 7)),
        ]
    }

    #[test]
    fn every_id_is_found_where_it_was_put_and_no_other_is() {
        for (family, make) in families() {
            let mut ids = Ids::new();
            let stored = |position: Position| make(position.get());
            for n in 1..=20_000 {
                assert_eq!(ids.find(make(n), stored), None, "{family} {n}");
                ids.insert(make(n), Position::new(n));
            }
            assert_eq!(ids.len(), 20_000);
            assert!((1..=20_000).all(|n| ids.find(make(n), stored) == Some(Position::new(n))), "{family}");
        }
    }

    #[test]
    fn equal_hashes_are_told_apart_by_the_id_itself() {
        let mut ids = Ids::new();
        let id = EventId::from_u128(42);
        // Two slots under one hash, as two colliding ids would make them.
        ids.insert(id, Position::new(1));
        ids.insert(id, Position::new(2));
        let second = |position: Position| if position.get() == 2 { id } else { EventId::from_u128(43) };
        assert_eq!(ids.find(id, second), Some(Position::new(2)));
    }

    #[test]
    fn no_shard_takes_much_more_than_its_share() {
        for (family, make) in families() {
            let mut counts = [0_u32; SHARDS];
            (0..16_000).for_each(|n| counts[shard(hash(make(n)))] += 1);
            assert!(counts.iter().all(|c| (700..1_300).contains(c)), "{family}: {counts:?}");
        }
    }
}
