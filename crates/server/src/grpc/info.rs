//! What a node says of itself.

use chronos_app::{DURABILITY, Error};
use chronos_domain::{EventId, limits};
use chronos_proto::{Info, PartitionMarks, v1};

use tonic::Request;

use super::{deadline, failure};
use crate::edge::Edge;
use crate::node::RELEASE;
use crate::stats;

pub(super) async fn watermarks(
    edge: &Edge,
    request: &Request<v1::WatermarksRequest>,
) -> Result<v1::WatermarksResponse, Error> {
    let headers = request.metadata().as_ref();
    let by = edge.deadline(deadline::to_answer(headers));
    let (all, token) = edge.in_time(by, edge.watermarks(&edge.app_until(headers, by))).await?;
    let partitions = all.into_iter().map(|(partition, marks)| {
        let marks = marks.map_err(failure::failure);
        PartitionMarks { partition, marks }.into()
    });
    Ok(v1::WatermarksResponse { partitions: partitions.collect(), token: token.to_string() })
}

pub(super) fn info(edge: &Edge) -> v1::InfoResponse {
    Info {
        // A UUID of any kind has the text form of an event id.
        cluster_id: EventId::from_u128(edge.identity.cluster).to_string(),
        node_id: EventId::from_u128(edge.identity.node).to_string(),
        release: RELEASE.to_owned(),
        partitions: limits::PARTITIONS.into(),
        nodes: u32::try_from(edge.app.node().cluster().members()).unwrap_or(u32::MAX),
        durability: DURABILITY.to_owned(),
        limits: v1::Limits {
            payload_bytes_max: limits::PAYLOAD_BYTES_MAX as u64,
            metadata_bytes_max: limits::METADATA_BYTES_MAX as u64,
            batch_events_max: limits::BATCH_EVENTS_MAX as u64,
            batch_bytes_max: limits::BATCH_BYTES_MAX as u64,
            page_events_max: limits::PAGE_EVENTS_MAX as u64,
            page_bytes_max: limits::PAGE_BYTES_MAX as u64,
            message_bytes_max: edge.limits.message_bytes_max as u64,
            stream_in_flight_max: edge.limits.session_appends_max as u64,
        },
        // Who may not observe the node still learns who it is.
        stats: stats::read(edge).ok(),
    }
    .into()
}
