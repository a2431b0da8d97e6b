//! Whether there is a cluster already, before one is founded.
//!
//! ```text
//!   refused, out of reach, hung up on at once ─► nobody ─┐ all of them, for long enough ─► a cluster may be founded
//!   answered ─► a node: its cluster is joined            │
//!   anything else ─► who knows ──────────────────────────┴─ looked at again, and given up in the end
//! ```
//!
//! A node answers as soon as it is one. One that reads its log first has its port and says nothing; one that asks to join
//! is nobody yet and hangs up on whoever comes ([`Port::nobody_yet`](super::Port::nobody_yet)). So silence is never taken for
//! absence: whoever founds a cluster in the place of one that starts has two.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use chronos_env::{Connection, Env};
use chronos_proto::peer::v1::JoinRequest;
use futures::future::join_all;
use tokio::io::AsyncReadExt;

use super::dial::{chain, lost};
use super::http2;
use super::join::{JoinConfig, JoinError};
use super::security::{Guard, told};

/// For how long nobody may be anywhere: nodes of a cluster are often started together, and not all in the same second.
const NOBODY_FOR: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Within that time who is nobody yet hangs up.
const HANGS_UP_WITHIN: Duration = Duration::from_millis(500);

/// What is at an address.
enum Seen {
    /// Nobody who is a node.
    Nobody,
    /// A node of some cluster.
    Node,
    /// Somebody, and nothing can be concluded.
    Unclear(String),
}

/// Looks whether a node of any cluster is at one of these addresses (peer addresses, `host:port`), until one is, or for ten
/// seconds nobody is anywhere. Gives the address of the node, if there is one.
///
/// # Errors
/// [`JoinError::Unclear`] when the patience is over before that is known; [`JoinError::Security`].
pub async fn look(env: &Env, config: &JoinConfig, addresses: &[String]) -> Result<Option<String>, JoinError> {
    let looking = Looking { env, config, guard: Guard::new(&config.security, env)? };
    let clock = &env.clock;
    let (mut nobody_since, until) = (clock.monotonic(), clock.monotonic() + config.patience);
    loop {
        let began = clock.monotonic();
        let seen = join_all(addresses.iter().map(|address| looking.at(address))).await;
        let mut unclear = BTreeMap::new();
        for (address, seen) in addresses.iter().zip(seen) {
            match seen {
                Seen::Nobody => {}
                Seen::Node => return Ok(Some(address.clone())),
                Seen::Unclear(why) => drop(unclear.insert(address.clone(), why)),
            }
        }
        if !unclear.is_empty() {
            nobody_since = clock.monotonic();
            tracing::warn!(?unclear, "there may be a cluster already; looking again before one is founded");
        }
        match clock.monotonic() {
            _ if unclear.is_empty() && began.saturating_sub(nobody_since) >= NOBODY_FOR => return Ok(None),
            now if now >= until && !unclear.is_empty() => return Err(JoinError::Unclear(unclear)),
            _ => clock.sleep(PAUSE).await,
        }
    }
}

struct Looking<'a> {
    env: &'a Env,
    config: &'a JoinConfig,
    guard: Guard,
}

impl Looking<'_> {
    async fn at(&self, address: &str) -> Seen {
        let (clock, within) = (&self.env.clock, self.config.limits.connect_timeout);
        let Ok(mut connection) = self.env.net.connect(address, within).await else { return Seen::Nobody };
        // Nobody but who hangs up does anything before it is spoken to.
        if let Ok(Ok(0) | Err(_)) = clock.timeout(HANGS_UP_WITHIN, connection.read(&mut [0])).await {
            return Seen::Nobody;
        }
        let answered = clock.timeout(within, self.answers(connection, address)).await;
        match answered.unwrap_or_else(|_| Err(format!("it says nothing within {within:?}"))) {
            Ok(()) => Seen::Node,
            Err(why) => Seen::Unclear(why),
        }
    }

    /// Whether somebody answers as nodes do: yes or no, to a question that makes no sense and does nothing.
    async fn answers(&self, connection: Connection, address: &str) -> Result<(), String> {
        let wire = self.guard.connect_by_name(connection, address).await.map_err(|error| told(&error))?;
        let made = http2::connect(self.env, &self.config.limits, wire).await;
        let mut connection = made.map_err(|error| chain(&error))?;
        match connection.client.join(JoinRequest::default()).await {
            // What broke the connection is the source of the error; what a node says has none.
            Err(status) if status.source().is_some() => Err(lost(&status).to_string()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
