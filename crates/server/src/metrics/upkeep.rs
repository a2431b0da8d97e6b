//! What the node does by itself, in the form of the registry: compaction, parts and their cache, and the search for
//! damage. Their names are here, beside what they count.

use chronos_cluster::{CompactionStats, Groups, ScrubStats};
use chronos_domain::PartitionId;
use chronos_parts::CacheStats;
use chronos_store::Partition;
use prometheus::proto::MetricFamily;

use super::family::{Labels, counter, counters, gauge, gauges};

/// The longest piece of an error's text that becomes a label.
const ERROR_CHARS_MAX: usize = 200;

/// All of them, read one after the other.
pub(super) fn families(groups: &Groups) -> Vec<MetricFamily> {
    let partitions: Vec<Partition> = PartitionId::all().filter_map(|id| groups.partition(id).ok()).collect();
    let mut all = compaction(&groups.compaction_stats());
    all.extend(parts(&partitions));
    all.extend(partitions.first().map(|partition| cache(&partition.parts_cache())).into_iter().flatten());
    all.extend(scrub(&groups.scrub_stats()));
    // A number that is not there yet is left out with its name: the encoder takes no empty family.
    all.retain(|family| !family.get_metric().is_empty());
    all
}

fn compaction(stats: &CompactionStats) -> Vec<MetricFamily> {
    let error = |text: &str| {
        let text: String = text.chars().take(ERROR_CHARS_MAX).collect();
        (vec![("error", text)], 1.0)
    };
    let halted = PartitionId::all().map(|id| (of(id), flag(stats.halted.contains(&id))));
    vec![
        gauge("chronos_compaction_debt_cuts", "Cuts that wait for compaction.", stats.debt_cuts),
        gauge("chronos_compaction_debt_events", "Events of the cuts that wait.", stats.debt_events),
        gauge("chronos_compaction_debt_bytes", "Bytes of the events that wait, unpacked.", stats.debt_bytes),
        counter("chronos_compaction_cuts_total", "Cuts taken into parts.", stats.cuts),
        counter("chronos_compaction_events_total", "Events taken into parts.", stats.events),
        counter("chronos_compaction_merged_parts_total", "Parts replaced by a merged one.", stats.merged),
        counter(
            "chronos_compaction_erased_parts_total",
            "Parts rewritten for truncations only.",
            stats.erased,
        ),
        counter("chronos_compaction_input_bytes_total", "Bytes of events gone through.", stats.bytes_in),
        counter("chronos_compaction_output_bytes_total", "Bytes of files written.", stats.bytes_out),
        gauges(
            "chronos_compaction_last_seconds",
            "How long the last cut took, pauses included.",
            [(Vec::new(), stats.last_duration.as_secs_f64())],
        ),
        counter(
            "chronos_compaction_setbacks_total",
            "Compactions that did not come to their end.",
            stats.setbacks,
        ),
        gauges(
            "chronos_compaction_last_error_info",
            "Why the last of them did not; absent while none has failed.",
            stats.last_error.as_deref().map(error),
        ),
        gauges(
            "chronos_compaction_halted",
            "1 where a partition is not compacted until the next start.",
            halted,
        ),
    ]
}

