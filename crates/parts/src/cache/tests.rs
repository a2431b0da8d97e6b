use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

fn key(page: u32) -> PageKey {
    PageKey { file: FileId(1), kind: PageKind::Index(0), page }
}

fn load(cache: &Cache, key: PageKey, bytes: usize) -> (u32, bool) {
    let mut loaded = false;
    let page = cache.get_or_load(key, || {
        loaded = true;
        Ok::<_, Infallible>((key.page * 3, bytes))
    });
    (*page.unwrap(), loaded)
}

#[test]
fn a_page_is_loaded_once_and_found_from_then_on() {
    let cache = Cache::new(1 << 20);
    let shared = cache.clone();
    assert_eq!(load(&cache, key(5), 100), (15, true));
    assert_eq!(load(&shared, key(5), 100), (15, false));
    let stats = cache.stats();
    assert_eq!(
        (stats.hits, stats.misses, stats.pages, stats.index_pages, stats.parquet_pages),
        (1, 1, 1, 1, 0)
    );
}

#[test]
fn files_kinds_and_pages_are_told_apart() {
    let cache = Cache::new(1 << 20);
    let (a, b) = (cache.register(), cache.register());
    assert_ne!(a, b);
    let kinds = [PageKind::Index(0), PageKind::Index(1), PageKind::Parquet(0), PageKind::Parquet(1)];
    let keys: Vec<PageKey> = [a, b]
        .into_iter()
        .flat_map(|file| kinds.map(|kind| (file, kind)))
        .flat_map(|(file, kind)| [0, 1].map(|page| PageKey { file, kind, page }))
        .collect();
    for (n, key) in keys.iter().enumerate() {
        cache.get_or_load(*key, || Ok::<_, Infallible>((n, 8))).unwrap();
    }
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(*cache.get_or_load::<usize, String>(*key, || Err("it was kept".to_owned())).unwrap(), n);
    }
    cache.count_decoded(PageKind::Parquet(3), 10);
    assert_eq!(cache.stats().parquet_pages, 8 + 10);
}

#[test]
fn a_page_that_cannot_be_loaded_is_not_kept() {
    let cache = Cache::new(1 << 20);
    assert_eq!(cache.get_or_load::<u32, _>(key(1), || Err("no")), Err("no"));
    assert_eq!(load(&cache, key(1), 100), (3, true));
}

#[test]
fn pages_in_use_outlast_a_stream_of_others() {
    let cache = Cache::new(100 * 1024);
    load(&cache, key(0), 1000);
    for page in 1..10_000 {
        load(&cache, key(page), 1000);
        assert!(!load(&cache, key(0), 1000).1, "page 0 was pushed out by page {page}");
    }
    assert!(cache.stats().evicted > 9_000);
}

#[test]
fn a_page_bigger_than_the_cache_is_handed_out_and_not_kept() {
    let cache = Cache::new(1000);
    load(&cache, key(1), 10);
    assert_eq!(load(&cache, key(2), 5000), (6, true));
    assert_eq!(load(&cache, key(2), 5000), (6, true));
    assert!(!load(&cache, key(1), 10).1);
    assert_eq!(load(&Cache::new(0), key(2), 0), (6, true));
}

proptest! {
    /// Sizes differ, keys repeat: the bound holds at every step, and what is kept is what was loaded.
    #[test]
    fn the_bound_holds_whatever_is_read(
        capacity in 0..20_000_usize,
        reads in prop::collection::vec((0..60_u32, 0..3_000_usize), 0..400),
    ) {
        let cache = Cache::new(capacity);
        let mut sizes = BTreeMap::new();
        for (page, bytes) in reads {
            let bytes = *sizes.entry(page).or_insert(bytes);
            prop_assert_eq!(load(&cache, key(page), bytes).0, page * 3);
            let stats = cache.stats();
            prop_assert!(stats.bytes <= capacity as u64, "{stats:?}");
            prop_assert_eq!(stats.bytes == 0, stats.pages == 0);
        }
    }

    #[test]
    fn the_same_reads_miss_the_same_pages(reads in prop::collection::vec(0..60_u32, 0..400)) {
        let run = || {
            let cache = Cache::new(8_000);
            reads.iter().map(|page| load(&cache, key(*page), 300).1).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }
}
