//! How a machine becomes a node: it asks those it was told of until one of them answers.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use chronos_env::Env;
use chronos_proto::peer::v1::{self, join_response::Answer};
use tonic::Code;

use super::dial::{chain, lost};
use super::error::StartError;
use super::hello::machine_from;
use super::http2;
use super::registrar::{Admission, Denial, Denied, uuid_bytes, uuid_from};
use super::security::{self, Guard};
use super::wire::Wire;
use super::{Limits, PROTOCOL, Security};
use crate::{Neighbour, NodeId};

/// How often one question is passed on to another node before the next address is asked.
const HINTS_MAX: usize = 3;

/// How a machine asks to become a node.
#[derive(Clone, Debug)]
pub struct JoinConfig {
    /// The only cluster it wants to belong to; `None` takes the one that answers.
    pub cluster: Option<u128>,
    /// How connections are protected. The certificate of whoever is asked must name the host that was given.
    pub security: Security,
    /// The versions of the protocol it speaks; [`PROTOCOL`] unless a test pretends to be another release.
    pub versions: RangeInclusive<u32>,
    /// Bounds of the connections.
    pub limits: Limits,
    /// For how long it asks again, as long as nobody has said no for good.
    pub patience: Duration,
}

impl JoinConfig {
    /// The usual bounds, and a minute of patience: nodes of a cluster are often started together.
    pub fn new(security: Security) -> JoinConfig {
        let (versions, limits) = (PROTOCOL, Limits::default());
        JoinConfig { cluster: None, security, versions, limits, patience: Duration::from_secs(60) }
    }
}

/// What a machine has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The cluster it belongs to.
    pub cluster: u128,
    /// Which node it is.
    pub node: NodeId,
    /// Who else is there.
    pub members: Vec<Neighbour>,
}

/// Why a machine has not become a node. It may be a member of the cluster all the same, if an answer was lost: whoever
/// asks again as the same machine gets the same answer.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A node said no, and will say so again.
    #[error("{by} does not admit this node to its cluster: {denied}")]
    Denied {
        /// The address that was asked.
        by: String,
        /// What it said.
        denied: Denied,
    },
    /// Nobody decided in time, or nobody who was asked can.
    #[error("no node admitted this one to its cluster: {}", listed(.0))]
    Nobody(BTreeMap<String, String>),
    /// Somebody is there who may be a node of a cluster, so none may be founded beside it.
    #[error(
        "no cluster is founded, because there may be one already: {}; wait until it is known whether these are nodes of a \
         cluster, and start again", listed(.0)
    )]
    Unclear(BTreeMap<String, String>),
    /// Nobody is known who could be asked.
    #[error("no address to join was given; name the peer address of at least one node of the cluster")]
    NoAddress,
    /// Connections cannot be made as configured.
    #[error(transparent)]
    Security(#[from] StartError),
}

/// What each address came to.
fn listed(said: &BTreeMap<String, String>) -> String {
    said.iter().map(|(address, why)| format!("[{address}] {why}")).collect::<Vec<_>>().join("; ")
}

/// Asks the nodes at `addresses` (peer addresses, `host:port`), one after the other and again, until one admits this
/// machine, one says no for good, or the patience is over. A hint whom to ask instead is followed.
///
/// # Errors
/// See [`JoinError`].
pub async fn join(
    env: &Env,
    config: &JoinConfig,
    addresses: &[String],
    admission: &Admission,
) -> Result<Joined, JoinError> {
    if addresses.is_empty() {
        return Err(JoinError::NoAddress);
    }
    let guard = Guard::new(&config.security, env)?;
    let asker = Asker { env, config, guard, request: request(config, admission) };
    asker.ask_all(addresses).await
}

fn request(config: &JoinConfig, admission: &Admission) -> v1::JoinRequest {
    let Admission { machine, token, name, addresses, release } = admission.clone();
    v1::JoinRequest {
        machine: uuid_bytes(machine),
        token: token.unwrap_or_default(),
        name,
        client_address: addresses.client,
        peer_address: addresses.peer,
        admin_address: addresses.admin,
        release,
        version_min: *config.versions.start(),
        version_max: *config.versions.end(),
        cluster: config.cluster.map(uuid_bytes).unwrap_or_default(),
    }
}

/// Whoever answers is there for somebody else.
const NO_NODE: &str = "no node of this release answers there for other nodes; give an address that a node of the cluster listens \
                       on for its peers (--peer-listen), and run the same release on all nodes";

/// A node with certificates answers nobody in the clear in a way that could be understood.
const NO_CERTIFICATE: &str = "; if the nodes of that cluster use certificates, this one needs one, too";

struct Asker<'a> {
    env: &'a Env,
    config: &'a JoinConfig,
    guard: Guard,
    request: v1::JoinRequest,
}

/// What stands in the way.
enum Setback {
    /// Somebody has decided.
    Final(Denied),
    /// Asking at another time or place may help.
    Passing(String),
    /// Whoever is there is no node of a cluster.
    Hopeless(String),
}

