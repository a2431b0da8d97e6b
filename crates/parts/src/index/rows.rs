//! What the index says of each row: everything about an event but its id and its bytes.
//!
//! A page holds 1,024 rows by columns. Names are numbers of the dictionaries. Entities and sets of tags are spelled out
//! when a page meets them first, and referred to from then on: by how many others were met since. Versions have no
//! gaps, so that only the first of an entity in the page is written.
//!
//! ```text
//! page = rows varint · entities varint · sets of tags varint
//!        entities, each once: number as zigzag difference to the one before, split · first version here, split
//!        sets of tags, each once: tags varint · first number varint, then differences
//!        of each row: entity, split · type varint · content type varint · set of tags varint · flags u8
//!        recorded: first zigzag · unit varint · differences in units, split
//!        occurred, of the rows that have it: the same, differences zigzag
//! a reference = 0 for one that is new, else 1 + how many others were met first since it was
//! flags = 1 erased · 2 occurred_at is known
//! ```

use std::io;
use std::ops::Range;

use chronos_domain::limits::TAGS_MAX;

use super::Row;
use super::codec::{Cursor, Malformed, put_split, put_varint, unzigzag, zigzag};
use super::pages::{Directory, Packing, SectionWriter};

/// Rows of a page.
pub(super) const PAGE_ROWS: u32 = 1024;

const ERASED: u8 = 1;
const OCCURRED: u8 = 2;

/// A row whose names are numbers of the dictionaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberedRow<'a> {
    pub(super) entity: u32,
    pub(super) version: u64,
    pub(super) event_type: u32,
    pub(super) content_type: u32,
    /// Ascending.
    pub(super) tags: &'a [u32],
    pub(super) occurred_at: Option<i64>,
    pub(super) recorded_at: i64,
    pub(super) erased: bool,
}

