//! Many ascending lists of rows, one after the other as a single array that is read by index.
//!
//! The rows of the n-th name of a dictionary are entries `start..start + count` of the array; the dictionary keeps both
//! numbers. The array is cut into pages of 4,096 entries wherever lists begin or end, and the first entry of each page
//! stays in memory, so that a search in a long list unpacks one page.
//!
//! ```text
//! page = entries varint · first entry varint · for each further entry: zigzag varint of the difference to the one before,
//!        low bytes first, then what is above, so that both compress
//! ```

use std::io;
use std::ops::Range;
use std::sync::Arc;

use chronos_block::Direction;

use super::Row;
use super::codec::{Cursor, Malformed, put_split, put_varint, unzigzag, zigzag};
use super::pages::{Directory, Packing, PageReader, Section, SectionWriter};
use crate::fault::Fault;

const PAGE_ENTRIES: usize = 4096;

/// Where the array lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListDirectory {
    pages: Directory,
    entries: u64,
    /// The first entry of every page.
    firsts: Vec<u32>,
}

impl ListDirectory {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.pages.encode(out);
        put_varint(out, self.entries);
        for first in &self.firsts {
            put_varint(out, u64::from(*first));
        }
    }

    pub(super) fn decode(from: &mut Cursor<'_>) -> Result<ListDirectory, Malformed> {
        let pages = Directory::decode(from)?;
        let entries = from.varint()?;
        if entries.div_ceil(PAGE_ENTRIES as u64) != u64::from(pages.pages()) {
            return Err(Malformed("an array of rows has another number of pages than its entries fill"));
        }
        let firsts = from.varints32(pages.pages() as usize)?;
        Ok(ListDirectory { pages, entries, firsts })
    }
}

/// Writes the array.
pub(super) fn write<W: io::Write>(out: &mut SectionWriter<W>, rows: &[u32]) -> io::Result<ListDirectory> {
    for page in rows.chunks(PAGE_ENTRIES) {
        out.page(&encode(page), Packing::Zstd)?;
    }
    Ok(ListDirectory {
        pages: out.end_section(),
        entries: rows.len() as u64,
        firsts: rows.chunks(PAGE_ENTRIES).map(|page| page[0]).collect(),
    })
}

fn encode(rows: &[u32]) -> Vec<u8> {
    let deltas: Vec<u64> =
        rows.windows(2).map(|pair| zigzag(i64::from(pair[1]) - i64::from(pair[0]))).collect();
    let mut page = Vec::with_capacity(rows.len() * 2);
    put_varint(&mut page, rows.len() as u64);
    put_varint(&mut page, u64::from(rows[0]));
    put_split(&mut page, &deltas);
    page
}

struct ListPage(Vec<u32>);

impl ListPage {
    fn decode(bytes: &[u8]) -> Result<(ListPage, usize), Malformed> {
        let mut from = Cursor::new(bytes);
        let entries = from.count()?;
        if entries == 0 || entries > PAGE_ENTRIES {
            return Err(Malformed("a page of rows has no entry, or too many"));
        }
        let first = from.varint32()?;
        let mut rows = Vec::with_capacity(entries);
        rows.push(first);
        let mut row = i64::from(first);
        for delta in from.split(entries - 1)? {
            row = row.checked_add(unzigzag(delta)).ok_or(Malformed("a row has more than 64 bits"))?;
            rows.push(u32::try_from(row).map_err(|_| Malformed("a row has more than 32 bits"))?);
        }
        from.end()?;
        Ok((ListPage(rows), entries * 4))
    }
}

/// The array, and how to read it.
#[derive(Clone, Copy)]
pub(super) struct Lists<'a> {
    pub(super) pages: &'a PageReader,
    pub(super) section: Section,
    pub(super) directory: &'a ListDirectory,
}

impl<'a> Lists<'a> {
    /// One of the lists.
    pub(super) fn list(self, entries: Range<u64>) -> Result<List<'a>, Fault> {
        if entries.start > entries.end || entries.end > self.directory.entries {
            return Err(self.pages.corrupt(self.section, "a list reaches beyond the array"));
        }
        Ok(List { lists: self, entries, held: None })
    }

    fn page(&self, page: u64) -> Result<Arc<ListPage>, Fault> {
        self.pages.page(self.section, &self.directory.pages, page as u32, ListPage::decode)
    }
}

