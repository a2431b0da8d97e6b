//! Dictionaries: sorted names, and for each where its rows are.
//!
//! A name's *number* is its rank among all names of the dictionary, ordered by space, then by bytes: the names of a
//! space are a range of numbers, and so are those with a common prefix in it. Pages hold 128 names. A dictionary of
//! more than one page has a table of hashes beside it, so that a name is found in two pages and, hardly ever in vain,
//! not found in one.
//!
//! ```text
//! page = names varint · start of the first name's list varint · bytes shared with the name before, varints ·
//!        further bytes, varints · rows of each, varints · notes, varints · all further bytes
//! ```

use std::io;
use std::ops::Range;
use std::sync::Arc;

use chronos_domain::xxh64::xxh64;

use super::codec::{Cursor, Malformed, put_varint};
use super::hashes::{self, Hashes};
use super::pages::{Directory, Packing, PageReader, Section, SectionWriter};
use crate::fault::Fault;

/// Names of a page.
pub(super) const PAGE_NAMES: u32 = 128;
/// A page's names unpack to no more than this.
const PAGE_TEXT_BYTES_MAX: usize = PAGE_NAMES as usize * NAME_BYTES_MAX;
const NAME_BYTES_MAX: usize = chronos_domain::limits::ENTITY_ID_BYTES_MAX;
const _: () = assert!(NAME_BYTES_MAX >= chronos_domain::limits::EVENT_TYPE_BYTES_MAX);
const _: () = assert!(NAME_BYTES_MAX >= chronos_domain::limits::CONTENT_TYPE_BYTES_MAX);
const _: () = assert!(NAME_BYTES_MAX >= chronos_domain::limits::TAG_BYTES_MAX);

/// What finds a name in the table of hashes. `space` is the number of its space, 0 where spaces share a dictionary.
pub(super) fn hash(space: u32, name: &str) -> u64 {
    xxh64(name.as_bytes(), u64::from(space))
}

/// Where a dictionary lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NameDirectory {
    /// How many names it has.
    pub(super) names: u32,
    pages: Directory,
    /// Empty unless there are several pages.
    hashes: Directory,
}

impl NameDirectory {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.names));
        self.pages.encode(out);
        self.hashes.encode(out);
    }

    pub(super) fn decode(from: &mut Cursor<'_>) -> Result<NameDirectory, Malformed> {
        let names = from.varint32()?;
        let pages = Directory::decode(from)?;
        let hashes = Directory::decode(from)?;
        if names.div_ceil(PAGE_NAMES) != pages.pages() {
            return Err(Malformed("a dictionary has another number of pages than its names fill"));
        }
        if (pages.pages() > 1) != (hashes.pages() > 0) {
            return Err(Malformed("a dictionary lacks its hashes, or has some that are not needed"));
        }
        Ok(NameDirectory { names, pages, hashes })
    }
}

/// A name as it is written.
pub(super) struct Entry<'a> {
    pub(super) space: u32,
    pub(super) name: &'a str,
    pub(super) rows: u32,
    pub(super) note: u64,
}

/// Writes the dictionary of names that come in order.
pub(super) fn write<'a, W: io::Write>(
    out: &mut SectionWriter<W>,
    entries: impl Iterator<Item = Entry<'a>>,
) -> io::Result<NameDirectory> {
    let mut all_hashes = Vec::new();
    let mut start = 0;
    let mut page: Vec<Entry<'_>> = Vec::with_capacity(PAGE_NAMES as usize);
    for entry in entries {
        all_hashes.push(hash(entry.space, entry.name));
        page.push(entry);
        if page.len() == PAGE_NAMES as usize {
            out.page(&encode(&page, start), Packing::Zstd)?;
            start += page.drain(..).map(|entry| u64::from(entry.rows)).sum::<u64>();
        }
    }
    if !page.is_empty() {
        out.page(&encode(&page, start), Packing::Zstd)?;
    }
    let pages = out.end_section();
    if pages.pages() <= 1 {
        return Ok(NameDirectory { names: all_hashes.len() as u32, pages, hashes: Directory::default() });
    }
    let hashes = hashes::write(out, &all_hashes)?;
    Ok(NameDirectory { names: all_hashes.len() as u32, pages, hashes })
}

