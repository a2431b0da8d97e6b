//! The end of an index file: all that is read when a part is opened, and that stays in memory.
//!
//! Its size grows with the number of pages and blocks, spaces and chunks of the part, never with its rows or names one by
//! one: some 100 bytes for every 1,000 events.

use std::sync::Arc;

use chronos_domain::xxh64::xxh64;
use chronos_domain::{EventId, ForkId, PartitionId, Position, Space};
use chronos_proof::Hash;

use super::codec::{Cursor, Malformed, put_text, put_varint};
use super::lists::ListDirectory;
use super::names::NameDirectory;
use super::pages::Directory;
use super::rows::RowDirectory;

/// How an index file begins and ends.
pub(super) const MAGIC: [u8; 8] = *b"CHRPIDX\n";
/// The format that is written, and the only one that is read.
pub(super) const FORMAT_VERSION: u16 = 1;
/// Offset of the tail, its checksum, magic.
const TRAILER_BYTES: usize = 24;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) partition: PartitionId,
    pub(super) first: Position,
    pub(super) rows: u32,
    pub(super) page_rows: u32,
    /// The lowest and the highest id of all spaces.
    pub(super) id_range: (EventId, EventId),
    pub(super) spaces: Spaces,
    pub(super) ids: Directory,
    pub(super) row_pages: RowDirectory,
    /// Rows of each space. Empty if there is but one.
    pub(super) space_rows: ListDirectory,
    pub(super) entities: Dictionary,
    pub(super) types: Dictionary,
    pub(super) tags: Dictionary,
    pub(super) content_types: NameDirectory,
    /// Number of the first chunk that lies in the part as a whole.
    pub(super) first_chunk: u64,
    pub(super) chunks: Vec<Hash>,
    pub(super) parquet_bytes: u64,
    pub(super) parquet_sums: Arc<[u64]>,
    /// Sums of the blocks of this file up to the tail.
    pub(super) sums: Arc<[u64]>,
}

/// Names and their rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dictionary {
    pub(super) names: NameDirectory,
    pub(super) rows: ListDirectory,
}

/// Whose events the part has: ascending by tenant, then fork.
pub(super) type Spaces = Vec<SpaceEntry>;

/// One space. Its names are numbered from where those of the space before end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpaceEntry {
    pub(super) tenant: Arc<str>,
    pub(super) fork: ForkId,
    pub(super) events: u32,
    pub(super) entities_end: u32,
    pub(super) types_end: u32,
    pub(super) tags_end: u32,
}

impl SpaceEntry {
    /// A space that has nothing yet.
    pub(super) fn new(space: Space<'_>) -> SpaceEntry {
        SpaceEntry {
            tenant: space.tenant.into(),
            fork: space.fork,
            events: 0,
            entities_end: 0,
            types_end: 0,
            tags_end: 0,
        }
    }

    pub(super) fn space(&self) -> Space<'_> {
        Space { tenant: &self.tenant, fork: self.fork }
    }
}

