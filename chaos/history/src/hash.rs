//! Hashes: of one event's content, of an event, of a range of events.
//!
//! A range's hash is a polynomial over its events' words modulo the prime 2^61 − 1. Whoever reads the range computes
//! it one event at a time and needs no memory; whoever holds the hashes of all prefixes computes that of any range
//! with one multiplication. FORMAT.md has the exact definition and values to test against.
//!
//! Invariant: a word covers everything that identifies an event and its place in its entity, not its position, so
//! that the range of a filtered read is hashed by the same rule.

use core::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::{EntityId, EventId, Tenant, Version};

/// The modulus, a Mersenne prime.
const PRIME: u64 = (1 << 61) - 1;
/// What the hash of the earlier events is multiplied by. Nothing about it is special but that it is large and odd.
const BASE: u64 = 0x0123_4567_89ab_cdef;
/// The base times this is 1.
const INVERSE: u64 = 0x1220_f61c_9107_b0e3;
const _: () =
    assert!((BASE as u128 * INVERSE as u128) % PRIME as u128 == 1, "a level is that of the right inverse");

/// 64 bits, written as hexadecimal digits. Either one of this module's hashes or, where a line says so, any 64 bits of
/// a hash of the store's own, which are only ever compared with each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub u64);

impl Hash {
    /// Of an event's content: the first eight bytes of the SHA-256 of its fields, each preceded by its length as eight
    /// little-endian bytes, read as a big-endian number. Which fields, and in what order, is the harness's to say,
    /// once for what it writes and what it reads.
    pub fn of_content(fields: &[&[u8]]) -> Hash {
        let mut sha = Sha256::new();
        for field in fields {
            sha.update((field.len() as u64).to_le_bytes());
            sha.update(field);
        }
        let first = sha.finalize().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Hash(first)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        from.deserialize_str(HexVisitor)
    }
}

struct HexVisitor;

impl Visitor<'_> for HexVisitor {
    type Value = Hash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1 to 16 hexadecimal digits in a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Hash, E> {
        let bits = u64::from_str_radix(text, 16);
        bits.map(Hash).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// What a range hash sees of an event: below 2^61 − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(u64);

impl Word {
    /// The word of an event with this identity, place and content.
    pub fn new(id: EventId, entity: EntityId, version: Version, tenant: Tenant, content: Hash) -> Word {
        let fields = [id.0, entity.0, version.0, u64::from(tenant.0), content.0];
        Word(fields.into_iter().fold(0, |word, field| mix(word ^ field)) % PRIME)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), after
/// adding its increment so that zero does not stay zero.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// The hash of a range so far, for whoever reads it event by event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RangeHash(u64);

impl RangeHash {
    /// Of no event.
    pub const EMPTY: RangeHash = RangeHash(0);

    /// Of events whose hash is known, to go on from there.
    pub(crate) const fn known(hash: Hash) -> RangeHash {
        RangeHash(hash.0)
    }

    /// Takes in the next event.
    pub fn push(&mut self, word: Word) {
        self.0 = add(multiply(self.0, BASE), word.0);
    }

    /// The hash of the events taken in.
    pub fn get(self) -> Hash {
        Hash(self.0)
    }

    /// The hash of what `self` has after the events of `prefix`, given the power of their difference in length.
    pub(crate) fn after(self, prefix: RangeHash, power: Power) -> Hash {
        Hash(add(self.0, PRIME - multiply(prefix.0, power.0)))
    }
}

/// A power of the base.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Power(u64);

impl Power {
    pub(crate) const ZEROTH: Power = Power(1);

    pub(crate) fn next(self) -> Power {
        Power(multiply(self.0, BASE))
    }

    /// A power of the inverse base, from the one before.
    pub(crate) fn next_of_inverse(self) -> Power {
        Power(multiply(self.0, INVERSE))
    }
}

/// What the hash of all events before a point of a line comes to, if each event weighs the same wherever one counts from:
/// the hash divided by the base once for each event. So levels can be subtracted, and the difference of two is what lies
/// between their points, whatever lies before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level(u64);

impl Level {
    /// By how much a range raises the level, given the power of the inverse base at its end.
    pub(crate) fn of(range: Hash, end: Power) -> Level {
        Level(multiply(range.0, end.0))
    }

    pub(crate) fn plus(self, other: Level) -> Level {
        Level(add(self.0, other.0))
    }

    pub(crate) fn minus(self, other: Level) -> Level {
        Level(add(self.0, PRIME - other.0))
    }
}

fn multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let (low, high) = (product as u64 & PRIME, (product >> 61) as u64);
    add(low, high)
}

/// Both below 2^61; the sum is below the prime.
fn add(a: u64, b: u64) -> u64 {
    let sum = a + b;
    let folded = (sum & PRIME) + (sum >> 61);
    if folded >= PRIME { folded - PRIME } else { folded }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(n: u64) -> Word {
        Word::new(EventId(n), EntityId(9), Version(n), Tenant(1), Hash(n * 7))
    }

    fn hash_of(numbers: impl Iterator<Item = u64>) -> RangeHash {
        let mut hash = RangeHash::EMPTY;
        numbers.for_each(|n| hash.push(word(n)));
        hash
    }

    #[test]
    fn the_hash_of_any_range_follows_from_two_prefixes() {
        for first in 1..20 {
            for last in first - 1..20 {
                let power = (first..=last).fold(Power::ZEROTH, |power, _| power.next());
                let derived = hash_of(1..last + 1).after(hash_of(1..first), power);
                assert_eq!(derived, hash_of(first..last + 1).get(), "{first}..={last}");
            }
        }
    }

    #[test]
    fn each_field_of_an_event_changes_its_word() {
        let at = |id, entity, version, tenant, content| {
            Word::new(EventId(id), EntityId(entity), Version(version), Tenant(tenant), Hash(content))
        };
        let words = [
            at(1, 2, 3, 4, 5),
            at(2, 2, 3, 4, 5),
            at(1, 3, 3, 4, 5),
            at(1, 2, 4, 4, 5),
            at(1, 2, 3, 5, 5),
            at(1, 2, 3, 4, 6),
            at(2, 1, 3, 4, 5),
        ];
        for (i, word) in words.iter().enumerate() {
            assert!(words[..i].iter().all(|other| other != word), "word {i} is that of another event");
        }
    }

    #[test]
    fn order_and_number_of_events_change_the_hash() {
        assert_ne!(hash_of([1, 2].into_iter()), hash_of([2, 1].into_iter()));
        assert_ne!(hash_of([1, 1].into_iter()), hash_of([1].into_iter()));
    }

    #[test]
    fn the_values_of_format_md_hold() {
        assert_eq!(Hash::of_content(&[b"order.placed", b"{}"]).to_string(), "9c9ad41d6739f316");
        let word = Word::new(EventId(551), EntityId(901), Version(1), Tenant(0), Hash(0x9f));
        assert_eq!(format!("{:x}", word.0), "1245e0f958906fd6");
        let mut range = RangeHash::EMPTY;
        range.push(word);
        range.push(Word::new(EventId(552), EntityId(901), Version(2), Tenant(0), Hash(0xa1)));
        assert_eq!(range.get().to_string(), "1598874edf6b85fe");
    }
}
