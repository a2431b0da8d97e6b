//! The bytes of a manifest. Layout in `MANIFEST.md`.

use std::fmt::Display;

use bytes::{BufMut, Bytes};
use chronos_domain::xxh64::xxh64;
use chronos_domain::{EntityId, ForkId, LogIndex, PartitionId, Position, TenantId, Timestamp, Version};
use chronos_proof::{Frontier, Hash};

use super::{Manifest, Tombstones};
use crate::meta::{FileMeta, IndexTail, PartMeta};

const MAGIC: [u8; 8] = *b"CHRONOMF";
/// What is written.
const FORMAT: u16 = 2;
/// What is read besides: nothing in it tells term and members, because there was one node and one term.
const FORMAT_ALONE: u16 = 1;
/// The term of everything that was written with that format.
const TERM_ALONE: u64 = 1;
const CHECKSUM_BYTES: usize = 8;
const RELEASE: &str = env!("CARGO_PKG_VERSION");
/// Bytes of one part's record.
const PART_BYTES: usize = 217;
/// Bytes of the shortest tombstone: two names of one byte each.
const TOMBSTONE_BYTES_MIN: usize = 22;

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They are not what was written.
    #[error("{0}")]
    Damaged(String),
    /// They are whole, and of a format this release does not know.
    #[error("it has format {found}, written by release {release}; this release reads formats up to {FORMAT}")]
    Newer {
        /// The format they say they have.
        found: u16,
        /// The release that wrote them.
        release: String,
    },
}

pub(super) fn encode(manifest: &Manifest) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + manifest.parts.len() * PART_BYTES);
    out.put_slice(&MAGIC);
    out.put_u16_le(FORMAT);
    put_text(&mut out, RELEASE);
    out.put_u128(manifest.cluster);
    out.put_u8(manifest.partition.get());
    out.put_u64_le(manifest.sequence);
    out.put_u64_le(manifest.cut);
    out.put_u64_le(manifest.applied.get());
    out.put_u64_le(manifest.applied_term);
    out.put_u16_le(u16::try_from(manifest.members.len()).expect("members are described in less than 64 KiB"));
    out.put_slice(&manifest.members);
    out.put_u64_le(manifest.compacted.get());
    out.put_i64_le(manifest.recorded_at.get());
    out.put_u64_le(manifest.entities);
    out.put_slice(&manifest.chain.0);
    let frontier = manifest.frontier.encode();
    out.put_u16_le(u16::try_from(frontier.len()).expect("a frontier has at most 64 peaks"));
    out.put_slice(&frontier);
    out.put_u32_le(u32::try_from(manifest.tombstones.len()).expect("tombstones are held in memory"));
    for (tenant, fork, entity, before) in manifest.tombstones.iter() {
        put_text(&mut out, tenant.as_str());
        out.put_u64_le(fork.get());
        put_text(&mut out, entity.as_str());
        out.put_u64_le(before.get());
    }
    out.put_u32_le(u32::try_from(manifest.parts.len()).expect("a directory holds fewer files"));
    manifest.parts.iter().for_each(|part| put_part(&mut out, part));
    out.put_u64_le(xxh64(&out, 0));
    out
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_u16_le(u16::try_from(text.len()).expect("names are bounded far below 64 KiB"));
    out.put_slice(text.as_bytes());
}

fn put_part(out: &mut Vec<u8>, part: &PartMeta) {
    let start = out.len();
    out.put_u64_le(part.first.get());
    out.put_u64_le(part.last.get());
    out.put_u64_le(part.cut);
    out.put_u8(part.level);
    out.put_u64_le(part.raw_bytes);
    out.put_u64_le(part.erased);
    for file in [part.parquet, part.index] {
        out.put_u64_le(file.bytes);
        out.put_slice(&file.sha256.0);
    }
    out.put_i64_le(part.recorded.0.get());
    out.put_i64_le(part.recorded.1.get());
    out.put_slice(&part.chain_before.0);
    out.put_slice(&part.chain_after.0);
    out.put_u64_le(part.index_tail.offset);
    out.put_u64_le(part.index_tail.xxh64);
    assert!(out.len() - start == PART_BYTES, "a part's record has a fixed length");
}

