//! The generated clients over one connection.

use std::time::Duration;

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

/// As many as eight digits say.
const MILLIS_MAX: u128 = 99_999_999;
/// Says how long the beginning of an answer that comes in pieces is waited for.
const BEGUN: &str = "chronos-begin-timeout";

/// Tells the server whether it must answer itself, and by when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routing {
    direct: bool,
    due: Due,
}

/// What is due when.
#[derive(Clone, Copy, Debug)]
enum Due {
    Whenever,
    /// The answer, after so long.
    Whole(Duration),
    /// The first of its pieces.
    Begun(Duration),
}

impl Interceptor for Routing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if self.direct {
            request.metadata_mut().insert(ROUTING, MetadataValue::from_static("direct"));
        }
        match self.due {
            Due::Whenever => {}
            Due::Whole(within) => request.set_timeout(within),
            Due::Begun(within) => {
                let millis = within.as_millis().min(MILLIS_MAX);
                let text = MetadataValue::try_from(format!("{millis}m"));
                request.metadata_mut().insert(BEGUN, text.expect("digits and a letter are text"));
            }
        }
        Ok(request)
    }
}

/// Asks for events over a connection; `direct` when the server must not forward.
pub(crate) fn rpc(channel: Channel, direct: bool) -> Rpc {
    routed(channel, Routing { direct, due: Due::Whenever })
}

/// The same for one answer that is due within so long: the server says by then why it has none.
pub(crate) fn rpc_within(channel: Channel, direct: bool, within: Duration) -> Rpc {
    routed(channel, Routing { direct, due: Due::Whole(within) })
}

/// The same for the beginning of one that comes in pieces.
pub(crate) fn rpc_begun_within(channel: Channel, direct: bool, within: Duration) -> Rpc {
    routed(channel, Routing { direct, due: Due::Begun(within) })
}

fn routed(channel: Channel, routing: Routing) -> Rpc {
    Rpc::new(InterceptedService::new(channel, routing))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Asks about whole histories over a connection.
pub(crate) fn admin_rpc(channel: Channel) -> AdminRpc {
    AdminRpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}
