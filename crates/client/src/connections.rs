//! The generated clients over one connection.

use std::time::Duration;

use chronos_proto::v1::admin_client::AdminClient;
use chronos_proto::v1::backup_client::BackupClient;
use chronos_proto::v1::event_store_client::EventStoreClient;
use chronos_proto::v1::query_client::QueryClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::address::MESSAGE_BYTES_MAX;

/// Says whether a call may be forwarded.
const ROUTING: &str = "chronos-routing";
/// Says which cluster is meant; a server of another one refuses.
const CLUSTER: &str = "chronos-cluster";
/// As many as eight digits say.
const MILLIS_MAX: u128 = 99_999_999;
/// Says how long the beginning of an answer that comes in pieces is waited for.
const BEGUN: &str = "chronos-begin-timeout";

/// A connection, and what is said on it with every call.
pub(crate) type Over = InterceptedService<Channel, Saying>;

/// The generated client.
pub(crate) type Rpc = EventStoreClient<Over>;

/// The generated client of what is asked about whole histories.
pub(crate) type AdminRpc = AdminClient<Over>;

/// Tells the server who is meant, whether it must answer itself, and by when.
#[derive(Clone, Debug)]
pub(crate) struct Saying {
    direct: bool,
    due: Due,
    cluster: Option<MetadataValue<Ascii>>,
}

/// What is due when.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    Whenever,
    /// The answer, after so long.
    Whole(Duration),
    /// The first of its pieces.
    Begun(Duration),
}

impl Saying {
    /// That anybody may answer.
    pub(crate) const fn nothing() -> Self {
        Self { direct: false, due: Due::Whenever, cluster: None }
    }

    /// That only a node of that cluster may answer, where one is known; `direct` when it must not forward.
    pub(crate) fn to(cluster: &str, direct: bool, due: Due) -> Self {
        // No server says of its cluster what cannot be said back; one that did would be asked as before it said so.
        let cluster = Some(cluster).filter(|cluster| !cluster.is_empty());
        Self { direct, due, cluster: cluster.and_then(|cluster| cluster.parse().ok()) }
    }
}

impl Interceptor for Saying {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if self.direct {
            request.metadata_mut().insert(ROUTING, MetadataValue::from_static("direct"));
        }
        if let Some(cluster) = &self.cluster {
            request.metadata_mut().insert(CLUSTER, cluster.clone());
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

/// A connection on which this is said.
pub(crate) fn over(channel: Channel, saying: Saying) -> Over {
    InterceptedService::new(channel, saying)
}

/// Asks for events over a connection.
pub(crate) fn rpc(over: Over) -> Rpc {
    Rpc::new(over).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Asks about whole histories over a connection.
pub(crate) fn admin_rpc(over: Over) -> AdminRpc {
    AdminRpc::new(over).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Asks in SQL over a connection.
pub(crate) fn query_rpc(over: Over) -> QueryClient<Over> {
    QueryClient::new(over)
}

/// Copies over a connection.
pub(crate) fn backup_rpc(over: Over) -> BackupClient<Over> {
    BackupClient::new(over).max_decoding_message_size(MESSAGE_BYTES_MAX)
}