pub(super) fn decode(bytes: &[u8]) -> Result<Manifest, Malformed> {
    // Checksum first: in every format it is the last eight bytes, so a flipped bit is never taken for a new format.
    let (summed, checksum) =
        bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| damaged("it is shorter than a checksum"))?;
    if xxh64(summed, 0) != u64::from_le_bytes(*checksum) {
        return Err(damaged("its checksum does not match"));
    }
    let mut fields = Fields(summed);
    if fields.array()? != MAGIC {
        return Err(damaged("its magic is missing"));
    }
    let format = u16::from_le_bytes(fields.array()?);
    let release = fields.text()?.to_owned();
    if format != FORMAT && format != FORMAT_ALONE {
        return Err(Malformed::Newer { found: format, release });
    }
    let manifest = decode_fields(&mut fields, format)?;
    if !fields.0.is_empty() {
        return Err(damaged(format!("{} bytes follow its end", fields.0.len())));
    }
    Ok(manifest)
}

fn decode_fields(fields: &mut Fields<'_>, format: u16) -> Result<Manifest, Malformed> {
    let cluster = u128::from_be_bytes(fields.array()?);
    let partition = fields.u8()?;
    let partition = PartitionId::of_group(partition)
        .ok_or_else(|| damaged(format!("there is no partition {partition}")))?;
    let (sequence, cut, applied) = (fields.u64()?, fields.u64()?, LogIndex::new(fields.u64()?));
    let (applied_term, members) = match format {
        FORMAT_ALONE if applied == LogIndex::ZERO => (0, Bytes::new()),
        FORMAT_ALONE => (TERM_ALONE, Bytes::new()),
        _ => (fields.u64()?, fields.members()?),
    };
    Ok(Manifest {
        cluster,
        partition,
        sequence,
        cut,
        applied,
        applied_term,
        members,
        compacted: Position::new(fields.u64()?),
        recorded_at: Timestamp::new(fields.i64()?),
        entities: fields.u64()?,
        chain: fields.hash()?,
        frontier: fields.frontier()?,
        tombstones: fields.tombstones()?,
        parts: fields.parts()?,
    })
}

/// What has not been read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.bytes(N)?.try_into().expect("as many bytes were taken"))
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    fn hash(&mut self) -> Result<Hash, Malformed> {
        Ok(Hash(self.array()?))
    }

    fn members(&mut self) -> Result<Bytes, Malformed> {
        let len = u16::from_le_bytes(self.array()?);
        Ok(Bytes::copy_from_slice(self.bytes(usize::from(len))?))
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let len = u16::from_le_bytes(self.array()?);
        std::str::from_utf8(self.bytes(usize::from(len))?).map_err(|_| damaged("a name in it is not text"))
    }

    /// How many records follow, of at least `bytes_min` each: what is allocated for them is bounded by the file.
    fn count(&mut self, bytes_min: usize) -> Result<usize, Malformed> {
        let count = u32::from_le_bytes(self.array()?) as usize;
        if count > self.0.len() / bytes_min {
            return Err(damaged(format!("it cannot hold the {count} records it announces")));
        }
        Ok(count)
    }

    fn frontier(&mut self) -> Result<Frontier, Malformed> {
        let len = u16::from_le_bytes(self.array()?);
        Frontier::decode(self.bytes(usize::from(len))?).map_err(damaged)
    }

    fn tombstones(&mut self) -> Result<Tombstones, Malformed> {
        let mut tombstones = Tombstones::default();
        for _ in 0..self.count(TOMBSTONE_BYTES_MIN)? {
            let tenant = TenantId::parse(self.text()?).map_err(damaged)?;
            let fork = ForkId::new(self.u64()?);
            let entity = EntityId::parse(self.text()?).map_err(damaged)?;
            if !tombstones.insert(&tenant, fork, &entity, Version::new(self.u64()?)) {
                return Err(damaged(format!("the truncation of {entity} says nothing")));
            }
        }
        Ok(tombstones)
    }

    fn parts(&mut self) -> Result<Vec<PartMeta>, Malformed> {
        (0..self.count(PART_BYTES)?).map(|_| self.part()).collect()
    }

    fn part(&mut self) -> Result<PartMeta, Malformed> {
        Ok(PartMeta {
            first: Position::new(self.u64()?),
            last: Position::new(self.u64()?),
            cut: self.u64()?,
            level: self.u8()?,
            raw_bytes: self.u64()?,
            erased: self.u64()?,
            parquet: self.file()?,
            index: self.file()?,
            recorded: (Timestamp::new(self.i64()?), Timestamp::new(self.i64()?)),
            chain_before: self.hash()?,
            chain_after: self.hash()?,
            index_tail: IndexTail { offset: self.u64()?, xxh64: self.u64()? },
        })
    }

    fn file(&mut self) -> Result<FileMeta, Malformed> {
        Ok(FileMeta { bytes: self.u64()?, sha256: self.hash()? })
    }
}

fn damaged(what: impl Display) -> Malformed {
    Malformed::Damaged(what.to_string())
}