impl Asker<'_> {
    async fn ask_all(&self, addresses: &[String]) -> Result<Joined, JoinError> {
        let clock = &self.env.clock;
        let until = clock.monotonic() + self.config.patience;
        let dice = self.env.entropy.child("join");
        let (mut said, mut pause) = (BTreeMap::new(), self.config.limits.backoff_min);
        loop {
            let mut is_hopeless = true;
            for address in addresses {
                let (asked, setback) = match self.ask_along(address).await {
                    (_, Ok(joined)) => return Ok(joined),
                    (asked, Err(setback)) => (asked, setback),
                };
                let why = match setback {
                    Setback::Final(denied) => return Err(JoinError::Denied { by: asked, denied }),
                    Setback::Hopeless(why) => why,
                    Setback::Passing(why) => {
                        is_hopeless = false;
                        why
                    }
                };
                note(&mut said, asked, why);
                if clock.monotonic() >= until {
                    return Err(JoinError::Nobody(said));
                }
            }
            if is_hopeless {
                return Err(JoinError::Nobody(said));
            }
            let half = pause / 2;
            let spread = u64::try_from(half.as_micros()).expect("a pause is shorter than 584,000 years");
            clock.sleep(half + Duration::from_micros(dice.below(spread + 1))).await;
            pause = (pause * 2).min(self.config.limits.backoff_max);
        }
    }

    /// Asks at `address`, then whom it names, and so on; says who came last.
    async fn ask_along(&self, address: &str) -> (String, Result<Joined, Setback>) {
        let mut address = address.to_owned();
        for _ in 0..=HINTS_MAX {
            match self.ask(&address).await {
                Err(Setback::Final(Denied { why: Denial::Elsewhere, ask: Some(ask), .. })) => address = ask,
                Err(Setback::Final(denied)) if denied.why.passes() => {
                    return (address, Err(Setback::Passing(denied.to_string())));
                }
                answered => return (address, answered),
            }
        }
        let why = format!("the question was passed on {HINTS_MAX} times without an answer");
        (address, Err(Setback::Passing(why)))
    }

    async fn ask(&self, address: &str) -> Result<Joined, Setback> {
        let limits = &self.config.limits;
        let within = limits.connect_timeout + limits.join_patience;
        let asked = self.env.clock.timeout(within, self.call(address)).await;
        asked.unwrap_or_else(|_| Err(Setback::Passing(format!("no answer within {within:?}"))))
    }

    async fn call(&self, address: &str) -> Result<Joined, Setback> {
        let (env, limits) = (self.env, &self.config.limits);
        let connection = env.net.connect(address, limits.connect_timeout).await.map_err(|e| passing(&e))?;
        let wire = self.guard.connect_by_name(connection, address).await;
        let wire = wire.map_err(|error| match security::is_settled(&error) {
            true => Setback::Hopeless(security::told(&error)),
            false => Setback::Passing(security::told(&error)),
        })?;
        let stranger = wire.stranger();
        let answer = self.ask_over(wire).await;
        let answer = answer.map_err(|setback| match stranger.is_one() {
            true => Setback::Hopeless(format!("{NO_NODE}{NO_CERTIFICATE}")),
            false => setback,
        })?;
        match answer {
            Some(Answer::Joined(joined)) => self.believe(joined),
            Some(Answer::Denied(denied)) => Err(Setback::Final(Denied::from_wire(denied))),
            None => Err(nonsense()),
        }
    }

    async fn ask_over(&self, wire: Wire) -> Result<Option<Answer>, Setback> {
        let connected = http2::connect(self.env, &self.config.limits, wire).await;
        let mut connection = connected.map_err(|e| passing(&e))?;
        let answer =
            connection.client.join(self.request.clone()).await.map_err(|status| match status.code() {
                Code::Unimplemented => Setback::Hopeless(NO_NODE.to_owned()),
                _ => self.broke(&status),
            })?;
        Ok(answer.into_inner().answer)
    }

    /// A node that wants certificates does not say so to who has none: it hangs up.
    fn broke(&self, status: &tonic::Status) -> Setback {
        let hint = match self.config.security {
            Security::Mutual(_) => "",
            _ => NO_CERTIFICATE,
        };
        Setback::Passing(format!("{}{hint}", lost(status)))
    }

    fn believe(&self, joined: v1::Joined) -> Result<Joined, Setback> {
        let cluster = uuid_from(&joined.cluster).filter(|cluster| *cluster != 0).ok_or_else(nonsense)?;
        let is_wanted = self.config.cluster.is_none_or(|wanted| wanted == cluster);
        if joined.node == 0 || !is_wanted {
            return Err(nonsense());
        }
        let members =
            joined.members.into_iter().map(neighbour).collect::<Option<_>>().ok_or_else(nonsense)?;
        Ok(Joined { cluster, node: NodeId::new(joined.node), members })
    }
}

/// `None` for one that makes no sense. Releases that came before it was said say nothing of the machine.
fn neighbour(member: v1::JoinedMember) -> Option<Neighbour> {
    let machine = machine_from(&member.machine)?;
    Some(Neighbour { node: NodeId::new(member.node), machine, peer: member.peer_address })
}

/// Keeps what an address came to, and logs it: whoever waits for the node sees each time what it waits for.
fn note(said: &mut BTreeMap<String, String>, address: String, why: String) {
    tracing::warn!(address, why, "not admitted to the cluster yet; asking again");
    said.insert(address, why);
}

fn passing(error: &dyn std::error::Error) -> Setback {
    Setback::Passing(chain(error))
}

fn nonsense() -> Setback {
    Setback::Hopeless(
        "it answered the request to join with nonsense; is that a node of a Chronos cluster".into(),
    )
}
