//! How a node comes to its seat in a cluster: by founding one, by joining one, or by coming back.
//!
//! Invariants: nobody hears of a machine before its UUID is durable, nor of a life of a node before its incarnation and its
//! process are;
//! a directory that belongs to a cluster never gets into another one.

use std::net::SocketAddr;

use chronos_cluster::peer::{self, Admission, JoinConfig, Limits, Port, Security};
use chronos_cluster::{Addresses, NodeId, Standing};
use chronos_env::Env;
use chronos_store::{DataDir, Options, Origin, Seat, Threshold, Whereabouts};

use crate::config::{Config, DEFAULT_PEER_PORT, Invalid, Membership};
use crate::node::{RELEASE, StartError};

/// A node that knows who it is and where, before it has done anything.
pub(crate) struct Seated {
    pub(crate) data: DataDir,
    pub(crate) standing: Standing,
}

/// Takes the node's seat: opens its directory, takes its port for other nodes, and joins where that is wanted and has not
/// been done.
pub(crate) async fn take(env: &Env, config: &Config) -> Result<Seated, StartError> {
    let (world, dir) = (env.clone(), config.data.clone());
    let mut threshold = env.tasks.blocking(move || Threshold::enter(&world, &dir)).await?;
    let wanted = &config.cluster;
    may_sit(wanted, &threshold)?;
    let host = wanted.advertise.clone().or_else(|| advertised_before(threshold.seat()?));
    let port = take_port(env, wanted, threshold.seat(), host.is_some()).await?;
    let addresses = addresses(config, port.as_ref().map(Port::address), host.as_deref());
    if threshold.is_nobodys() && joins(env, wanted, &threshold, &addresses).await? {
        threshold = join(env, wanted, threshold, (&addresses, port.as_ref())).await?;
    }
    let (world, options) = (env.clone(), Options { cluster: wanted.id, release: RELEASE.to_owned() });
    let at = Whereabouts {
        peer_listen: port.as_ref().map(|port| port.address().to_string()).unwrap_or_default(),
        client: addresses.client.clone(),
        peer: addresses.peer.clone(),
        admin: addresses.admin.clone(),
        client_listen: config.listen().to_string(),
        admin_listen: wanted.admin_listen(config.listen()).map(|at| at.to_string()).unwrap_or_default(),
    };
    let opening = env.tasks.blocking(move || {
        let mut data = threshold.open(&world, &options)?;
        data.begin(&world, at)?;
        Ok::<_, chronos_store::OpenError>(data)
    });
    let data = opening.await?;
    let standing = standing(wanted, data.seat(), port, addresses);
    Ok(Seated { data, standing })
}

