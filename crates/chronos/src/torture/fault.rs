//! What is done to a node.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::demo::dice::Dice;
use crate::failure::{Failure, Outcome};
use crate::fleet::Fleet;
use crate::fleet::cut::Cut;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fault {
    /// SIGKILL, and a start up to two seconds later.
    Kill,
    /// SIGTERM and a start at once, as when a cluster is upgraded node by node.
    Restart,
    /// SIGSTOP for up to ten seconds.
    Pause,
    /// Nothing the node says to other nodes arrives, or nothing they say to it, or neither, for up to ten seconds.
    Partition,
}

/// How long a node that was killed stays away, at most.
const AWAY_MAX_MS: u64 = 2_000;

/// How long a node is halted or cut off.
const DEAF_MS: std::ops::RangeInclusive<u64> = 200..=10_000;

impl Fault {
    /// Does it to node `at`, and undoes it. Returns when the node runs and is reached again, which is before it has
    /// caught up.
    pub(crate) async fn strike(self, fleet: &mut Fleet, at: usize, dice: &mut Dice) -> Outcome {
        match self {
            Self::Kill => {
                fleet.kill(at).await?;
                pause(dice.below(AWAY_MAX_MS)).await;
                fleet.restart(at).await.map(drop)
            }
            Self::Restart => {
                fleet.stop(at).await?;
                fleet.restart(at).await.map(drop)
            }
            Self::Pause => {
                fleet.pause(at)?;
                pause(dice.between(*DEAF_MS.start(), *DEAF_MS.end())).await;
                fleet.resume(at)
            }
            Self::Partition => {
                let networks = fleet.ground().cuttable();
                let networks = networks.ok_or_else(|| Failure::failed("these networks cannot be cut"))?;
                networks.cut(at, dice.pick(&[Cut::Both, Cut::Inbound, Cut::Outbound]))?;
                pause(dice.between(*DEAF_MS.start(), *DEAF_MS.end())).await;
                networks.heal(at)
            }
        }
    }
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
