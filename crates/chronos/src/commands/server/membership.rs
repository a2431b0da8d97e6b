//! The flags of `chronos server` that say how a node belongs to a cluster.

use std::net::SocketAddr;
use std::path::PathBuf;

use chronos_server::{Membership, Tls};
use clap::Args;

use super::{Switch, replace};
use crate::data_dir;
use crate::failure::{Failure, Outcome};
use crate::operator::parse_replication;

#[derive(Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct MembershipArgs {
    /// Where other nodes are listened for [default with --bootstrap or --join: 127.0.0.1:7401; of a node that had such a
    /// port: the same again]
    #[arg(long, env = "CHRONOS_PEER_LISTEN", value_name = "ADDR")]
    peer_listen: Option<SocketAddr>,
    /// Where operators are listened for [default: 127.0.0.1:7402 with --bootstrap, --join, or the usual --listen
    /// port; of a node that has others beside it: the same again]
    #[arg(long, env = "CHRONOS_ADMIN_LISTEN", value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// The host under which others reach this node [default: the address it listens on; of a node that listened on all
    /// addresses: the same again]
    #[arg(long, env = "CHRONOS_ADVERTISE", value_name = "HOST")]
    advertise: Option<String>,
    /// What people call this node [default: what they did before, or its number]
    #[arg(long, env = "CHRONOS_NAME", value_name = "NAME")]
    name: Option<String>,
    /// Found a cluster that others will join, with --join only if nobody there is a node of one; no effect on a node that
    /// has founded one
    #[arg(long, env = "CHRONOS_BOOTSTRAP")]
    bootstrap: bool,
    /// Join the cluster of the nodes that listen for their peers there; no effect on a node that has joined one
    #[arg(long, env = "CHRONOS_JOIN", value_name = "ADDR", value_delimiter = ',')]
    join: Vec<String>,
    /// The secret that whoever joins must know: of the founder, what it will ask for
    #[arg(long, env = "CHRONOS_JOIN_TOKEN", value_name = "SECRET", hide_env_values = true)]
    token: Option<String>,
    /// How many replicas each partition has, at --bootstrap: 1, 3 or 5 [default: 3]
    #[arg(long, env = "CHRONOS_REPLICATION", value_name = "N", value_parser = parse_replication)]
    replication: Option<u8>,
    /// Whether this node has others do for its callers what it does not lead or hold [default: on]
    #[arg(long, env = "CHRONOS_FORWARD", value_enum, value_name = "SWITCH")]
    forward: Option<Switch>,
    /// This node's certificate for connections between nodes, a PEM file; it names the host that others reach it by
    #[arg(long, env = "CHRONOS_PEER_CERTIFICATE", value_name = "FILE")]
    peer_certificate: Option<PathBuf>,
    /// Its private key, a PEM file
    #[arg(long, env = "CHRONOS_PEER_KEY", value_name = "FILE")]
    peer_key: Option<PathBuf>,
    /// The authority that vouches for the nodes of this cluster and nobody else, a PEM file
    #[arg(long, env = "CHRONOS_PEER_AUTHORITY", value_name = "FILE")]
    peer_authority: Option<PathBuf>,
    /// Let nodes talk without certificates beyond this machine: the network is trusted, or protects by itself
    #[arg(long, env = "CHRONOS_PLAINTEXT_ANYWHERE")]
    plaintext_anywhere: bool,
}

impl MembershipArgs {
    /// Puts what was given in the place of what is there.
    pub(super) fn apply(self, to: &mut Membership) -> Outcome {
        self.certificates(to)?;
        replace(&mut to.peer_listen, self.peer_listen.map(Some));
        replace(&mut to.admin_listen, self.admin_listen.map(Some));
        replace(&mut to.advertise, self.advertise.map(Some));
        replace(&mut to.name, self.name);
        to.bootstrap |= self.bootstrap;
        replace(&mut to.join, Some(self.join).filter(|join| !join.is_empty()));
        replace(&mut to.token, self.token.map(Some));
        replace(&mut to.replication, self.replication);
        replace(&mut to.forward, self.forward.map(Switch::is_on));
        to.plaintext_anywhere |= self.plaintext_anywhere;
        Ok(())
    }

    fn certificates(&self, to: &mut Membership) -> Outcome {
        let given = [&self.peer_certificate, &self.peer_key, &self.peer_authority];
        if given.iter().any(|file| file.is_some()) {
            let tls = to.tls.get_or_insert_default();
            for (file, given) in
                [&mut tls.certificate, &mut tls.key, &mut tls.authority].into_iter().zip(given)
            {
                replace(file, given.clone());
            }
        }
        let Some(Tls { certificate, key, authority }) = &mut to.tls else { return Ok(()) };
        for (file, flag) in
            [(certificate, "--peer-certificate"), (key, "--peer-key"), (authority, "--peer-authority")]
        {
            if file.as_os_str().is_empty() {
                return Err(Failure::usage(format!(
                    "certificates between nodes take a certificate, its key, and an authority; give {flag}, too"
                )));
            }
            *file = data_dir::resolve(file)?;
        }
        Ok(())
    }
}
