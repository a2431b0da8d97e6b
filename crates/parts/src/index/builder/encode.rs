//! Everything gathered, in its final order, as bytes.

use std::io::{self, Write};

use super::super::intern::Interner;
use super::super::names::{self, Entry, NameDirectory};
use super::super::pages::SectionWriter;
use super::super::rows::{self, NumberedRow, PAGE_ROWS, RowDirectory};
use super::super::tail::{Dictionary, FORMAT_VERSION, MAGIC, SpaceEntry, Tail};
use super::super::{hashes, lists};
use super::{Built, Columns, IndexBuilder};
use crate::checked::{FileKind, Identity, Summed, Sums};
use crate::meta::{FileMeta, IndexTail};

pub(super) fn write<W: Write>(
    mut index: IndexBuilder,
    parquet: &Sums,
    page_rows: u32,
    out: W,
) -> io::Result<(W, Built)> {
    let identity = Identity::new(index.partition, index.first, FileKind::Index);
    let mut out = Summed::new(out, identity);
    out.write_all(&MAGIC)?;
    out.write_all(&FORMAT_VERSION.to_le_bytes())?;
    let mut sections = SectionWriter::new(out)?;
    let mut tail = write_sections(&mut index, &mut sections)?;
    let mut out = sections.finish();
    tail.page_rows = page_rows;
    tail.parquet_bytes = parquet.bytes;
    tail.parquet_sums = parquet.blocks.as_slice().into();
    tail.sums = out.summer().blocks().into();
    let offset = out.summer().bytes();
    let bytes = tail.encode(offset);
    out.write_all(&bytes)?;
    let (out, sums) = out.finish();
    let file = FileMeta { bytes: sums.bytes, sha256: sums.sha256 };
    let xxh64 = chronos_domain::xxh64::xxh64(&bytes, 0);
    Ok((out, Built { file, tail: IndexTail { offset, xxh64 } }))
}

/// All sections, and a tail that lacks what is not theirs.
fn write_sections<W: Write>(index: &mut IndexBuilder, out: &mut SectionWriter<W>) -> io::Result<Tail> {
    let spaces = SpaceOrder::of(&index.spaces);
    let entries = spaces.entries(index);
    let ids = hashes::write(out, &std::mem::take(&mut index.ids))?;

    let entities = Order::of(&index.entities, &spaces);
    entities.renumber(&mut index.rows.entities);
    let types = Order::of(&index.types, &spaces);
    types.renumber(&mut index.rows.types);
    let tags = Order::of(&index.tags, &spaces);
    index.sets.renumber(&tags.ranks);
    let content_types = Order::of(&index.content_types, &SpaceOrder::shared());
    content_types.renumber(&mut index.rows.content_types);

    let row_pages = write_rows(index, &entities, out)?;
    let space_of = |entity: &u32| [entries.partition_point(|space| space.entities_end <= *entity) as u32];
    let space_rows = match entries.len() {
        1 => lists::write(out, &[])?,
        n => lists::write(out, &by_number(n, index.rows.entities.iter().map(space_of)).1)?,
    };
    let one = |column: &[u32], names: usize| by_number(names, column.iter().map(|number| [*number]));
    let entity_rows = one(&index.rows.entities, entities.order.len());
    let entities = write_dictionary(out, &index.entities, &entities, entity_rows, &index.first_versions)?;
    let type_rows = one(&index.rows.types, types.order.len());
    let types = write_dictionary(out, &index.types, &types, type_rows, &index.type_bytes)?;
    let sets = index.rows.sets.iter().map(|set| index.sets.get(*set));
    let tag_rows = by_number(tags.order.len(), sets);
    let tags = write_dictionary(out, &index.tags, &tags, tag_rows, &[])?;
    let (rows_of_content_types, _) = one(&index.rows.content_types, content_types.order.len());
    let content_types = write_names(out, &index.content_types, &content_types, &rows_of_content_types, &[])?;

    Ok(Tail {
        partition: index.partition,
        first: index.first,
        rows: index.rows(),
        page_rows: 0,
        id_range: index.id_range,
        spaces: entries,
        ids,
        row_pages,
        space_rows,
        entities,
        types,
        tags,
        content_types,
        first_chunk: index.first_chunk(),
        chunks: std::mem::take(&mut index.chunks),
        parquet_bytes: 0,
        parquet_sums: [].into(),
        sums: [].into(),
    })
}

/// Spaces in their final order.
struct SpaceOrder {
    order: Vec<u32>,
    ranks: Vec<u32>,
}

impl SpaceOrder {
    fn of(spaces: &[SpaceEntry]) -> SpaceOrder {
        let mut order: Vec<u32> = (0..spaces.len() as u32).collect();
        order.sort_unstable_by_key(|space| spaces[*space as usize].space());
        SpaceOrder { ranks: ranks(&order), order }
    }

    /// For names that belong to all spaces alike.
    fn shared() -> SpaceOrder {
        SpaceOrder { order: vec![0], ranks: vec![0] }
    }

