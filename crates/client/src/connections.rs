//! The generated clients over one connection.

use chronos_proto::v1::admin_client::AdminClient;
use chronos_proto::v1::event_store_client::EventStoreClient;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::address::MESSAGE_BYTES_MAX;

/// Says whether a call may be forwarded.
const ROUTING: &str = "chronos-routing";

/// The generated client.
pub(crate) type Rpc = EventStoreClient<InterceptedService<Channel, Routing>>;

/// The generated client of what is asked about whole histories.
pub(crate) type AdminRpc = AdminClient<Channel>;

/// Tells the server whether it must answer itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routing {
    direct: bool,
}

impl Interceptor for Routing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if self.direct {
            request.metadata_mut().insert(ROUTING, MetadataValue::from_static("direct"));
        }
        Ok(request)
    }
}

/// Asks for events over a connection; `direct` when the server must not forward.
pub(crate) fn rpc(channel: Channel, direct: bool) -> Rpc {
    Rpc::new(InterceptedService::new(channel, Routing { direct }))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Asks about whole histories over a connection.
pub(crate) fn admin_rpc(channel: Channel) -> AdminRpc {
    AdminRpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}
