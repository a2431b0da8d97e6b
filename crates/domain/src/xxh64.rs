//! The 64-bit xxHash: fast, stable, not meant to resist an adversary.
//!
//! Written from the public specification (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>). Placement
//! and content hashes are stored and computed by every client, so the algorithm never changes.

const PRIME_1: u64 = 0x9e37_79b1_85eb_ca87;
const PRIME_2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const PRIME_3: u64 = 0x1656_67b1_9e37_79f9;
const PRIME_4: u64 = 0x85eb_ca77_c2b2_ae63;
const PRIME_5: u64 = 0x27d4_eb2f_1656_67c5;
const STRIPE: usize = 32;

/// The hash of one piece of bytes.
pub fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    let mut lanes = Lanes::new(seed);
    let (stripes, tail) = bytes.as_chunks::<STRIPE>();
    for stripe in stripes {
        lanes.consume(stripe);
    }
    let start = if stripes.is_empty() { seed.wrapping_add(PRIME_5) } else { lanes.converge() };
    finish(start.wrapping_add(bytes.len() as u64), tail)
}

/// The hash of bytes that come in pieces: equal to [`xxh64`] of all of them in a row.
#[derive(Clone, Debug)]
pub struct Xxh64 {
    seed: u64,
    lanes: Lanes,
    /// Bytes seen in all.
    length: u64,
    /// The last `length % 32` bytes, waiting for the rest of their stripe.
    waiting: [u8; STRIPE],
}

impl Xxh64 {
    /// Starts with no bytes.
    pub fn new(seed: u64) -> Xxh64 {
        Xxh64 { seed, lanes: Lanes::new(seed), length: 0, waiting: [0; STRIPE] }
    }

    /// Adds a piece.
    pub fn update(&mut self, mut bytes: &[u8]) -> &mut Xxh64 {
        let held = self.held();
        self.length += bytes.len() as u64;
        if held > 0 {
            let (filling, rest) = bytes.split_at(bytes.len().min(STRIPE - held));
            self.waiting[held..held + filling.len()].copy_from_slice(filling);
            if held + filling.len() < STRIPE {
                return self;
            }
            self.lanes.consume(&self.waiting);
            bytes = rest;
        }
        let (stripes, tail) = bytes.as_chunks::<STRIPE>();
        for stripe in stripes {
            self.lanes.consume(stripe);
        }
        self.waiting[..tail.len()].copy_from_slice(tail);
        self
    }

    /// The hash of the pieces so far.
    pub fn finish(&self) -> u64 {
        let start = match self.length {
            0..32 => self.seed.wrapping_add(PRIME_5),
            _ => self.lanes.converge(),
        };
        finish(start.wrapping_add(self.length), &self.waiting[..self.held()])
    }

    fn held(&self) -> usize {
        (self.length % STRIPE as u64) as usize
    }
}

/// Four accumulators, each fed by eight bytes of every stripe.
#[derive(Clone, Debug)]
struct Lanes([u64; 4]);

impl Lanes {
    fn new(seed: u64) -> Lanes {
        Lanes([
            seed.wrapping_add(PRIME_1).wrapping_add(PRIME_2),
            seed.wrapping_add(PRIME_2),
            seed,
            seed.wrapping_sub(PRIME_1),
        ])
    }

    #[inline(always)]
    fn consume(&mut self, stripe: &[u8; STRIPE]) {
        let (words, _) = stripe.as_chunks::<8>();
        for (lane, word) in self.0.iter_mut().zip(words) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }

    fn converge(&self) -> u64 {
        let [a, b, c, d] = self.0;
        let sum = a
            .rotate_left(1)
            .wrapping_add(b.rotate_left(7))
            .wrapping_add(c.rotate_left(12))
            .wrapping_add(d.rotate_left(18));
        self.0
            .iter()
            .fold(sum, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4))
    }
}

#[inline(always)]
fn round(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

/// Mixes in the last, incomplete stripe and spreads every bit over the whole result.
fn finish(mut hash: u64, tail: &[u8]) -> u64 {
    let (words, tail) = tail.as_chunks::<8>();
    for word in words {
        hash ^= round(0, u64::from_le_bytes(*word));
        hash = hash.rotate_left(27).wrapping_mul(PRIME_1).wrapping_add(PRIME_4);
    }
    let (halves, tail) = tail.as_chunks::<4>();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME_1);
        hash = hash.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
    }
    for byte in tail {
        hash ^= u64::from(*byte).wrapping_mul(PRIME_5);
        hash = hash.rotate_left(11).wrapping_mul(PRIME_1);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIME_2);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIME_3);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn bytes(n: u32) -> Vec<u8> {
        (0..n).map(|i| (i * i * 31 + i * 7) as u8).collect()
    }

    #[test]
    fn published_vectors_with_seed_zero() {
        assert_eq!(xxh64(b"", 0), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"a", 0), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc", 0), 0x44bc_2cf5_ad77_0999);
    }

    /// Computed by the reference implementation's Python binding.
    #[test]
    fn vectors_of_the_reference_implementation() {
        #[rustfmt::skip]
        let vectors: [(u64, u32, u64); 10] = [
            (0x0, 31, 0xd57d_4f87_5127_a3e3),
            (0x0, 32, 0x15c2_d980_2b73_abec),
            (0x0, 100, 0xe31e_7ece_dddd_659d),
            (0x0, 256, 0xdd55_680c_b688_ff45),
            (0x0, 4096, 0xb6ec_dac3_d424_569f),
            (0x9e37_79b1_85eb_ca87, 31, 0x05e6_8e50_291d_d4f5),
            (0x9e37_79b1_85eb_ca87, 32, 0x102d_23d8_b997_83b4),
            (0x9e37_79b1_85eb_ca87, 100, 0x14ce_195c_84ce_fadd),
            (0x9e37_79b1_85eb_ca87, 256, 0x252f_2cfe_bdbb_553e),
            (0x9e37_79b1_85eb_ca87, 4096, 0x51f1_8231_f77d_75dc),
        ];
        for (seed, n, hash) in vectors {
            assert_eq!(xxh64(&bytes(n), seed), hash, "{n} bytes, seed {seed:#x}");
        }
    }

    #[test]
    fn every_length_and_seed_agrees_with_another_implementation() {
        let all = bytes(300);
        for seed in [0, 1, PRIME_1, u64::MAX] {
            for n in 0..=all.len() {
                let theirs = twox_hash::XxHash64::oneshot(seed, &all[..n]);
                assert_eq!(xxh64(&all[..n], seed), theirs, "{n} bytes, seed {seed:#x}");
            }
        }
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let all = bytes(131);
        for a in 0..=all.len() {
            for b in a..=all.len() {
                let mut pieces = Xxh64::new(7);
                pieces.update(&all[..a]).update(&all[a..b]).update(&all[b..]);
                assert_eq!(pieces.finish(), xxh64(&all, 7), "cut at {a} and {b}");
            }
        }
        let mut single = Xxh64::new(7);
        for (i, byte) in all.iter().enumerate() {
            assert_eq!(single.finish(), xxh64(&all[..i], 7));
            single.update(core::slice::from_ref(byte));
        }
    }
}
