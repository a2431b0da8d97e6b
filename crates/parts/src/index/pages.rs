//! Sections: rows of pages, each found by its number and unpacked on its own.
//!
//! ```text
//! page = packing u8 (0 plain · 1 zstd) · [length unpacked, varint: zstd only] · bytes
//! ```

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use zstd::bulk::Compressor;

use super::codec::{Cursor, Malformed, put_varint};
use crate::cache::{Cache, FileId, PageKey, PageKind};
use crate::checked::{CheckedFile, Summed};
use crate::fault::Fault;

/// A page unpacks to no more than this: what a damaged length can make a reader allocate.
const UNPACKED_BYTES_MAX: usize = 4 << 20;
/// Part of the format: equal rows must give equal bytes on every replica. Level 19 takes twice the time of building an
/// index to save one byte in fifty.
const ZSTD_LEVEL: i32 = 6;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// The numbers of sections, in the order of the file. They name a page in the cache; they are not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Section {
    Ids,
    Rows,
    SpaceRows,
    EntityNames,
    EntityHashes,
    EntityRows,
    TypeNames,
    TypeHashes,
    TypeRows,
    TagNames,
    TagHashes,
    TagRows,
    ContentTypeNames,
    ContentTypeHashes,
}

/// Where the pages of a section lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directory {
    /// Byte at which the first page starts.
    start: u64,
    /// Where each page ends, counted from `start`.
    ends: Vec<u32>,
}

impl Directory {
    pub(super) fn pages(&self) -> u32 {
        self.ends.len() as u32
    }

    fn range(&self, page: u32) -> Option<Range<u64>> {
        let end = *self.ends.get(page as usize)?;
        let start = page.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        Some(self.start + u64::from(start)..self.start + u64::from(end))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.start);
        put_varint(out, self.ends.len() as u64);
        let mut before = 0;
        for end in &self.ends {
            put_varint(out, u64::from(end - before));
            before = *end;
        }
    }

    pub(super) fn decode(from: &mut Cursor<'_>) -> Result<Directory, Malformed> {
        let start = from.varint()?;
        let pages = from.count()?;
        let mut ends = Vec::with_capacity(pages);
        let mut end = 0_u32;
        for _ in 0..pages {
            end = end.checked_add(from.varint32()?).ok_or(Malformed("a section is too long"))?;
            ends.push(end);
        }
        start.checked_add(u64::from(end)).ok_or(Malformed("a section ends beyond all files"))?;
        Ok(Directory { start, ends })
    }
}

/// Writes section after section.
pub(super) struct SectionWriter<W> {
    out: Summed<W>,
    zstd: Compressor<'static>,
    open: Directory,
}

/// Whether a page's bytes are worth a try at compressing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Zstd,
}

impl<W: Write> SectionWriter<W> {
    pub(super) fn new(out: Summed<W>) -> io::Result<SectionWriter<W>> {
        let mut zstd = Compressor::new(ZSTD_LEVEL)?;
        zstd.include_contentsize(false)?;
        let open = Directory { start: out.summer().bytes(), ends: Vec::new() };
        Ok(SectionWriter { out, zstd, open })
    }

    /// Appends a page to the section at hand.
    pub(super) fn page(&mut self, bytes: &[u8], packing: Packing) -> io::Result<()> {
        let packed = match packing {
            Packing::Plain => None,
            Packing::Zstd => Some(self.zstd.compress(bytes)?).filter(|packed| packed.len() + 3 < bytes.len()),
        };
        let mut head = Vec::with_capacity(4);
        match &packed {
            None => head.push(PLAIN),
            Some(_) => {
                assert!(
                    bytes.len() <= UNPACKED_BYTES_MAX,
                    "a page of {} bytes could not be read",
                    bytes.len()
                );
                head.push(ZSTD);
                put_varint(&mut head, bytes.len() as u64);
            }
        }
        self.out.write_all(&head)?;
        self.out.write_all(packed.as_deref().unwrap_or(bytes))?;
        let end = self.out.summer().bytes() - self.open.start;
        self.open.ends.push(u32::try_from(end).expect("a part's rows keep a section below 4 GiB"));
        Ok(())
    }

    /// Ends the section at hand and begins the next.
    pub(super) fn end_section(&mut self) -> Directory {
        let next = Directory { start: self.out.summer().bytes(), ends: Vec::new() };
        std::mem::replace(&mut self.open, next)
    }

    /// No section follows.
    pub(super) fn finish(self) -> Summed<W> {
        assert!(self.open.ends.is_empty(), "the last section has been ended");
        self.out
    }
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut from = Cursor::new(bytes);
    match from.array::<1>()? {
        [PLAIN] => Ok(from.rest().to_vec()),
        [ZSTD] => {
            let length = from.varint()?;
            if length > UNPACKED_BYTES_MAX as u64 {
                return Err(Malformed("a page unpacks to more than any page holds"));
            }
            let unpacked = zstd::bulk::decompress(from.rest(), length as usize)
                .map_err(|_| Malformed("a page does not unpack"))?;
            if unpacked.len() as u64 != length {
                return Err(Malformed("a page unpacks to another length"));
            }
            Ok(unpacked)
        }
        _ => Err(Malformed("a page is packed in a way that is not known")),
    }
}

/// Reads pages of an index file through the cache.
pub(super) struct PageReader {
    file: CheckedFile,
    cache: Cache,
    id: FileId,
}

impl PageReader {
    pub(super) fn new(file: CheckedFile, cache: &Cache) -> PageReader {
        PageReader { file, cache: cache.clone(), id: cache.register() }
    }

    pub(super) fn handle(&self) -> (&Arc<dyn chronos_env::File>, &std::path::Path) {
        self.file.handle()
    }

    /// The page, as `decode` makes it of its unpacked bytes; the number it gives is how many bytes of memory it takes.
    pub(super) fn page<T: Send + Sync + 'static>(
        &self,
        section: Section,
        directory: &Directory,
        page: u32,
        decode: impl FnOnce(&[u8]) -> Result<(T, usize), Malformed>,
    ) -> Result<Arc<T>, Fault> {
        let key = PageKey { file: self.id, kind: PageKind::Index(section as u8), page };
        self.cache.get_or_load(key, || {
            let range = directory
                .range(page)
                .ok_or_else(|| self.corrupt(section, "it refers to a page that is not there"))?;
            let start = range.start;
            let packed = self.file.read(range)?;
            unpack(&packed).and_then(|bytes| decode(&bytes)).map_err(|Malformed(what)| {
                Fault::corrupt(self.file.path(), start, format!("page {page} of section {section:?}: {what}"))
            })
        })
    }

    /// What two pages say does not fit together.
    pub(super) fn corrupt(&self, section: Section, what: &str) -> Fault {
        Fault::corrupt(self.file.path(), None, format!("section {section:?}: {what}"))
    }
}