/// Writes one page.
pub(super) fn write_page<W: io::Write>(
    out: &mut SectionWriter<W>,
    rows: &[NumberedRow<'_>],
) -> io::Result<()> {
    out.page(&encode(rows), Packing::Zstd)
}

fn encode(rows: &[NumberedRow<'_>]) -> Vec<u8> {
    let mut entities = Met::default();
    let mut versions = Vec::new();
    let mut entity_refs = Vec::with_capacity(rows.len());
    let mut sets = Met::default();
    let mut set_refs = Vec::with_capacity(rows.len());
    for row in rows {
        let (reference, new) = entities.refer(row.entity);
        if new {
            versions.push(row.version);
        }
        entity_refs.push(reference);
        set_refs.push(sets.refer(row.tags).0);
    }
    let mut page = Vec::with_capacity(rows.len() * 8);
    put_varint(&mut page, rows.len() as u64);
    put_varint(&mut page, entities.met.len() as u64);
    put_varint(&mut page, sets.met.len() as u64);
    let mut before = 0;
    let differences: Vec<u64> = entities
        .met
        .iter()
        .map(|entity| zigzag(i64::from(*entity) - std::mem::replace(&mut before, i64::from(*entity))))
        .collect();
    put_split(&mut page, &differences);
    put_split(&mut page, &versions);
    sets.met.iter().for_each(|set| put_set(&mut page, set));
    put_split(&mut page, &entity_refs);
    rows.iter().for_each(|row| put_varint(&mut page, u64::from(row.event_type)));
    rows.iter().for_each(|row| put_varint(&mut page, u64::from(row.content_type)));
    set_refs.iter().for_each(|set| put_varint(&mut page, *set));
    page.extend(rows.iter().map(flags));
    put_moments(&mut page, rows.iter().map(|row| row.recorded_at));
    put_moments(&mut page, rows.iter().filter_map(|row| row.occurred_at));
    page
}

fn flags(row: &NumberedRow<'_>) -> u8 {
    let erased = if row.erased { ERASED } else { 0 };
    let occurred = if row.occurred_at.is_some() { OCCURRED } else { 0 };
    erased | occurred
}

fn put_set(page: &mut Vec<u8>, set: &[u32]) {
    put_varint(page, set.len() as u64);
    let mut before = 0;
    for tag in set {
        put_varint(page, u64::from(tag - before));
        before = *tag;
    }
}

/// Things in the order in which a page met them first.
struct Met<T> {
    met: Vec<T>,
    /// Where each stands in `met`.
    places: std::collections::BTreeMap<T, usize>,
}

impl<T> Default for Met<T> {
    fn default() -> Met<T> {
        Met { met: Vec::new(), places: std::collections::BTreeMap::new() }
    }
}

impl<T: Ord + Copy> Met<T> {
    /// The reference to `thing`, and whether this is the first.
    fn refer(&mut self, thing: T) -> (u64, bool) {
        match self.places.get(&thing) {
            Some(place) => ((self.met.len() - place) as u64, false),
            None => {
                self.places.insert(thing, self.met.len());
                self.met.push(thing);
                (0, true)
            }
        }
    }
}

/// Follows references among `known` things, all of which have to be met in turn.
struct Refs {
    known: usize,
    met: usize,
}

impl Refs {
    /// Which of the things, by the order of meeting.
    fn follow(&mut self, reference: u64) -> Result<usize, Malformed> {
        match reference {
            0 if self.met < self.known => {
                self.met += 1;
                Ok(self.met - 1)
            }
            back if back > 0 && back <= self.met as u64 => Ok(self.met - back as usize),
            _ => Err(Malformed("a row refers to what the page does not have")),
        }
    }
}

fn put_moments(page: &mut Vec<u8>, moments: impl Iterator<Item = i64>) {
    let moments: Vec<i64> = moments.collect();
    let Some(first) = moments.first() else { return };
    let differences: Vec<i64> = moments.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    let unit = differences.iter().fold(0, |unit, d| greatest_common_divisor(unit, d.unsigned_abs())).max(1);
    put_varint(page, zigzag(*first));
    put_varint(page, unit);
    // A unit beyond i64 divides only its own multiples, of which i64::MIN is the one.
    let in_units: Vec<u64> = differences.iter().map(|d| zigzag(divide(*d, unit))).collect();
    put_split(page, &in_units);
}

fn divide(difference: i64, unit: u64) -> i64 {
    (i128::from(difference) / i128::from(unit)) as i64
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn moments(from: &mut Cursor<'_>, n: usize) -> Result<Vec<i64>, Malformed> {
    if n == 0 {
        return Ok(Vec::new());
    }
    let mut moment = unzigzag(from.varint()?);
    let unit = from.varint()?;
    let mut moments = Vec::with_capacity(n);
    moments.push(moment);
    for difference in from.split(n - 1)? {
        moment = moment.wrapping_add(unzigzag(difference).wrapping_mul(unit as i64));
        moments.push(moment);
    }
    Ok(moments)
}

/// A page, unpacked.
pub(super) struct RowPage {
    entities: Vec<u32>,
    versions: Vec<u64>,
    types: Vec<u32>,
    content_types: Vec<u32>,
    /// Which set of tags each row has.
    sets: Vec<u16>,
    set_ends: Vec<u32>,
    tags: Vec<u32>,
    flags: Vec<u8>,
    recorded: Vec<i64>,
    /// 0 for rows that do not have it.
    occurred: Vec<i64>,
}

impl RowPage {
    pub(super) fn decode(bytes: &[u8]) -> Result<(RowPage, usize), Malformed> {
        let mut from = Cursor::new(bytes);
        let (rows, met_entities, met_sets) = (from.count()?, from.count()?, from.count()?);
        if rows > PAGE_ROWS as usize || met_entities > rows || met_sets > rows {
            return Err(Malformed("a page has more rows, or more to refer to, than any"));
        }
        let met = met_numbers(&mut from, met_entities)?;
        let mut met_versions = from.split(met_entities)?;
        let (set_ends, tags) = read_sets(&mut from, met_sets)?;
        let mut refs = Refs { known: met_entities, met: 0 };
        let mut entities = Vec::with_capacity(rows);
        let mut versions = Vec::with_capacity(rows);
        for reference in from.split(rows)? {
            let place = refs.follow(reference)?;
            entities.push(met[place]);
            versions.push(met_versions[place]);
            met_versions[place] =
                met_versions[place].checked_add(1).ok_or(Malformed("a version is too high"))?;
        }
        let types = from.varints32(rows)?;
        let content_types = from.varints32(rows)?;
        let mut refs = Refs { known: met_sets, met: 0 };
        let sets = (0..rows)
            .map(|_| Ok(refs.follow(from.varint()?)? as u16))
            .collect::<Result<Vec<u16>, Malformed>>()?;
        let flags = from.take(rows)?.to_vec();
        let recorded = moments(&mut from, rows)?;
        let known = flags.iter().filter(|flags| *flags & OCCURRED != 0).count();
        let mut occurred_known = moments(&mut from, known)?.into_iter();
        from.end()?;
        let occurred = flags
            .iter()
            .map(|flags| if flags & OCCURRED != 0 { occurred_known.next().unwrap_or_default() } else { 0 })
            .collect();
        let weight = rows * 39 + set_ends.len() * 4 + tags.len() * 4;
        let page = RowPage {
            entities,
            versions,
            types,
            content_types,
            sets,
            set_ends,
            tags,
            flags,
            recorded,
            occurred,
        };
        Ok((page, weight))
    }

    pub(super) fn len(&self) -> u32 {
        self.entities.len() as u32
    }

    /// The row with this index in the page.
    pub(super) fn get(&self, slot: usize) -> NumberedRow<'_> {
        NumberedRow {
            entity: self.entities[slot],
            version: self.versions[slot],
            event_type: self.types[slot],
            content_type: self.content_types[slot],
            tags: self.tags_of(slot),
            occurred_at: (self.flags[slot] & OCCURRED != 0).then(|| self.occurred[slot]),
            recorded_at: self.recorded[slot],
            erased: self.flags[slot] & ERASED != 0,
        }
    }

    /// Versions and moments alone.
    pub(super) fn recorded(&self) -> &[i64] {
        &self.recorded
    }

    fn tags_of(&self, slot: usize) -> &[u32] {
        let set = usize::from(self.sets[slot]);
        let start = set.checked_sub(1).map_or(0, |before| self.set_ends[before]);
        &self.tags[start as usize..self.set_ends[set] as usize]
    }
}

fn met_numbers(from: &mut Cursor<'_>, n: usize) -> Result<Vec<u32>, Malformed> {
    let mut number = 0_i64;
    let mut next = |difference: u64| {
        number =
            number.checked_add(unzigzag(difference)).ok_or(Malformed("a number has more than 64 bits"))?;
        u32::try_from(number).map_err(|_| Malformed("a number has more than 32 bits"))
    };
    from.split(n)?.into_iter().map(&mut next).collect()
}

/// Where each set ends, and the tags of all.
fn read_sets(from: &mut Cursor<'_>, sets: usize) -> Result<(Vec<u32>, Vec<u32>), Malformed> {
    let mut ends = Vec::with_capacity(sets);
    let mut tags = Vec::new();
    for _ in 0..sets {
        let size = from.count()?;
        if size > TAGS_MAX {
            return Err(Malformed("a row has more tags than an event may carry"));
        }
        let mut tag = 0_u32;
        for _ in 0..size {
            tag = tag.checked_add(from.varint32()?).ok_or(Malformed("a number has more than 32 bits"))?;
            tags.push(tag);
        }
        ends.push(tags.len() as u32);
    }
    Ok((ends, tags))
}

/// Where the pages of rows lie, and when the first row of each was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowDirectory {
    pub(super) pages: Directory,
    pub(super) recorded: Vec<i64>,
}

impl RowDirectory {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.pages.encode(out);
        let mut before = 0_i64;
        for moment in &self.recorded {
            put_varint(out, zigzag(moment.wrapping_sub(before)));
            before = *moment;
        }
    }

    pub(super) fn decode(from: &mut Cursor<'_>, rows: u32) -> Result<RowDirectory, Malformed> {
        let pages = Directory::decode(from)?;
        if pages.pages() != rows.div_ceil(PAGE_ROWS) {
            return Err(Malformed("there is another number of pages of rows than the rows fill"));
        }
        let mut moment = 0_i64;
        let mut recorded = Vec::with_capacity(pages.pages() as usize);
        for _ in 0..pages.pages() {
            moment = moment.wrapping_add(unzigzag(from.varint()?));
            recorded.push(moment);
        }
        Ok(RowDirectory { pages, recorded })
    }

    /// The rows of the page.
    pub(super) fn rows_of(page: u32, rows: u32) -> Range<u32> {
        page * PAGE_ROWS..((page + 1) * PAGE_ROWS).min(rows)
    }

    pub(super) fn page_of(row: Row) -> (u32, usize) {
        (row.0 / PAGE_ROWS, (row.0 % PAGE_ROWS) as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::codec::tests::tamper;
    use super::*;

    type Drawn = (u32, u32, u32, Vec<u32>, Option<i64>, i64, bool);

    fn drawn() -> impl Strategy<Value = Drawn> {
        let moment = || prop_oneof![any::<i64>(), 0..50_i64, (0..50_i64).prop_map(|n| n * 1_000_000)];
        let tags = prop::collection::btree_set(0..9_u32, 0..4).prop_map(|tags| tags.into_iter().collect());
        (0..20_u32, 0..3_u32, 0..2_u32, tags, prop::option::of(moment()), moment(), any::<bool>())
    }

    /// Versions without gaps, from somewhere.
    fn numbered(drawn: &[Drawn]) -> Vec<NumberedRow<'_>> {
        let mut versions = [0; 20];
        let mut rows = Vec::new();
        for (entity, event_type, content_type, tags, occurred_at, recorded_at, erased) in drawn {
            let version = &mut versions[*entity as usize];
            *version += 1;
            rows.push(NumberedRow {
                entity: *entity,
                version: *version + u64::from(*entity) * 70_000,
                event_type: *event_type,
                content_type: *content_type,
                tags,
                occurred_at: *occurred_at,
                recorded_at: *recorded_at,
                erased: *erased,
            });
        }
        rows
    }

    fn look(page: &RowPage) {
        (0..page.len() as usize).for_each(|slot| _ = page.get(slot));
    }

    proptest! {
        #[test]
        fn rows_come_back(drawn in prop::collection::vec(drawn(), 1..80)) {
            let rows = numbered(&drawn);
            let (page, _) = RowPage::decode(&encode(&rows)).unwrap();
            let found: Vec<NumberedRow<'_>> = (0..rows.len()).map(|slot| page.get(slot)).collect();
            prop_assert_eq!(found, rows);
        }
    }

    #[test]
    fn moments_as_far_apart_as_can_be_come_back() {
        let moments = [i64::MIN, i64::MAX, 0, i64::MIN, i64::MIN, 1];
        for n in 0..=moments.len() {
            let mut page = Vec::new();
            put_moments(&mut page, moments[..n].iter().copied());
            assert_eq!(super::moments(&mut Cursor::new(&page), n).unwrap(), moments[..n]);
        }
    }

    #[test]
    fn a_damaged_page_is_refused_or_harmless() {
        let tags = [[1, 4], [2, 300]];
        let rows: Vec<NumberedRow<'_>> = (0..24)
            .map(|i| NumberedRow {
                entity: i * 7 % 5 + 200,
                version: u64::from(i / 5) + 1,
                event_type: i % 2,
                content_type: 0,
                tags: &tags[i as usize % 2][..i as usize % 3],
                occurred_at: (i % 4 > 0).then_some(i64::from(i) * 1_000),
                recorded_at: i64::from(i / 3) * 500,
                erased: i == 9,
            })
            .collect();
        tamper(&encode(&rows), RowPage::decode, |(page, _)| look(&page));
    }
}