fn encode(entries: &[Entry<'_>], start: u64) -> Vec<u8> {
    let mut before: &[u8] = &[];
    let shared: Vec<usize> = entries
        .iter()
        .map(|entry| {
            let name = entry.name.as_bytes();
            let shared = name.iter().zip(before).take_while(|(a, b)| a == b).count();
            before = name;
            shared
        })
        .collect();
    let mut page = Vec::new();
    put_varint(&mut page, entries.len() as u64);
    put_varint(&mut page, start);
    for shared in &shared {
        put_varint(&mut page, *shared as u64);
    }
    for (entry, shared) in entries.iter().zip(&shared) {
        put_varint(&mut page, (entry.name.len() - shared) as u64);
    }
    for entry in entries {
        put_varint(&mut page, u64::from(entry.rows));
    }
    for entry in entries {
        put_varint(&mut page, entry.note);
    }
    for (entry, shared) in entries.iter().zip(&shared) {
        page.extend_from_slice(&entry.name.as_bytes()[*shared..]);
    }
    page
}

/// A page, unpacked.
struct NamePage {
    text: String,
    /// Where each name ends in `text`.
    ends: Vec<u32>,
    /// Where each name's list starts, and where the last one ends.
    starts: Vec<u64>,
    notes: Vec<u64>,
}

impl NamePage {
    fn decode(bytes: &[u8]) -> Result<(NamePage, usize), Malformed> {
        let mut from = Cursor::new(bytes);
        let names = from.count()?;
        if names > PAGE_NAMES as usize {
            return Err(Malformed("a page has too many names"));
        }
        let mut start = from.varint()?;
        let shared = from.varints32(names)?;
        let further = from.varints32(names)?;
        let mut starts = Vec::with_capacity(names + 1);
        starts.push(start);
        for _ in 0..names {
            start = start.checked_add(from.varint()?).ok_or(Malformed("a list is too long"))?;
            starts.push(start);
        }
        let notes: Vec<u64> = (0..names).map(|_| from.varint()).collect::<Result<_, _>>()?;
        let (text, ends) = unfold(&mut from, &shared, &further)?;
        from.end()?;
        let weight = text.len() + names * 20 + 8;
        Ok((NamePage { text, ends, starts, notes }, weight))
    }

    fn name(&self, slot: usize) -> &str {
        let start = slot.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[slot] as usize]
    }
}

/// Puts names together from what each shares with the one before and what it adds.
fn unfold(from: &mut Cursor<'_>, shared: &[u32], further: &[u32]) -> Result<(String, Vec<u32>), Malformed> {
    let mut text = Vec::new();
    let mut ends = Vec::with_capacity(shared.len());
    let mut before = 0..0;
    for (shared, further) in shared.iter().zip(further) {
        if *shared as usize > before.len() {
            return Err(Malformed("a name shares more than the one before has"));
        }
        let start = text.len();
        text.extend_from_within(before.start..before.start + *shared as usize);
        text.extend_from_slice(from.take(*further as usize)?);
        if text.len() > PAGE_TEXT_BYTES_MAX {
            return Err(Malformed("a page has more text than any"));
        }
        before = start..text.len();
        ends.push(text.len() as u32);
    }
    let text = String::from_utf8(text).map_err(|_| Malformed("a name is not UTF-8"))?;
    if !ends.iter().all(|end| text.is_char_boundary(*end as usize)) {
        return Err(Malformed("a name is not UTF-8"));
    }
    Ok((text, ends))
}

/// A name that lies in a page in memory. Cheap to clone; keeps the page.
#[derive(Clone)]
pub(crate) struct Name {
    page: Arc<NamePage>,
    number: u32,
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        self.page.name(self.slot())
    }

    /// Which entries of the array of rows are those of this name.
    pub(super) fn list(&self) -> Range<u64> {
        let slot = self.slot();
        self.page.starts[slot]..self.page.starts[slot + 1]
    }

    /// What the dictionary notes of the name besides: an entity's first version, a type's raw bytes.
    pub(super) fn note(&self) -> u64 {
        self.page.notes[self.slot()]
    }

    fn slot(&self) -> usize {
        (self.number % PAGE_NAMES) as usize
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A dictionary, and how to read it.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) pages: &'a PageReader,
    pub(super) names: Section,
    pub(super) hashes: Section,
    pub(super) directory: &'a NameDirectory,
}

