//! A table from hashes to numbers that answers "not here" by one small page.
//!
//! Sixteen bits of each hash are kept, so that one of some ten thousand lookups of what is not here finds a number
//! that has to be compared in vain. A lookup reads one page and looks at some eight entries.
//!
//! ```text
//! page(hash)   = top 32 bits, scaled to the number of pages
//! bucket(hash) = lowest bits
//! print(hash)  = the 16 bits above the lowest 7
//! page = buckets log2 u8 · bits of a number u8 · entries of each bucket, varints · entries
//! entries, packed without gaps, lowest bit first = print (16 bits), number; ascending in a bucket
//! ```

use std::io;

use super::codec::{Cursor, Malformed, put_varint};
use super::pages::{Directory, Packing, PageReader, Section, SectionWriter};
use crate::fault::Fault;

/// Entries of a page, about.
const PAGE_ENTRIES: usize = 1024;
/// Entries of a bucket, about.
const BUCKET_ENTRIES: usize = 8;
const BUCKETS_LOG2_MAX: u32 = (PAGE_ENTRIES / BUCKET_ENTRIES).ilog2();
const PRINT_BITS: u32 = 16;

// A print must not repeat what the bucket already says, nor what the page says.
const _: () = assert!(BUCKETS_LOG2_MAX + PRINT_BITS <= 32);

/// Where a hash belongs among `pages` pages.
fn page_of(hash: u64, pages: u32) -> u32 {
    (((hash >> 32) * u64::from(pages)) >> 32) as u32
}

fn print_of(hash: u64) -> u16 {
    (hash >> BUCKETS_LOG2_MAX) as u16
}

/// Writes the table of `hashes`: the i-th stands for the number i.
pub(super) fn write<W: io::Write>(out: &mut SectionWriter<W>, hashes: &[u64]) -> io::Result<Directory> {
    let pages = hashes.len().div_ceil(PAGE_ENTRIES) as u32;
    let mut numbers: Vec<u32> = (0..hashes.len() as u32).collect();
    numbers.sort_unstable_by_key(|number| (hashes[*number as usize], *number));
    let mut rest = numbers.as_mut_slice();
    for page in 0..pages {
        let here = rest.partition_point(|number| page_of(hashes[*number as usize], pages) == page);
        let (entries, others) = rest.split_at_mut(here);
        out.page(&encode(entries, hashes), Packing::Plain)?;
        rest = others;
    }
    Ok(out.end_section())
}

fn encode(numbers: &mut [u32], hashes: &[u64]) -> Vec<u8> {
    let buckets_log2 = (numbers.len() / BUCKET_ENTRIES).max(1).ilog2().min(BUCKETS_LOG2_MAX);
    let number_bits = u64::BITS - (hashes.len() as u64 - 1).leading_zeros();
    let bucket_of = |number: &u32| hashes[*number as usize] & ((1 << buckets_log2) - 1);
    numbers.sort_unstable_by_key(|number| (bucket_of(number), print_of(hashes[*number as usize]), *number));
    let mut page = vec![buckets_log2 as u8, number_bits as u8];
    let mut rest = &*numbers;
    for bucket in 0..1 << buckets_log2 {
        let here = rest.partition_point(|number| bucket_of(number) == bucket);
        put_varint(&mut page, here as u64);
        rest = &rest[here..];
    }
    let mut bits = BitWriter { out: page, word: 0, used: 0 };
    for number in &*numbers {
        bits.put(u32::from(print_of(hashes[*number as usize])), PRINT_BITS);
        bits.put(*number, number_bits);
    }
    bits.finish()
}

/// A table that was written, and how to read it.
pub(super) struct Hashes<'a> {
    pub(super) pages: &'a PageReader,
    pub(super) section: Section,
    pub(super) directory: &'a Directory,
}

impl Hashes<'_> {
    /// The numbers whose hash may be this one, ascending: all whose is, hardly ever another.
    pub(super) fn candidates(&self, hash: u64) -> Result<Vec<u32>, Fault> {
        if self.directory.pages() == 0 {
            return Ok(Vec::new());
        }
        let page = page_of(hash, self.directory.pages());
        let page = self.pages.page(self.section, self.directory, page, HashPage::decode)?;
        Ok(page.candidates(hash))
    }
}

/// A page, unpacked.
struct HashPage {
    /// Where each bucket ends in `entries`.
    ends: Vec<u32>,
    prints: Vec<u16>,
    numbers: Vec<u32>,
}