fn parts(partitions: &[Partition]) -> Vec<MetricFamily> {
    let each = |figure: fn(&Partition) -> u64| -> Vec<(Labels<'static>, f64)> {
        partitions.iter().map(|partition| (of(partition.id()), float(figure(partition)))).collect()
    };
    let file = |kind: &str, values: Vec<(Labels<'static>, f64)>| {
        let kind = kind.to_owned();
        values.into_iter().map(move |(mut labels, value)| {
            labels.push(("file", kind.clone()));
            (labels, value)
        })
    };
    let parquet = each(|partition| sum(partition, |part| part.parquet.bytes));
    let index = each(|partition| sum(partition, |part| part.index.bytes));
    vec![
        gauges("chronos_parts", "Parts on disk.", each(|partition| sum(partition, |_| 1))),
        gauges(
            "chronos_part_bytes",
            "Bytes of parts on disk.",
            file("parquet", parquet).chain(file("index", index)),
        ),
        gauges(
            "chronos_erased_events",
            "Events in parts whose content was truncated away.",
            each(|partition| sum(partition, |part| part.erased)),
        ),
        gauges(
            "chronos_tombstones",
            "Entities that were truncated; each takes memory.",
            each(|partition| partition.stats().tombstones),
        ),
        gauges(
            "chronos_uncompacted_events",
            "Events that are in no part yet; each takes memory.",
            each(|partition| {
                partition.head().get() - partition.shelf().compacted().get().min(partition.head().get())
            }),
        ),
    ]
}

fn cache(stats: &CacheStats) -> Vec<MetricFamily> {
    let decoded = [("index", stats.index_pages), ("parquet", stats.parquet_pages)];
    vec![
        gauge("chronos_parts_cache_capacity_bytes", "Bytes the pages of parts may take.", stats.capacity),
        gauge("chronos_parts_cache_bytes", "Bytes the pages of parts take.", stats.bytes),
        gauge("chronos_parts_cache_pages", "Pages of parts in memory.", stats.pages),
        counter("chronos_parts_cache_hits_total", "Pages that were in memory.", stats.hits),
        counter("chronos_parts_cache_misses_total", "Pages that were not.", stats.misses),
        counter("chronos_parts_cache_evicted_total", "Pages that made room for others.", stats.evicted),
        counters(
            "chronos_parts_pages_decoded_total",
            "Pages of parts that were read, checked and unpacked.",
            decoded.map(|(file, pages)| (vec![("file", file.to_owned())], pages)),
        ),
    ]
}

fn scrub(stats: &ScrubStats) -> Vec<MetricFamily> {
    let last = stats.last.as_ref();
    let ended = last.map(|pass| {
        let took = i64::try_from(pass.took.as_micros()).unwrap_or(i64::MAX);
        pass.began.get().saturating_add(took) as f64 / 1e6
    });
    let one = |value: Option<f64>| value.map(|value| (Vec::new(), value));
    vec![
        counter("chronos_scrub_passes_total", "Times that everything on disk was read.", stats.passes),
        counter("chronos_scrub_bytes_total", "Bytes read to find damage.", stats.bytes),
        counter("chronos_scrub_findings_total", "Damages and unreadable places found.", stats.found),
        gauges(
            "chronos_scrub_last_pass_timestamp_seconds",
            "When the last pass ended; absent before.",
            one(ended),
        ),
        gauges(
            "chronos_scrub_last_pass_seconds",
            "How long it took.",
            one(last.map(|pass| pass.took.as_secs_f64())),
        ),
        gauges(
            "chronos_scrub_last_pass_findings",
            "What it found that is wrong.",
            one(last.map(|pass| pass.seen.findings.len() as f64)),
        ),
        gauge(
            "chronos_scrub_pass_bytes",
            "Bytes read by the pass under way.",
            stats.current.map_or(0, |now| now.bytes),
        ),
        gauge(
            "chronos_scrub_pass_part_bytes",
            "Bytes of parts when it began: most of what it reads.",
            stats.current.map_or(0, |now| now.part_bytes),
        ),
        gauge(
            "chronos_scrub_pass_partitions",
            "Partitions it is done with.",
            stats.current.map_or(0, |now| now.partitions),
        ),
    ]
}

fn sum(partition: &Partition, figure: impl Fn(&chronos_parts::PartMeta) -> u64) -> u64 {
    partition.shelf().manifest.parts.iter().map(figure).sum()
}

fn of(partition: PartitionId) -> Labels<'static> {
    vec![("partition", partition.to_string())]
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

#[expect(clippy::cast_precision_loss, reason = "the registry's numbers are floats")]
fn float(number: u64) -> f64 {
    number as f64
}