impl Names<'_> {
    /// The name of this number.
    pub(super) fn get(&self, number: u32) -> Result<Name, Fault> {
        self.in_page(self.page(number / PAGE_NAMES)?, number)
    }

    fn in_page(&self, page: Arc<NamePage>, number: u32) -> Result<Name, Fault> {
        let name = Name { page, number };
        if name.slot() >= name.page.ends.len() {
            return Err(self.pages.corrupt(self.names, "it is asked for a name it does not have"));
        }
        Ok(name)
    }

    /// The name, looked up in the space whose names are `numbers`.
    pub(super) fn find(&self, space: u32, numbers: Range<u32>, name: &str) -> Result<Option<Name>, Fault> {
        if self.directory.hashes.pages() == 0 {
            let number = self.first_not(numbers.clone(), |other| other < name)?;
            return self.confirm(number, &numbers, name);
        }
        let hashes = Hashes { pages: self.pages, section: self.hashes, directory: &self.directory.hashes };
        for number in hashes.candidates(hash(space, name))? {
            if let Some(found) = self.confirm(number, &numbers, name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The numbers of those of `numbers`, which are the names of one space, that start with `prefix`.
    pub(super) fn with_prefix(&self, numbers: Range<u32>, prefix: &str) -> Result<Range<u32>, Fault> {
        let start = self.first_not(numbers.clone(), |name| name < prefix)?;
        let end = self.first_not(start..numbers.end, |name| name.starts_with(prefix))?;
        Ok(start..end)
    }

    fn confirm(&self, number: u32, numbers: &Range<u32>, name: &str) -> Result<Option<Name>, Fault> {
        if !numbers.contains(&number) {
            return Ok(None);
        }
        let found = self.get(number)?;
        Ok((found.as_str() == name).then_some(found))
    }

    /// The first of `numbers` whose name is not `below`; the names that are come first.
    fn first_not(&self, numbers: Range<u32>, below: impl Fn(&str) -> bool) -> Result<u32, Fault> {
        let (mut low, mut high) = (numbers.start, numbers.end);
        let mut held: Option<Name> = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let name = match held.take() {
                Some(name) if name.number / PAGE_NAMES == middle / PAGE_NAMES => {
                    self.in_page(name.page, middle)?
                }
                _ => self.get(middle)?,
            };
            if below(name.as_str()) {
                low = middle + 1;
            } else {
                high = middle;
            }
            held = Some(name);
        }
        Ok(low)
    }

    fn page(&self, page: u32) -> Result<Arc<NamePage>, Fault> {
        self.pages.page(self.names, &self.directory.pages, page, NamePage::decode)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::tests::tamper;
    use super::*;

    fn page(names: &[(String, u32, u64)]) -> Vec<u8> {
        let entries: Vec<Entry<'_>> = names
            .iter()
            .map(|(name, rows, note)| Entry { space: 0, name, rows: *rows, note: *note })
            .collect();
        encode(&entries, 77)
    }

    fn look(page: NamePage) -> Vec<(String, Range<u64>, u64)> {
        let page = Arc::new(page);
        let name = |number| Name { page: Arc::clone(&page), number };
        let names = (0..page.ends.len() as u32).map(name);
        names.map(|name| (name.as_str().to_owned(), name.list(), name.note())).collect()
    }

    proptest! {
        #[test]
        fn names_come_back(names in prop::collection::vec(("[a-cé水]{0,6}", 0..9_u32, any::<u64>()), 0..PAGE_NAMES as usize)) {
            let found = look(NamePage::decode(&page(&names)).unwrap().0);
            let mut start = 77;
            for ((name, rows, note), found) in names.iter().zip(&found) {
                let list = start..start + u64::from(*rows);
                start = list.end;
                prop_assert_eq!(found, &(name.clone(), list, *note));
            }
            prop_assert_eq!(found.len(), names.len());
        }
    }

    #[test]
    fn a_damaged_page_is_refused_or_harmless() {
        let names = ["", "order-1", "order-12", "order-é", "order-é水", "水"];
        let names: Vec<_> =
            names.iter().zip(1..).map(|(name, i)| (name.to_string(), i, u64::from(i))).collect();
        tamper(&page(&names), NamePage::decode, |(page, _)| _ = look(page));
    }
}