/// Whether what is wanted is possible with this directory.
fn may_sit(wanted: &Membership, threshold: &Threshold) -> Result<(), Invalid> {
    let Some(seat) = threshold.seat() else {
        let is_founder = threshold.identity().is_some();
        return match wanted.given_for_others() {
            _ if is_founder && wanted.only_joins() => Err(founder_joins(NodeId::FIRST)),
            Some(given) if !is_founder && !wanted.is_among_others() => Err(neither(given)),
            _ => Ok(()),
        };
    };
    match seat.origin {
        Origin::Founder if wanted.only_joins() => Err(founder_joins(seat.node)),
        Origin::Joined if wanted.only_founds() => Err(Invalid(format!(
            "this data directory belongs to node {} of cluster {:032x}, which it joined, so it cannot found one; remove \
             --bootstrap, or give an empty directory",
            seat.node, seat.cluster
        ))),
        Origin::Asking if wanted.only_founds() => Err(Invalid(
            "this data directory has asked to join a cluster, so it cannot found one; start with --join again, or give an \
             empty directory"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

/// An empty directory, and settings that only mean something with others. Perhaps it was lost: then it would found a cluster
/// of its own, in silence, under the addresses that clients know.
fn neither(given: &str) -> Invalid {
    Invalid(format!(
        "the data directory is empty, and {given} is given, which is for nodes that have others beside them, but neither \
         --join nor --bootstrap: add --join ADDR to become a node of a cluster that is there (also when this directory was \
         lost), or --bootstrap to found a new one; without {given} it is a cluster of one"
    ))
}

fn founder_joins(node: NodeId) -> Invalid {
    Invalid(format!(
        "this data directory belongs to node {node}, which founded its cluster, so it cannot join one; remove --join, or \
         give an empty directory (its events can be exported from here and imported there)"
    ))
}

/// Takes the port for other nodes, if there is to be one. A node that had one has it again: the others look for it there.
async fn take_port(
    env: &Env,
    wanted: &Membership,
    seat: Option<&Seat>,
    is_advertised: bool,
) -> Result<Option<Port>, StartError> {
    let before = seat.and_then(|seat| seat.at.peer_listen.parse::<SocketAddr>().ok());
    let listen = match (wanted.peer_listen, before) {
        // Any port will do, so the one that is known to the others does best.
        (Some(given), Some(before)) if given.port() == 0 && given.ip() == before.ip() => before,
        (Some(given), _) => given,
        (None, Some(before)) => before,
        (None, None) if wanted.is_among_others() => ([127, 0, 0, 1], DEFAULT_PEER_PORT).into(),
        (None, None) => return Ok(None),
    };
    if listen.ip().is_unspecified() && !is_advertised {
        return Err(nowhere(listen).into());
    }
    let security: Security = wanted.security();
    let opened = Port::open(env, &listen.to_string(), &security).await;
    opened.map(Some).map_err(|error| match before {
        Some(before) if before == listen => StartError::PeerPort { listen, error },
        _ => StartError::Peers(error),
    })
}

/// Where others reach this node.
fn addresses(config: &Config, peer: Option<SocketAddr>, host: Option<&str>) -> Addresses {
    let admin = config.cluster.admin_listen(config.listen());
    Addresses {
        client: reached(host, config.listen()),
        peer: peer.map(|peer| reached(host, peer)).unwrap_or_default(),
        admin: admin.map(|admin| reached(host, admin)).unwrap_or_default(),
    }
}

fn nowhere(listen: SocketAddr) -> Invalid {
    Invalid(format!(
        "cluster.peer_listen is {listen}, which says nothing about where others find this node; give cluster.advertise \
         (--advertise HOST), too"
    ))
}

/// Where a node listens that is to be found where it was: a node that has had others beside it is looked for there by
/// clients and operators, too. What is configured wins; a node that was always alone was announced to nobody.
///
/// # Errors
/// When what the node knows of itself cannot be read.
pub fn recall(env: &Env, config: &mut Config) -> Result<Recalled, chronos_store::OpenError> {
    let Some(Seat { at, .. }) = Seat::peek(env, &config.data)? else { return Ok(Recalled::default()) };
    if at.peer_listen.is_empty() {
        return Ok(Recalled::default());
    }
    let recall = |wanted: &mut Option<SocketAddr>, before: &str| {
        let before = before.parse().ok().filter(|_| wanted.is_none());
        *wanted = wanted.or(before);
        before.is_some()
    };
    let clients = recall(&mut config.listen, &at.client_listen);
    let operators = recall(&mut config.cluster.admin_listen, &at.admin_listen);
    Ok(Recalled { clients, operators })
}

/// What was taken from a node's last life by [`recall`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recalled {
    /// Where clients are listened for.
    pub clients: bool,
    /// Where operators are listened for.
    pub operators: bool,
}

/// The host under which a node was found that listened everywhere.
fn advertised_before(seat: &Seat) -> Option<String> {
    let listened: SocketAddr = seat.at.peer_listen.parse().ok()?;
    let (host, _) = seat.at.peer.rsplit_once(':').filter(|_| listened.ip().is_unspecified())?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

/// Where whoever listens at `bound` is reached under the name `host`; empty when nothing says so. A port that only this machine reaches is not
/// advertised as if others did.
fn reached(host: Option<&str>, bound: SocketAddr) -> String {
    let is_local =
        |host: &str| host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match host {
        Some(host) if bound.ip().is_loopback() && !is_local(host) => bound.to_string(),
        Some(host) if host.contains(':') => format!("[{host}]:{}", bound.port()),
        Some(host) => format!("{host}:{}", bound.port()),
        None if bound.ip().is_unspecified() => String::new(),
        None => bound.to_string(),
    }
}

/// Whether a machine that is nobody yet joins a cluster, and does not found one. Where it may do either it looks first: the
/// first node of a cluster that has lost its directory must not found another one.
async fn joins(
    env: &Env,
    wanted: &Membership,
    threshold: &Threshold,
    addresses: &Addresses,
) -> Result<bool, StartError> {
    if wanted.join.is_empty() {
        return Ok(false);
    }
    // Who has asked may have been admitted.
    if wanted.only_joins() || threshold.seat().is_some() {
        return Ok(true);
    }
    // All nodes may be given the same list.
    let others: Vec<String> =
        wanted.join.iter().filter(|address| **address != addresses.peer).cloned().collect();
    if others.is_empty() {
        return Ok(false);
    }
    tracing::info!(join = ?others, "looking for a cluster before one is founded");
    match peer::look(env, &JoinConfig::new(wanted.security()), &others).await? {
        Some(at) => {
            tracing::info!(at, "there is a cluster, so none is founded");
            Ok(true)
        }
        None => {
            tracing::info!("there is no cluster yet, so one is founded");
            Ok(false)
        }
    }
}

/// Asks until the machine is a node, and writes that down.
async fn join(
    env: &Env,
    wanted: &Membership,
    mut threshold: Threshold,
    (addresses, port): (&Addresses, Option<&Port>),
) -> Result<Threshold, StartError> {
    let world = env.clone();
    let asking = env.tasks.blocking(move || {
        let machine = threshold.ask(&world)?;
        Ok::<_, chronos_store::OpenError>((threshold, machine))
    });
    let (mut threshold, machine) = asking.await?;
    let config = JoinConfig { cluster: wanted.id, ..JoinConfig::new(wanted.security()) };
    let admission = Admission {
        machine,
        token: wanted.token.clone(),
        name: wanted.name.clone(),
        addresses: addresses.clone(),
        release: RELEASE.to_owned(),
    };
    tracing::info!(join = ?wanted.join, machine = %format_args!("{machine:032x}"), "asking to join a cluster");
    let unheard = async {
        match port {
            Some(port) => port.nobody_yet(env).await,
            None => std::future::pending().await,
        }
    };
    let joined = tokio::select! {
        biased; // whoever comes never ends the asking
        joined = peer::join(env, &config, &wanted.join, &admission) => joined?,
        () = unheard => unreachable!("whoever asks has nothing else to do at its port"),
    };
    tracing::info!(node = %joined.node, cluster = %format_args!("{:032x}", joined.cluster), "joined the cluster");
    let world = env.clone();
    let admitting = env.tasks.blocking(move || {
        threshold.admit(&world, joined.cluster, joined.node, joined.members)?;
        Ok::<_, chronos_store::OpenError>(threshold)
    });
    Ok(admitting.await?)
}

fn standing(wanted: &Membership, seat: &Seat, port: Option<Port>, addresses: Addresses) -> Standing {
    let peers = port.as_ref().map(|port| {
        let listen = port.address().to_string();
        peer::Config {
            release: RELEASE.to_owned(),
            machine: seat.machine,
            starts: seat.starts.clone(),
            seen: seat.seen.clone(),
            limits: Limits { bulk_bytes_per_second: wanted.transfer_bytes_per_second, ..Limits::default() },
            ..peer::Config::new(seat.node, seat.cluster, seat.incarnation, listen, wanted.security())
        }
    });
    Standing {
        is_founder: seat.origin == Origin::Founder,
        peers,
        port,
        addresses,
        name: wanted.name.clone(),
        machine: seat.machine,
        replication: wanted.replication,
        token: wanted.token.clone(),
        release: RELEASE.to_owned(),
        members: seat.members.clone(),
        removed: seat.removed.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_advertised_under_its_name_but_not_where_only_this_machine_comes() {
        let (wide, local) = (([0, 0, 0, 0], 7).into(), ([127, 0, 0, 1], 7).into());
        assert_eq!([reached(None, local), reached(None, wide)], ["127.0.0.1:7", ""]);
        assert_eq!(reached(Some("west"), wide), "west:7");
        assert_eq!(reached(Some("west"), local), "127.0.0.1:7");
        assert_eq!(reached(Some("localhost"), local), "localhost:7");
        assert_eq!(reached(Some("::1"), local), "[::1]:7");
    }

    #[test]
    fn a_node_among_others_comes_back_where_it_was_unless_it_is_told_otherwise() {
        let env = chronos_env::sim::World::new(1).env();
        let lived = |dir: &str, peer_listen: &str| {
            let options = Options { cluster: None, release: RELEASE.to_owned() };
            let mut data = DataDir::open(&env, dir.as_ref(), &options).unwrap();
            let at = Whereabouts {
                peer_listen: peer_listen.to_owned(),
                client_listen: "127.0.0.1:7500".to_owned(),
                admin_listen: "127.0.0.1:7502".to_owned(),
                ..Whereabouts::default()
            };
            data.begin(&env, at).unwrap();
        };
        let recalled = |config: &Config| {
            let mut config = config.clone();
            let recalled = recall(&env, &mut config).unwrap();
            (
                recalled,
                config.listen().port(),
                config.cluster.admin_listen(config.listen()).map(|at| at.port()),
            )
        };
        let nothing = Recalled::default();
        let config = Config { data: "/data/node".into(), ..Config::default() };
        assert_eq!(recalled(&config), (nothing, 7400, Some(7402)), "a new directory knows nothing");
        lived("/data/node", "127.0.0.1:7501");
        let both = Recalled { clients: true, operators: true };
        assert_eq!(recalled(&config), (both, 7500, Some(7502)));
        let told = Config { listen: Some(([127, 0, 0, 1], 9).into()), ..config };
        assert_eq!(recalled(&told), (Recalled { clients: false, operators: true }, 9, Some(7502)));
        lived("/data/alone", "");
        let alone = Config { data: "/data/alone".into(), ..Config::default() };
        assert_eq!(recalled(&alone), (nothing, 7400, Some(7402)), "who was alone was announced to nobody");
    }
}
