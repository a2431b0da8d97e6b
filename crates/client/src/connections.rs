//! The servers a client knows, and the one it talks to.

use std::sync::atomic::{AtomicUsize, Ordering};

use chronos_proto::v1::admin_client::AdminClient;
use chronos_proto::v1::event_store_client::EventStoreClient;
use tonic::transport::Channel;

use crate::address::MESSAGE_BYTES_MAX;

/// The generated client over one connection.
pub(crate) type Rpc = EventStoreClient<Channel>;

/// The generated client of what is asked about whole histories, over one connection.
pub(crate) type AdminRpc = AdminClient<Channel>;

/// Asks for events over a connection.
pub(crate) fn rpc(channel: Channel) -> Rpc {
    Rpc::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Asks about whole histories over a connection.
pub(crate) fn admin_rpc(channel: Channel) -> AdminRpc {
    AdminRpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// One channel for each server. The client stays with one until it fails, then goes to the next.
pub(crate) struct Connections {
    channels: Vec<Channel>,
    current: AtomicUsize,
}

/// Which server was used, so that its failure moves the client on only once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server(usize);

impl Connections {
    pub(crate) fn new(channels: Vec<Channel>) -> Self {
        assert!(!channels.is_empty(), "a client knows at least one server");
        Self { channels, current: AtomicUsize::new(0) }
    }

    pub(crate) fn current(&self) -> (Server, Rpc) {
        let (server, channel) = self.channel();
        (server, rpc(channel))
    }

    /// The connection to the current server, for its other services.
    pub(crate) fn channel(&self) -> (Server, Channel) {
        let server = self.current.load(Ordering::Relaxed);
        (Server(server), self.channels[server % self.channels.len()].clone())
    }

    /// Moves on from a server that failed, unless somebody else has already.
    pub(crate) fn failed(&self, Server(server): Server) {
        let next = server.wrapping_add(1);
        let _moved = self.current.compare_exchange(server, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}
