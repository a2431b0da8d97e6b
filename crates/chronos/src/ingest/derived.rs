//! Event ids that follow from what an event says, for sources that bring none.
//!
//! A version 8 UUID (RFC 9562: 122 bits of one's own making) of two 64-bit hashes with different seeds. Stored ids
//! depend on it: it never changes.

use chronos_domain::EventId;
use chronos_domain::xxh64::Xxh64;

const HIGH_SEED: u64 = 0x6368_726f_6e6f_7331;
const LOW_SEED: u64 = 0x6368_726f_6e6f_7332;

/// The id of what `parts` say together. Parts are told apart: `["ab", "c"]` is not `["a", "bc"]`.
pub(crate) fn event_id(parts: &[&[u8]]) -> EventId {
    let bits = u128::from(hash(parts, HIGH_SEED)) << 64 | u128::from(hash(parts, LOW_SEED));
    let version = 8 << 76;
    let variant = 0b10 << 62;
    EventId::from_u128(bits & !(0xf << 76) & !(0b11 << 62) | version | variant)
}

fn hash(parts: &[&[u8]], seed: u64) -> u64 {
    let mut hasher = Xxh64::new(seed);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_never_changes() {
        let id = event_id(&[b"order-7", b"{}"]);
        assert_eq!(id, event_id(&[b"order-7", b"{}"]));
        assert_eq!(id.to_string(), GOLDEN);
    }

    const GOLDEN: &str = "3073cd24-c6bb-8ede-a986-935139509608";

    #[test]
    fn parts_are_told_apart() {
        assert_ne!(event_id(&[b"ab", b"c"]), event_id(&[b"a", b"bc"]));
        assert_ne!(event_id(&[b"ab"]), event_id(&[b"ab", b""]));
    }

    #[test]
    fn an_id_is_a_version_8_uuid() {
        for i in 0..100_u64 {
            let text = event_id(&[&i.to_le_bytes()]).to_string();
            assert_eq!(&text[14..15], "8", "{text}");
            assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
        }
    }
}