/// One ascending list of rows.
#[derive(Clone)]
pub(super) struct List<'a> {
    lists: Lists<'a>,
    entries: Range<u64>,
    /// The page that was looked at last.
    held: Option<(u64, Arc<ListPage>)>,
}

impl List<'_> {
    pub(super) fn len(&self) -> u64 {
        self.entries.end - self.entries.start
    }

    /// Appends the rows with these indexes in the list to `rows`.
    pub(super) fn read(&mut self, indexes: Range<u64>, rows: &mut Vec<Row>) -> Result<(), Fault> {
        assert!(indexes.end <= self.len(), "rows {indexes:?} of a list of {}", self.len());
        let (mut at, end) = (self.entries.start + indexes.start, self.entries.start + indexes.end);
        while at < end {
            let page = at / PAGE_ENTRIES as u64;
            let until = end.min((page + 1) * PAGE_ENTRIES as u64);
            rows.extend(self.slice(page, at..until)?.iter().copied().map(Row));
            at = until;
        }
        Ok(())
    }

    /// How many rows of the list are before `row`.
    pub(super) fn count_before(&mut self, row: Row) -> Result<u64, Fault> {
        if self.entries.is_empty() {
            return Ok(0);
        }
        // Of the pages that begin within the list, the last one whose first entry is before `row` has the border;
        // if there is none, the page does in which the list begins.
        let first_page = self.entries.start / PAGE_ENTRIES as u64;
        let last_page = (self.entries.end - 1) / PAGE_ENTRIES as u64;
        let firsts = &self.lists.directory.firsts[first_page as usize + 1..=last_page as usize];
        let page = first_page + firsts.partition_point(|first| *first < row.0) as u64;
        let start = self.entries.start.max(page * PAGE_ENTRIES as u64);
        let end = self.entries.end.min((page + 1) * PAGE_ENTRIES as u64);
        let before = self.slice(page, start..end)?.partition_point(|entry| *entry < row.0) as u64;
        Ok(start - self.entries.start + before)
    }

    /// The row of the list that is nearest to `row` in the direction, `row` itself included.
    pub(super) fn seek(&mut self, row: Row, direction: Direction) -> Result<Option<Row>, Fault> {
        let index = match (direction, row.0.checked_add(1)) {
            (Direction::Forward, _) => Some(self.count_before(row)?),
            (Direction::Backward, None) => self.len().checked_sub(1),
            (Direction::Backward, Some(next)) => self.count_before(Row(next))?.checked_sub(1),
        };
        match index {
            Some(index) if index < self.len() => self.get(index).map(Some),
            _ => Ok(None),
        }
    }

    fn get(&mut self, index: u64) -> Result<Row, Fault> {
        let at = self.entries.start + index;
        Ok(Row(self.slice(at / PAGE_ENTRIES as u64, at..at + 1)?[0]))
    }

    /// These entries of the array, which lie in this page: exactly as many.
    fn slice(&mut self, page: u64, entries: Range<u64>) -> Result<&[u32], Fault> {
        if self.held.as_ref().is_none_or(|(held, _)| *held != page) {
            self.held = Some((page, self.lists.page(page)?));
        }
        let (_, held) = self.held.as_ref().expect("the page was put here just now");
        let base = page * PAGE_ENTRIES as u64;
        held.0.get((entries.start - base) as usize..(entries.end - base) as usize).ok_or_else(|| {
            self.lists.pages.corrupt(self.lists.section, "a page has fewer rows than its directory says")
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::tests::tamper;
    use super::*;

    proptest! {
        #[test]
        fn rows_come_back(rows in prop::collection::vec(prop_oneof![any::<u32>(), 0..300_u32], 1..200)) {
            prop_assert_eq!(ListPage::decode(&encode(&rows)).unwrap().0.0, rows);
        }
    }

    #[test]
    fn a_damaged_page_is_refused_or_harmless() {
        let rows: Vec<u32> = (0..60).map(|i| i * i * 31 % 1_000).collect();
        tamper(&encode(&rows), ListPage::decode, |_| ());
    }
}
