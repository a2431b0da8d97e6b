//! Plain appends: packed here, once, and from then on the same as packed ones.

use std::sync::Arc;

use chronos_app::{Appended, DURABILITY, Error};
use chronos_domain::EventId;
use chronos_proto::{append, v1};
use tonic::Request;

use super::deadline;
use crate::edge::Edge;

pub(super) async fn append(
    edge: &Arc<Edge>,
    request: Request<v1::AppendRequest>,
) -> Result<v1::AppendResponse, Error> {
    let app = edge.app_for(request.metadata().as_ref());
    let deadline = edge.deadline(deadline::asked(request.metadata().as_ref()));
    let packed = append::pack(request.into_inner(), || edge.mint())?;
    let appended = edge.append(app, packed.block, deadline).await?;
    let event_ids = packed.event_ids.iter().map(EventId::to_string).collect();
    Ok(v1::AppendResponse { event_ids, ..response(appended) })
}

/// The acknowledgement of an append.
pub(super) fn response(appended: Appended) -> v1::AppendResponse {
    chronos_proto::Appended {
        partition: appended.partition,
        first_position: appended.first_position,
        versions: appended.versions,
        recorded_at: appended.recorded_at,
        deduplicated: appended.deduplicated,
        token: appended.token,
        durability: DURABILITY.to_owned(),
    }
    .into()
}
