//! One node of a cluster, as far as replication goes: its groups, its connections, and what passes between them.

use std::sync::Arc;

use chronos_env::Env;
use chronos_wal::Wal;

use crate::addresses::Addresses;
use crate::exchange::{Exchange, kinds};
use crate::groups::{Among, Config, Groups};
use crate::node::NodeId;
use crate::peer::{self, NoBulk, NoRegistrar, Peers, Port};

/// How a node stands in its cluster when it starts.
#[derive(Debug)]
pub struct Standing {
    /// Whether groups of which nothing says who belongs to them begin on this node, with it as their only member. Of all
    /// nodes of a cluster exactly one may say so.
    pub is_founder: bool,
    /// How to talk to other nodes; `None` where there are none and shall be none.
    pub peers: Option<peer::Config>,
    /// The port for other nodes, where it was taken already; otherwise it is taken as `peers` says.
    pub port: Option<Port>,
    /// Where this node is reached.
    pub addresses: Addresses,
    /// What people call it.
    pub name: String,
    /// The UUID of its data directory.
    pub machine: u128,
    /// How many replicas each partition of a cluster has that is founded now; 1, 3 or 5.
    pub replication: u8,
    /// What machines have to know that want to join a cluster that is founded now; `None` lets in whoever asks.
    pub token: Option<String>,
    /// The running release.
    pub release: String,
    /// Other nodes, and where they are reached, as far as this node was told when it joined. What its replica of the
    /// system partition says is newer.
    pub members: Vec<(NodeId, String)>,
}

/// A running node of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    groups: Groups,
    peers: Option<Peers>,
    exchange: Exchange,
}

impl Cluster {
    /// Recovers every partition, starts its group, and begins to listen for other nodes.
    ///
    /// # Errors
    /// When other nodes cannot be listened for: nothing was begun.
    pub async fn start(
        env: &Env,
        wal: &Wal,
        config: &Config,
        standing: Standing,
    ) -> Result<Cluster, peer::StartError> {
        let exchange = Exchange::default();
        let Some(peers) = standing.peers else {
            let groups = Groups::start(env, wal, config).await;
            return Ok(Cluster { groups, peers: None, exchange });
        };
        let port = match standing.port {
            Some(port) => port,
            None => Port::open(env, &peers.listen, &peers.security).await?,
        };
        let (handler, source) = (Arc::new(exchange.clone()), Arc::new(NoBulk));
        let peers = Peers::start_at(env, peers, port, handler, source, Arc::new(NoRegistrar))?;
        for (node, address) in &standing.members {
            peers.set_peer(*node, address);
        }
        let among = Among { link: Arc::new(peers.clone()), founder: standing.is_founder };
        let groups = Groups::start_among(env, wal, config, among).await;
        exchange.open(kinds::CONSENSUS, groups.handler());
        Ok(Cluster { groups, peers: Some(peers), exchange })
    }

    /// The partitions and what is proposed to them.
    pub const fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The connections to other nodes, where there are any.
    pub const fn peers(&self) -> Option<&Peers> {
        self.peers.as_ref()
    }

    /// Answers what waits, ends the groups, and then the connections.
    pub async fn stop(&self) {
        self.groups.stop().await;
        self.exchange.close();
        if let Some(peers) = &self.peers {
            peers.stop();
        }
    }
}