impl Tail {
    /// The tail's bytes, to stand at `offset`.
    pub(super) fn encode(&self, offset: u64) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.push(self.partition.get());
        put_varint(&mut out, self.first.get());
        put_varint(&mut out, u64::from(self.rows));
        put_varint(&mut out, u64::from(self.page_rows));
        out.extend_from_slice(&self.id_range.0.to_bytes());
        out.extend_from_slice(&self.id_range.1.to_bytes());
        put_spaces(&mut out, &self.spaces);
        self.ids.encode(&mut out);
        self.row_pages.encode(&mut out);
        self.space_rows.encode(&mut out);
        for dictionary in [&self.entities, &self.types, &self.tags] {
            dictionary.names.encode(&mut out);
            dictionary.rows.encode(&mut out);
        }
        self.content_types.encode(&mut out);
        put_varint(&mut out, self.first_chunk);
        put_varint(&mut out, self.chunks.len() as u64);
        self.chunks.iter().for_each(|root| out.extend_from_slice(&root.0));
        put_varint(&mut out, self.parquet_bytes);
        for sums in [&self.parquet_sums, &self.sums] {
            put_varint(&mut out, sums.len() as u64);
            sums.iter().for_each(|sum| out.extend_from_slice(&sum.to_le_bytes()));
        }
        let checksum = xxh64(&out, 0);
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&MAGIC);
        out
    }

    /// What [`encode`](Self::encode) wrote; `bytes` are known to be what was written.
    pub(super) fn decode(bytes: &[u8]) -> Result<Tail, BadTail> {
        let body = bytes.len().checked_sub(TRAILER_BYTES).ok_or(Malformed("it ends early"))?;
        let mut from = Cursor::new(&bytes[..body]);
        if from.array()? != MAGIC {
            return Err(Malformed("it does not begin as one").into());
        }
        let version = u16::from_le_bytes(from.array()?);
        if version != FORMAT_VERSION {
            return Err(BadTail::Version(version));
        }
        let tail = Tail::decode_body(&mut from)?;
        from.end()?;
        Ok(tail)
    }

    fn decode_body(from: &mut Cursor<'_>) -> Result<Tail, Malformed> {
        let [partition] = from.array()?;
        let partition = PartitionId::of_group(partition).ok_or(Malformed("there is no such partition"))?;
        let first = Position::new(from.varint()?);
        let rows = from.varint32()?;
        let page_rows = from.varint32()?;
        let id_range = (EventId::from_bytes(from.array()?), EventId::from_bytes(from.array()?));
        let spaces = read_spaces(from)?;
        let ids = Directory::decode(from)?;
        let row_pages = RowDirectory::decode(from, rows)?;
        let space_rows = ListDirectory::decode(from)?;
        let entities = Dictionary::decode(from)?;
        let types = Dictionary::decode(from)?;
        let tags = Dictionary::decode(from)?;
        let content_types = NameDirectory::decode(from)?;
        let first_chunk = from.varint()?;
        let chunks = from.count()?;
        let chunks = (0..chunks).map(|_| Ok(Hash(from.array()?))).collect::<Result<_, Malformed>>()?;
        let parquet_bytes = from.varint()?;
        let parquet_sums = read_sums(from)?;
        let sums = read_sums(from)?;
        let tail = Tail {
            partition,
            first,
            rows,
            page_rows,
            id_range,
            spaces,
            ids,
            row_pages,
            space_rows,
            entities,
            types,
            tags,
            content_types,
            first_chunk,
            chunks,
            parquet_bytes,
            parquet_sums,
            sums,
        };
        tail.check()?;
        Ok(tail)
    }

    /// What lookups rely on.
    fn check(&self) -> Result<(), Malformed> {
        let last = self.spaces.last().ok_or(Malformed("it has no space"))?;
        let named = (last.entities_end, last.types_end, last.tags_end);
        if named != (self.entities.names.names, self.types.names.names, self.tags.names.names) {
            return Err(Malformed("its spaces have other names than its dictionaries"));
        }
        if !self.spaces.is_sorted_by(|a, b| a.space() < b.space()) {
            return Err(Malformed("its spaces are not in order"));
        }
        let ends = |s: &SpaceEntry| [s.entities_end, s.types_end, s.tags_end];
        if !self.spaces.is_sorted_by(|a, b| ends(a).iter().zip(ends(b)).all(|(a, b)| *a <= b)) {
            return Err(Malformed("the names of its spaces are not in order"));
        }
        let events: u64 = self.spaces.iter().map(|space| u64::from(space.events)).sum();
        if events != u64::from(self.rows) || self.rows == 0 || self.page_rows == 0 {
            return Err(Malformed("its rows are not those of its spaces"));
        }
        Ok(())
    }
}

impl Dictionary {
    fn decode(from: &mut Cursor<'_>) -> Result<Dictionary, Malformed> {
        Ok(Dictionary { names: NameDirectory::decode(from)?, rows: ListDirectory::decode(from)? })
    }
}

/// Why bytes are no tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadTail {
    Malformed(Malformed),
    /// Of another format.
    Version(u16),
}

impl From<Malformed> for BadTail {
    fn from(malformed: Malformed) -> BadTail {
        BadTail::Malformed(malformed)
    }
}

fn put_spaces(out: &mut Vec<u8>, spaces: &Spaces) {
    put_varint(out, spaces.len() as u64);
    let mut before = [0; 3];
    for space in spaces {
        put_text(out, &space.tenant);
        put_varint(out, space.fork.get());
        put_varint(out, u64::from(space.events));
        let ends = [space.entities_end, space.types_end, space.tags_end];
        for (end, before) in ends.iter().zip(before) {
            put_varint(out, u64::from(end - before));
        }
        before = ends;
    }
}

fn read_spaces(from: &mut Cursor<'_>) -> Result<Spaces, Malformed> {
    let spaces = from.count()?;
    let mut ends = [0_u32; 3];
    (0..spaces)
        .map(|_| {
            let tenant = Arc::from(from.text()?);
            let fork = ForkId::new(from.varint()?);
            let events = from.varint32()?;
            for end in &mut ends {
                *end = end.checked_add(from.varint32()?).ok_or(Malformed("a space has too many names"))?;
            }
            let [entities_end, types_end, tags_end] = ends;
            Ok(SpaceEntry { tenant, fork, events, entities_end, types_end, tags_end })
        })
        .collect()
}

fn read_sums(from: &mut Cursor<'_>) -> Result<Arc<[u64]>, Malformed> {
    let sums = from.count()?;
    (0..sums).map(|_| from.u64()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::tamper;
    use super::super::tests::fixture;
    use super::*;

    #[test]
    fn a_damaged_tail_is_refused_or_harmless() {
        let (bytes, built) = fixture::build(1_000, &fixture::few());
        let tail = &bytes[built.tail.offset as usize..];
        let decode = |bytes: &[u8]| {
            Tail::decode(bytes).map_err(|bad| match bad {
                BadTail::Malformed(malformed) => malformed,
                BadTail::Version(_) => Malformed("another version"),
            })
        };
        tamper(tail, decode, |_| ());
        let decoded = Tail::decode(tail).unwrap();
        assert_eq!(decoded.encode(built.tail.offset), tail);
    }
}
