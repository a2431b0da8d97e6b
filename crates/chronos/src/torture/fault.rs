//! What is done to a node, or to one after the other.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::demo::dice::Dice;
use crate::demo::ledger::Ledger;
use crate::failure::{Failure, Outcome};
use crate::fleet::Fleet;
use crate::fleet::cut::Cut;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fault {
    /// SIGKILL, and a start up to two seconds later
    Kill,
    /// SIGTERM, which hands its leaders over, and a start at once
    Restart,
    /// Restart of every node, one after the other, each when the one before has caught up: an upgrade of the cluster
    Rolling,
    /// SIGSTOP for up to ten seconds
    Pause,
    /// For up to ten seconds nothing it says to other nodes arrives, or nothing they say to it, or neither
    Partition,
    /// The same, one way only: it hears and is not heard, or is heard and does not hear
    Oneway,
}

/// How long a node that was killed stays away, at most.
const AWAY_MAX_MS: u64 = 2_000;

/// How long a node is halted or cut off.
const DEAF_MS: std::ops::RangeInclusive<u64> = 200..=10_000;

/// Whom it strikes, and what that may depend on.
pub(crate) struct Struck<'a> {
    pub(crate) fleet: &'a mut Fleet,
    /// The node; of several the first.
    pub(crate) at: usize,
    pub(crate) dice: &'a mut Dice,
    /// What was promised so far.
    pub(crate) ledger: &'a Ledger,
}

impl Fault {
    /// Whether it needs networks that can be cut.
    pub(crate) const fn is_of_the_network(self) -> bool {
        matches!(self, Self::Partition | Self::Oneway)
    }

    /// Whether nobody is taken by surprise, so that no caller of the SDK may see an error.
    pub(crate) const fn is_orderly(self) -> bool {
        matches!(self, Self::Restart | Self::Rolling)
    }

    /// How long it takes, more or less, on a cluster of so many nodes.
    pub(crate) fn lasts(self, nodes: u8) -> Duration {
        match self {
            Self::Kill | Self::Restart => Duration::from_secs(3),
            Self::Rolling => Duration::from_secs(4) * nodes.into(),
            Self::Pause | Self::Partition | Self::Oneway => {
                Duration::from_millis((DEAF_MS.start() + DEAF_MS.end()) / 2)
            }
        }
    }

    /// Does it, and undoes it. Returns when everybody runs and is reached again, which is before the last one has caught
    /// up.
    pub(crate) async fn strike(self, mut struck: Struck<'_>) -> Outcome {
        let Struck { fleet, at, dice, .. } = &mut struck;
        match self {
            Self::Kill => {
                fleet.kill(*at).await?;
                pause(dice.below(AWAY_MAX_MS)).await;
                fleet.restart(*at).await.map(drop)
            }
            Self::Restart => {
                fleet.stop(*at).await?;
                fleet.restart(*at).await.map(drop)
            }
            Self::Rolling => struck.roll().await,
            Self::Pause => {
                fleet.pause(*at)?;
                pause(dice.between(*DEAF_MS.start(), *DEAF_MS.end())).await;
                fleet.resume(*at)
            }
            Self::Partition => struck.cut(&[Cut::Both, Cut::Inbound, Cut::Outbound]).await,
            Self::Oneway => struck.cut(&[Cut::Inbound, Cut::Outbound]).await,
        }
    }
}

impl Struck<'_> {
    async fn roll(&mut self) -> Outcome {
        let nodes = self.fleet.len();
        for at in (self.at..self.at + nodes).map(|at| at % nodes) {
            self.fleet.stop(at).await?;
            self.fleet.restart(at).await?;
            self.fleet.caught_up(at, &self.ledger.token()).await?;
        }
        Ok(())
    }

    async fn cut(&mut self, cuts: &[Cut]) -> Outcome {
        let networks = self.fleet.ground().cuttable();
        let networks = networks.ok_or_else(|| Failure::failed("these networks cannot be cut"))?;
        networks.cut(self.at, self.dice.pick(cuts))?;
        pause(self.dice.between(*DEAF_MS.start(), *DEAF_MS.end())).await;
        networks.heal(self.at)
    }
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