    fn entries(&self, index: &IndexBuilder) -> Vec<SpaceEntry> {
        let mut entries: Vec<SpaceEntry> =
            self.order.iter().map(|space| index.spaces[*space as usize].clone()).collect();
        let ends = |names: &Interner| {
            let mut ends = vec![0; self.order.len()];
            (0..names.len() as u32)
                .for_each(|name| ends[self.ranks[names.group(name) as usize] as usize] += 1);
            let mut end = 0;
            ends.iter_mut().for_each(|count| {
                end += *count;
                *count = end;
            });
            ends
        };
        let (entities, types, tags) = (ends(&index.entities), ends(&index.types), ends(&index.tags));
        for (place, entry) in entries.iter_mut().enumerate() {
            entry.entities_end = entities[place];
            entry.types_end = types[place];
            entry.tags_end = tags[place];
        }
        entries
    }
}

/// Names in their final order.
struct Order {
    order: Vec<u32>,
    ranks: Vec<u32>,
    /// Rank of each name's space, by the name's first number.
    spaces: Vec<u32>,
}

impl Order {
    fn of(names: &Interner, spaces: &SpaceOrder) -> Order {
        let of_name: Vec<u32> =
            (0..names.len() as u32).map(|name| spaces.ranks[names.group(name) as usize]).collect();
        let mut order: Vec<u32> = (0..names.len() as u32).collect();
        order.sort_unstable_by_key(|name| (of_name[*name as usize], names.name(*name)));
        Order { ranks: ranks(&order), order, spaces: of_name }
    }

    fn renumber(&self, column: &mut [u32]) {
        column.iter_mut().for_each(|number| *number = self.ranks[*number as usize]);
    }
}

/// Where each number stands in `order`.
fn ranks(order: &[u32]) -> Vec<u32> {
    let mut ranks = vec![0; order.len()];
    for (rank, number) in (0..).zip(order) {
        ranks[*number as usize] = rank;
    }
    ranks
}

/// How many rows carry each of `n` numbers, and the rows: those of number 0, then those of 1, ...
fn by_number(n: usize, rows: impl Iterator<Item = impl AsRef<[u32]>> + Clone) -> (Vec<u32>, Vec<u32>) {
    let mut counts = vec![0; n];
    rows.clone().for_each(|row| row.as_ref().iter().for_each(|number| counts[*number as usize] += 1));
    let mut next = Vec::with_capacity(n);
    let mut total = 0_usize;
    for count in &counts {
        next.push(total);
        total += *count as usize;
    }
    let mut lists = vec![0; total];
    for (row, numbers) in (0..).zip(rows) {
        for number in numbers.as_ref() {
            lists[next[*number as usize]] = row;
            next[*number as usize] += 1;
        }
    }
    (counts, lists)
}

fn write_dictionary<W: Write>(
    out: &mut SectionWriter<W>,
    names: &Interner,
    order: &Order,
    (counts, rows): (Vec<u32>, Vec<u32>),
    notes: &[u64],
) -> io::Result<Dictionary> {
    let names = write_names(out, names, order, &counts, notes)?;
    Ok(Dictionary { names, rows: lists::write(out, &rows)? })
}

/// `counts` are in the final order, `notes` in the order of coming.
fn write_names<W: Write>(
    out: &mut SectionWriter<W>,
    names: &Interner,
    order: &Order,
    counts: &[u32],
    notes: &[u64],
) -> io::Result<NameDirectory> {
    let entries = order.order.iter().zip(counts).map(|(number, rows)| Entry {
        space: order.spaces[*number as usize],
        name: names.name(*number),
        rows: *rows,
        note: notes.get(*number as usize).copied().unwrap_or(0),
    });
    names::write(out, entries)
}

fn write_rows<W: Write>(
    index: &IndexBuilder,
    entities: &Order,
    out: &mut SectionWriter<W>,
) -> io::Result<RowDirectory> {
    let columns = &index.rows;
    let mut next_versions: Vec<u64> =
        entities.order.iter().map(|entity| index.first_versions[*entity as usize]).collect();
    let mut page = Vec::with_capacity(PAGE_ROWS as usize);
    for row in 0..columns.entities.len() {
        let next = &mut next_versions[columns.entities[row] as usize];
        page.push(columns.numbered(row, *next, index));
        *next += 1;
        if page.len() == PAGE_ROWS as usize {
            rows::write_page(out, &page)?;
            page.clear();
        }
    }
    if !page.is_empty() {
        rows::write_page(out, &page)?;
    }
    let recorded = columns.recorded.iter().step_by(PAGE_ROWS as usize).copied().collect();
    Ok(RowDirectory { pages: out.end_section(), recorded })
}

impl Columns {
    fn numbered<'a>(&self, row: usize, version: u64, index: &'a IndexBuilder) -> NumberedRow<'a> {
        NumberedRow {
            entity: self.entities[row],
            version,
            event_type: self.types[row],
            content_type: self.content_types[row],
            tags: index.sets.get(self.sets[row]),
            occurred_at: self.occurred_known[row].then(|| self.occurred[row]),
            recorded_at: self.recorded[row],
            erased: self.erased[row],
        }
    }
}
