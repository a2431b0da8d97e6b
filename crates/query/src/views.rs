//! Ready answers to the usual questions, written in the language that asks them.

/// A named question over `events`.
pub(crate) struct View {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// All of them.
pub(crate) const VIEWS: [View; 3] = [
    View {
        name: "events_per_type_and_hour",
        sql: "SELECT event_type, date_trunc('hour', recorded_at) AS hour, count(*) AS events \
              FROM events GROUP BY event_type, date_trunc('hour', recorded_at)",
    },
    View {
        name: "entity_counts",
        sql: "SELECT entity_id, count(*) AS events, min(recorded_at) AS first_recorded_at, \
              max(recorded_at) AS last_recorded_at, max(version) AS last_version \
              FROM events GROUP BY entity_id",
    },
    // Bounded, so that asking for all of it is cheap whatever the history's length.
    View {
        name: "recent_changes",
        sql: "SELECT recorded_at, partition, position, entity_id, version, event_type, event_id, payload, metadata \
              FROM events ORDER BY recorded_at DESC, partition DESC, position DESC LIMIT 1000",
    },
];
