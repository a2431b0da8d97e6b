//! Bytes that are not what was written, and bytes that no writer writes.

use proptest::prelude::*;

use super::fixture::{Plain, build, meta, open};
use crate::cache::Cache;
use crate::fault::Fault;
use crate::index::{Index, Row};
use crate::meta::PartMeta;
use chronos_block::{Direction, Filter};
use chronos_domain::{EventId, Timestamp, Version};

/// Three spaces, several pages of rows and of names.
fn rows() -> Vec<Plain> {
    (0..2_500_u64)
        .map(|i| Plain {
            tenant: ["a", "b", "c"][(i % 3) as usize].to_owned(),
            fork: 0,
            entity: format!("entity-{}", i % 501),
            version: i / 501 + 1,
            id: u128::from(i + 1) << 64,
            event_type: format!("type.{}", i % 5),
            content_type: "application/json".to_owned(),
            tags: vec![format!("tag:{}", i % 700)],
            occurred_at: (i % 4 > 0).then_some(i as i64 * 1_000),
            recorded_at: i as i64 / 10,
            erased: false,
            raw_bytes: 100,
        })
        .collect()
}

/// Asks for everything there is, so that every page is read.
fn ask_everything(index: &Index, rows: &[Plain]) -> Result<(), Fault> {
    for (row, plain) in (0..).map(Row).zip(rows) {
        index.row(row)?;
        index.candidates(plain.space(), EventId::from_u128(plain.id))?;
        if let Some(entity) = index.entity(plain.space(), &plain.entity)? {
            index.rows_of(&entity, Version::ZERO..=Version::MAX)?;
            index.count_at(&entity, row)?;
        }
        index.bound_at(Timestamp::new(plain.recorded_at))?;
    }
    for plain in &rows[..3] {
        let some = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for (types, tags) in
            [(some(&[]), some(&[])), (some(&["type.0"]), some(&[])), (some(&[]), some(&["tag:1"]))]
        {
            let filter =
                Filter { types, tags, entity_prefix: Some("entity-1".to_owned()), ..Filter::default() };
            index.matching(plain.space(), &filter, Row(0)..=Row(u32::MAX), Direction::Forward, usize::MAX)?;
            let filter = Filter { entity_prefix: None, ..filter };
            index.matching(
                plain.space(),
                &filter,
                Row(0)..=Row(u32::MAX),
                Direction::Backward,
                usize::MAX,
            )?;
        }
    }
    index.counts()?;
    Ok(())
}

fn try_everything(bytes: &[u8], meta: &PartMeta, rows: &[Plain]) -> Result<(), Fault> {
    ask_everything(&open(bytes, meta, &Cache::new(16 << 20))?, rows)
}

#[test]
fn a_flipped_bit_anywhere_is_a_fault_that_names_the_file() {
    let rows = rows();
    let (bytes, built) = build(1, &rows);
    let meta = meta(1, rows.len(), &built);
    try_everything(&bytes, &meta, &rows).unwrap();
    for at in (0..bytes.len()).step_by(397).chain((bytes.len() - 60..bytes.len()).step_by(7)) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let fault = try_everything(&damaged, &meta, &rows).expect_err("damage is never served");
        assert!(
            matches!(&fault, Fault::Corrupt { file, .. } if file.ends_with("part.index")),
            "byte {at}: {fault}"
        );
    }
}

#[test]
fn a_file_cut_short_or_lengthened_is_a_fault() {
    let rows = rows();
    let (bytes, built) = build(1, &rows);
    let meta = meta(1, rows.len(), &built);
    for end in (0..bytes.len()).step_by(997) {
        assert!(
            matches!(open(&bytes[..end], &meta, &Cache::new(0)), Err(Fault::Corrupt { .. })),
            "{end} bytes"
        );
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(open(&longer, &meta, &Cache::new(0)), Err(Fault::Corrupt { .. })));
}

#[test]
fn the_index_of_another_part_is_a_fault() {
    let rows = rows();
    let (_, built) = build(1, &rows);
    let (other, of_other) = build(4_001, &rows);
    let ours = meta(1, rows.len(), &built);
    assert!(matches!(open(&other, &ours, &Cache::new(0)), Err(Fault::Corrupt { .. })));
    // Even if the manifest named the other's tail.
    let mixed = PartMeta { index: of_other.file, index_tail: of_other.tail, ..ours };
    let fault = open(&other, &mixed, &Cache::new(0)).map(|_| ()).expect_err("it begins elsewhere");
    assert!(fault.to_string().contains("begins at position 4001"), "{fault}");
}

#[test]
fn a_later_format_is_refused_by_its_version() {
    let rows = rows();
    let (mut bytes, built) = build(1, &rows);
    let mut meta = meta(1, rows.len(), &built);
    let version = built.tail.offset as usize + 8;
    bytes[version] = 2;
    meta.index_tail.xxh64 = chronos_domain::xxh64::xxh64(&bytes[built.tail.offset as usize..], 0);
    assert!(matches!(open(&bytes, &meta, &Cache::new(0)), Err(Fault::Unsupported { found: 2, .. })));
}

/// The checksums again, so that what was changed looks as if it had been written so.
fn reseal(bytes: &mut [u8], meta: &mut PartMeta) {
    let offset = meta.index_tail.offset as usize;
    let identity = crate::checked::Identity::new(
        super::fixture::partition(),
        meta.first,
        crate::checked::FileKind::Index,
    );
    let sums: Vec<u64> = (0..)
        .zip(bytes[..offset].chunks(crate::checked::BLOCK_BYTES as usize))
        .map(|(n, block)| chronos_domain::xxh64::xxh64(block, identity.seed(n)))
        .collect();
    let trailer = bytes.len() - 24;
    for (n, sum) in sums.iter().enumerate() {
        let at = trailer - (sums.len() - n) * 8;
        bytes[at..at + 8].copy_from_slice(&sum.to_le_bytes());
    }
    meta.index_tail.xxh64 = chronos_domain::xxh64::xxh64(&bytes[offset..], 0);
}

#[test]
fn sealing_again_changes_nothing_where_nothing_was_changed() {
    let rows = rows();
    let (bytes, built) = build(1, &rows);
    let (mut sealed, mut meta) = (bytes.clone(), meta(1, rows.len(), &built));
    reseal(&mut sealed, &mut meta);
    assert!(sealed == bytes);
    assert_eq!(meta.index_tail, built.tail);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Checksums keep accidents out; whoever makes up bytes with good checksums gets a fault or a wrong answer, never a
    /// panic or memory without bound.
    #[test]
    fn t_37_made_up_bytes_never_make_a_reader_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let rows: Vec<Plain> = rows().into_iter().take(1_100).collect();
        let (mut bytes, built) = build(1, &rows);
        let mut meta = meta(1, rows.len(), &built);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        reseal(&mut bytes, &mut meta);
        let _ = try_everything(&bytes, &meta, &rows);
    }
}
