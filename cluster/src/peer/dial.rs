//! Connections to other nodes, and the first words on them.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;

use chronos_env::Env;
use chronos_proto::peer::v1;
use tokio::sync::watch;

use super::Limits;
use super::doorman::{Doorman, Pass};
use super::doubts::Doubts;
use super::error::Cause;
use super::hello::{Hello, Turned, Welcome};
use super::http2::{self, Http2};
use super::security::Guard;
use super::stats::{Counters, count};
use crate::NodeId;

pub(super) struct Dialer {
    pub(super) env: Env,
    pub(super) limits: Limits,
    pub(super) guard: Guard,
    pub(super) doorman: Arc<Doorman>,
    pub(super) counters: Arc<Counters>,
    pub(super) doubts: Doubts,
    /// How often each node's process was found to be gone.
    pub(super) deaths: watch::Sender<BTreeMap<NodeId, u64>>,
}

impl Dialer {
    /// The process we had a link to is gone.
    pub(super) fn died(&self, node: NodeId) {
        self.deaths.send_modify(|deaths| *deaths.entry(node).or_default() += 1);
    }

    /// Connects, protected, as far as the greeting. The caller bounds the time.
    pub(super) async fn open(&self, to: NodeId, address: &str) -> Result<Http2, Cause> {
        let failed = |error: &dyn Error| Cause::NoConnection(chain(error).into());
        let connection =
            self.env.net.connect(address, self.limits.connect_timeout).await.map_err(|error| match error
                .kind()
            {
                ErrorKind::ConnectionRefused => Cause::NobodyThere(chain(&error).into()),
                _ => failed(&error),
            })?;
        let secured = self.guard.connect(connection, to, address).await;
        let wire = secured
            .map_err(|error| Cause::NoConnection(format!("{to} at {address}: {}", chain(&error)).into()))?;
        http2::connect(&self.env, &self.limits, wire).await.map_err(|error| failed(&error))
    }

    pub(super) fn hello(&self, to: NodeId) -> Hello {
        self.doorman.hello(to)
    }

    /// Judges the first answer of `to`.
    pub(super) fn judge(&self, first: First, to: NodeId) -> Result<Pass, Cause> {
        let welcome = match first {
            First::Welcome(welcome) => Welcome::from_wire(welcome).ok_or_else(nonsense)?,
            First::Turned(turned) => {
                count(&self.counters.turned_away_by_others, 1);
                let turned = Turned::from_wire(to, turned);
                self.doubts.turned_away(to, &turned, self.env.clock.monotonic());
                return Err(Cause::Turned(turned));
            }
            First::Other => return Err(nonsense()),
        };
        let by = welcome.by.node;
        self.doubts.dispelled(by);
        self.doorman.believe(&welcome, to).map_err(|turned| {
            self.counters.turned_away(turned.why);
            tracing::warn!(%to, answered = %by, release = welcome.release, why = turned.why.name(), "{}", turned.text);
            Cause::Turned(turned)
        })
    }
}

/// The first message of the node that was called.
pub(super) enum First {
    Welcome(v1::Welcome),
    Turned(v1::Turned),
    Other,
}

fn nonsense() -> Cause {
    Cause::Malformed("it answered the greeting with nonsense; is that a node of a Chronos cluster".into())
}

/// What a failed call says.
pub(super) fn lost(status: &tonic::Status) -> Cause {
    let text = if status.message().is_empty() { status.code().description() } else { status.message() };
    Cause::ConnectionLost(continued(text.to_owned(), status.source()).into())
}

/// An error with all its causes, none of them twice.
pub(super) fn chain(error: &dyn Error) -> String {
    continued(error.to_string(), error.source())
}

fn continued(mut text: String, mut next: Option<&dyn Error>) -> String {
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let root = std::io::Error::other("connection reset");
        let middle = std::io::Error::other(root);
        let status = tonic::Status::from_error(Box::new(middle));
        let Cause::ConnectionLost(text) = lost(&status) else { panic!("{status}") };
        assert_eq!(text.matches("connection reset").count(), 1, "{text}");
    }
}
