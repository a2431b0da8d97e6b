//! How many bytes a cluster should have on its disks.
//!
//! ```text
//!  model = nodes · (log kept + empty) + replicas · (bytes · packed + events · index)
//! ```
//!
//! The log is cut when it is in parts and a few files long; until then everything is in it once more. Parts hold what was
//! appended, in columns and compressed, and an index of ids and entities. The constants are what a healthy cluster of this
//! product comes to, rounded up; what they are worth shows in the ratio of disk and model, which is in every report.

/// Copies of an event.
const REPLICAS: u64 = 3;
/// Bytes that a node has before anything is in it: its identity, 33 groups, the first file of its log, which has all its 32 MiB
/// from the beginning.
const EMPTY_BYTES: u64 = 48 << 20;
/// Bytes of log that a node keeps at most, when there is as much to keep: eight files of 32 MiB.
const LOG_BYTES_MAX: u64 = 256 << 20;
/// In the log, a request takes so much more than its own bytes.
const FRAMED: f64 = 1.5;
/// Bytes in parts of a byte of requests.
const PACKED: f64 = 0.5;
/// Bytes in parts and their indexes for an event, besides its own: its id alone has 16 that nothing compresses.
const INDEX_BYTES: u64 = 96;

/// The model.
#[must_use]
pub fn model(nodes: u32, acked_events: u64, acked_bytes: u64) -> u64 {
    let (nodes, replicas) = (u64::from(nodes), REPLICAS.min(nodes.into()));
    let per_node = |bytes: f64| (bytes * replicas as f64 / nodes as f64) as u64;
    let log = per_node(acked_bytes as f64 * FRAMED).min(LOG_BYTES_MAX);
    let parts = per_node(acked_bytes as f64 * PACKED) + per_node((acked_events * INDEX_BYTES) as f64);
    nodes * (EMPTY_BYTES + log + parts)
}

/// What the model is, for people.
#[must_use]
pub fn told() -> String {
    format!(
        "each node: {} MiB when empty, the last {} MiB of log at most ({FRAMED} × what was appended), and {PACKED} × the \
         bytes and {INDEX_BYTES} bytes for each event of what it has a copy of",
        EMPTY_BYTES >> 20,
        LOG_BYTES_MAX >> 20
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_cluster_has_what_its_nodes_have() {
        assert_eq!(model(3, 0, 0), 3 * EMPTY_BYTES);
        assert_eq!(model(5, 0, 0), 5 * EMPTY_BYTES);
    }

    #[test]
    fn in_the_long_run_only_parts_grow() {
        let (events, bytes) = (10_000_000, 4 << 30);
        let more = model(3, 2 * events, 2 * bytes) - model(3, events, bytes);
        assert_eq!(more, 3 * (bytes / 2 + events * INDEX_BYTES));
        assert_eq!(
            model(5, events, bytes) - 5 * (EMPTY_BYTES + LOG_BYTES_MAX),
            more / 5 * 5,
            "five nodes, three copies"
        );
    }
}