impl HashPage {
    fn decode(bytes: &[u8]) -> Result<(HashPage, usize), Malformed> {
        let mut from = Cursor::new(bytes);
        let [buckets_log2, number_bits] = from.array()?;
        if u32::from(buckets_log2) > BUCKETS_LOG2_MAX || u32::from(number_bits) > u32::BITS {
            return Err(Malformed("a table has more buckets or wider numbers than any"));
        }
        let mut ends = Vec::with_capacity(1 << buckets_log2);
        let mut end = 0_u32;
        for _ in 0..1 << buckets_log2 {
            end = end.checked_add(from.varint32()?).ok_or(Malformed("a bucket is too full"))?;
            ends.push(end);
        }
        let entry_bits = u64::from(PRINT_BITS) + u64::from(number_bits);
        let packed = from.rest();
        if (u64::from(end) * entry_bits).div_ceil(8) != packed.len() as u64 {
            return Err(Malformed("a table has another length than its buckets say"));
        }
        let mut bits = BitReader { bytes: packed, word: 0, held: 0 };
        let (prints, numbers): (Vec<u16>, Vec<u32>) =
            (0..end).map(|_| (bits.take(PRINT_BITS) as u16, bits.take(u32::from(number_bits)))).unzip();
        let weight = ends.len() * 4 + prints.len() * 6;
        Ok((HashPage { ends, prints, numbers }, weight))
    }

    fn candidates(&self, hash: u64) -> Vec<u32> {
        let bucket = hash as usize & (self.ends.len() - 1);
        let start = bucket.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        let entries = start..self.ends[bucket] as usize;
        let print = print_of(hash);
        entries.filter(|entry| self.prints[*entry] == print).map(|entry| self.numbers[entry]).collect()
    }
}

struct BitWriter {
    out: Vec<u8>,
    word: u64,
    /// Bits of `word` in use: fewer than 8 between calls.
    used: u32,
}

impl BitWriter {
    fn put(&mut self, number: u32, bits: u32) {
        self.word |= u64::from(number) << self.used;
        self.used += bits;
        while self.used >= 8 {
            self.out.push(self.word as u8);
            self.word >>= 8;
            self.used -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.used > 0 {
            self.out.push(self.word as u8);
        }
        self.out
    }
}

/// Bits beyond the end are zeros.
struct BitReader<'a> {
    bytes: &'a [u8],
    word: u64,
    held: u32,
}

impl BitReader<'_> {
    fn take(&mut self, bits: u32) -> u32 {
        while self.held < bits {
            let (byte, rest) = self.bytes.split_first().map_or((0, self.bytes), |(byte, rest)| (*byte, rest));
            self.bytes = rest;
            self.word |= u64::from(byte) << self.held;
            self.held += 8;
        }
        let taken = self.word & ((1 << bits) - 1);
        self.word >>= bits;
        self.held -= bits;
        taken as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::tests::tamper;
    use super::*;

    fn page(hashes: &[u64]) -> Vec<u8> {
        let mut numbers: Vec<u32> = (0..hashes.len() as u32).collect();
        encode(&mut numbers, hashes)
    }

    proptest! {
        /// Also of hashes that are equal, or that differ where nothing of them is kept.
        #[test]
        fn a_hash_leads_to_its_numbers(
            hashes in prop::collection::vec(prop_oneof![any::<u64>(), 0..40_u64, (0..4_u64).prop_map(|n| n << 40)], 1..300),
        ) {
            let (page, _) = HashPage::decode(&page(&hashes)).unwrap();
            for (number, hash) in (0..).zip(&hashes) {
                let found = page.candidates(*hash);
                prop_assert!(found.contains(&number));
                prop_assert!(found.is_sorted());
            }
        }
    }

    #[test]
    fn a_damaged_page_is_refused_or_harmless() {
        let hashes: Vec<u64> = (0..70_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let look = |(page, _): (HashPage, usize)| (0..300).for_each(|hash| _ = page.candidates(hash << 3));
        tamper(&page(&hashes), HashPage::decode, look);
    }

    #[test]
    fn pages_share_the_hashes_evenly_and_in_order() {
        assert_eq!(page_of(0, 7), 0);
        assert_eq!(page_of(u64::MAX, 7), 6);
        assert_eq!(page_of(u64::MAX / 2, 2), 0);
        assert_eq!(page_of(u64::MAX / 2 + 1, 2), 1);
        assert_eq!(page_of(u64::MAX, u32::MAX), u32::MAX - 1);
    }
}
