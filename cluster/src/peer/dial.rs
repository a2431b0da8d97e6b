//! Connections to other nodes, and the first words on them.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use chronos_env::Env;
use chronos_proto::peer::v1;
use tokio::sync::watch;

use super::Limits;
use super::doorman::{Doorman, Pass};
use super::doubts::Doubts;
use super::error::Cause;
use super::hello::{Hello, Turned, Welcome, Why};
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

    /// Judges the first answer of `to`, which was greeted after `asked`.
    pub(super) fn judge(&self, first: First, to: NodeId, asked: Duration) -> Result<Pass, Cause> {
        let welcome = match first {
            First::Welcome(welcome) => Welcome::from_wire(welcome).ok_or_else(nonsense)?,
            First::Turned(turned) => {
                count(&self.counters.turned_away_by_others, 1);
                let turned = self.understood(Turned::from_wire(to, turned));
                self.doubts.turned_away(to, &turned, self.env.clock.monotonic());
                return Err(Cause::Turned(turned));
            }
            First::Other => return Err(nonsense()),
        };
        let by = welcome.by.node;
        self.doubts.dispelled(by);
        let pass = self.doorman.believe(&welcome, to).map_err(|turned| {
            self.counters.turned_away(turned.why);
            tracing::warn!(%to, answered = %by, release = welcome.release, why = turned.why.name(), "{}", turned.text);
            Cause::Turned(turned)
        })?;
        pass.answered(asked);
        Ok(pass)
    }

    /// That our directory is a copy we believe only when it is said of a process that our directory goes on from: else it was
    /// not meant. It is a no all the same.
    fn understood(&self, turned: Turned) -> Turned {
        if turned.why == Why::Copy && !self.doorman.goes_on_from(turned.of) {
            return Turned { why: Why::Outdated, of: 0, ..turned };
        }
        turned
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
    use chronos_env::sim::World;
    use futures::FutureExt;

    use super::super::Security;
    use super::super::hello::Identity;
    use super::*;

    /// Node 1 in incarnation 3, which was processes 7 and 8 before.
    fn dialer() -> Dialer {
        let (env, limits) = (World::new(1).env(), Limits::default());
        let me = Identity { cluster: 5, node: NodeId::new(1), incarnation: 3, process: 9, machine: 0 };
        let doorman = Doorman::new(me, 1..=1, String::new(), env.clock.clone());
        let doorman = Arc::new(doorman.remembering(vec![8, 7], BTreeMap::new()));
        let guard = Guard::new(&Security::PlaintextAnywhere, &env).unwrap();
        let (counters, doubts, deaths) = Default::default();
        Dialer { env, limits, guard, doorman, counters, doubts, deaths }
    }

    #[test]
    fn that_it_is_a_copy_is_believed_only_of_a_process_that_it_goes_on_from() {
        for (copy_of, why) in [(7, Why::Copy), (0, Why::Outdated), (9, Why::Outdated), (6, Why::Outdated)] {
            let dialer = dialer();
            let told = v1::Turned { why: v1::turned::Why::Outdated.into(), text: "no".into(), copy_of };
            let judged = dialer.judge(First::Turned(told), NodeId::new(2), Duration::ZERO);
            assert!(matches!(judged, Err(Cause::Turned(Turned { why: given, .. })) if given == why));
            // Either way it must not go on.
            assert_eq!(dialer.doubts.certain().now_or_never().unwrap().why, why);
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let root = std::io::Error::other("connection reset");
        let middle = std::io::Error::other(root);
        let status = tonic::Status::from_error(Box::new(middle));
        let Cause::ConnectionLost(text) = lost(&status) else { panic!("{status}") };
        assert_eq!(text.matches("connection reset").count(), 1, "{text}");
    }
}
