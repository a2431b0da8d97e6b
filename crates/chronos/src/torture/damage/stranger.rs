//! A node that does not start any more, because what says which node it is, or its whole log, is gone.
//!
//! Such a node cannot mend itself: nobody can tell any more what it has promised to others. It says so, and what is to be
//! done: it is given up, and an empty directory joins in its place, under a number of its own.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use chronos_client::cluster::NodeId;

use super::report::Replaced;
use super::{Ward, admin, heal};
use crate::demo::proof;
use crate::failure::{Failure, Outcome};
use crate::operator::failed;

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// A bit of the file that says whose directory it is.
    Identity,
    /// A bit of the file that says which node it is.
    Seat,
    /// The whole write-ahead log.
    Log,
}

impl Lost {
    pub(super) const ALL: [Self; 3] = [Self::Identity, Self::Seat, Self::Log];

    const fn words(self) -> &'static str {
        match self {
            Self::Identity => "IDENTITY",
            Self::Seat => "NODE",
            Self::Log => "wal",
        }
    }

    fn lose(self, data: &Path, bit: u64) -> io::Result<()> {
        let path = data.join(self.words());
        if self == Self::Log {
            return fs::remove_dir_all(path);
        }
        let mut bytes = fs::read(&path)?;
        let bit = bit as usize % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bytes)
    }
}

/// A node is taken for dead, and its successor known, within this.
const GIVEN_UP_MAX: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What an operator is told to do, as the refusal says it.
const WAY_OUT: &str = "chronos cluster replace";

impl Ward {
    /// Damages what names a node, has it refuse to start, and does what the refusal says.
    pub(super) async fn no_start(&mut self, what: Lost) -> Outcome<Replaced> {
        let at = self.dice.below(self.stage.fleet.len() as u64) as usize;
        let (name, old) = (self.stage.fleet.name(at).to_owned(), heal::number(self, at).await?);
        self.stage.fleet.kill(at).await?;
        let data = self.stage.fleet.data(at);
        what.lose(&data, self.dice.u64())
            .map_err(|e| Failure::failed(format!("cannot damage {}: {e}", data.display())))?;
        let refusal = match self.stage.fleet.restart(at).await {
            Ok(_) => {
                return Err(Failure::failed(format!(
                    "{name} started although its {} is damaged",
                    what.words()
                )));
            }
            Err(refusal) => refusal.to_string(),
        };
        self.say(&format!("{name} does not start: {refusal}"));
        let start = Instant::now();
        self.stage.fleet.wipe(at)?;
        self.stage.fleet.restart(at).await?;
        self.give_up(at, old).await?;
        self.stage.fleet.settled().await?;
        let (took, new) = (start.elapsed(), heal::number(self, at).await?);
        let found = proof::total(&self.stage.prove(&self.ledger).await?);
        let agreement = self.stage.fleet.agreement(&self.ledger.token()).await?;
        let offline = self.verified_offline().await?;
        self.say(&format!(
            "{old} was given up, and {new} has taken its place after {:.1} s",
            took.as_secs_f64()
        ));
        Ok(Replaced {
            node: name,
            lost: what.words(),
            names_the_way_out: refusal.contains(WAY_OUT),
            refusal,
            replaced_ms: took.as_millis() as u64,
            lost_events: found.lost + found.gaps + found.duplicates,
            digests_different: agreement.broken().len(),
            left: offline,
        })
    }

    /// Has the others give up the node that was at that place, as soon as they take it for dead.
    async fn give_up(&self, at: usize, old: NodeId) -> Outcome {
        let (others, start) = (admin(&self.stage.fleet, |other| other != at)?, Instant::now());
        while let Err(error) = others.replace(old).await {
            if start.elapsed() > GIVEN_UP_MAX {
                return Err(failed(error));
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        Ok(())
    }
}
