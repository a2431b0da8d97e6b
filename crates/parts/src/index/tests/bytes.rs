//! Equal rows, equal bytes; and these bytes for ever.

use super::fixture::{Plain, build, builder, parquet};
use crate::index::Built;

fn rows() -> Vec<Plain> {
    (0..3_000_u64)
        .map(|i| Plain {
            tenant: ["default", "acme"][usize::from(i % 7 == 0)].to_owned(),
            fork: u64::from(i % 14 == 0),
            entity: format!("order-{{customer-{}}}", i / 14 % 40),
            version: 0,
            id: u128::from(i + 1).wrapping_mul(0x0123_4567_89ab_cdef_fedc_ba98_7654_3211),
            event_type: ["order.placed", "order.paid", "order.shipped"][(i % 3) as usize].to_owned(),
            content_type: ["application/json", "text/plain"][usize::from(i % 100 == 0)].to_owned(),
            tags: (0..i % 3).map(|t| format!("tag:{}", i * t % 17 + t * 100)).collect(),
            occurred_at: (i % 5 > 0).then_some(1_700_000_000_000_000 + i as i64 * 1_000),
            recorded_at: 1_700_000_000_000_000 + i as i64 / 20,
            erased: false,
            raw_bytes: 300 + i % 10,
        })
        .scan(std::collections::BTreeMap::new(), |versions, mut row| {
            let version = versions.entry((row.tenant.clone(), row.fork, row.entity.clone())).or_insert(0);
            *version += 1;
            row.version = *version;
            Some(row)
        })
        .collect()
}

#[test]
fn equal_rows_give_equal_bytes() {
    let (bytes, built) = build(77, &rows());
    assert_eq!(build(77, &rows()), (bytes, built));
}

#[test]
fn an_index_without_a_file_has_the_same_outcome() {
    let rows = rows();
    let (bytes, built) = build(77, &rows);
    assert_eq!(built.file.bytes, bytes.len() as u64);
    let Built { file, tail } = builder(77, &rows).finish(&parquet(), 512, std::io::sink()).unwrap().1;
    assert_eq!((file, tail), (built.file, built.tail));
    let other = builder(77, &rows).finish(&parquet(), 513, std::io::sink()).unwrap().1;
    assert_ne!(other.file, built.file);
}

/// Replicas of different releases compare parts by hash: a change here is a change of the format.
#[test]
fn these_rows_have_had_these_bytes_since_format_1() {
    let (_, built) = build(77, &rows());
    assert_eq!(
        built.file.sha256.to_string(),
        "6f1c67d2de254ac09633fcf4641359692f97f2f1756f8addd4189d4f640c7cc8"
    );
}
