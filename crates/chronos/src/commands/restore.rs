//! `chronos restore`

use std::path::{Path, PathBuf};

use chronos_client::{EventId, Moment};
use chronos_env::Env;
use chronos_store::backup::{self, At, Restored, Stage, Whose};
use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::data_dir;
use crate::failure::{Failure, Outcome};
use crate::moment;
use crate::output::{Format, Out};
use crate::table::grouped;

const EXAMPLES: &str = "\
Before anything is written every byte of the backup is read and checked; a damaged one is refused, with each file that \
is. The new directory has its name when it is complete, and no server starts from one that is not: a run that was cut \
short is simply run again.

The new node goes on behind the last event of the backup: same positions, ids and digests. With --at it goes on behind an \
earlier moment, and what came after is not in it.

It belongs to a new cluster, whose id is printed beside that of the backup: what is written there is another history than \
what is or was written where the backup came from. Nodes and clients that know the one refuse the other, so the two are \
never mixed, and a backup of the new cluster needs a directory of its own. --keep-cluster-id keeps the id: only when \
every node of the original is gone for ever and this one takes its place. Clients that were running go on then, with the \
tokens they have; one that has seen what came after the backup waits for it in vain, or takes new events for those that \
were lost.

Examples:
  chronos restore /backups/chronos --data ./data
  chronos restore /backups/chronos --data ./data --at 2024-05-01T12:00:00Z
  chronos restore /backups/chronos --data ./data --at c1.BwoVHVcE
  chronos restore /backups/chronos --data ./data --keep-cluster-id    # the original is gone for ever
  chronos server --data ./data";

/// Make a new data directory of a backup
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Restore {
    /// The directory that `chronos backup` has made
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The directory to make; must not be there yet, or be empty
    #[arg(long, value_name = "NEW_DIR")]
    data: PathBuf,
    /// Only what the store knew then: a time or a token [default: all of the backup]
    #[arg(long, value_name = "TIME|TOKEN", value_parser = moment::parse_as_of)]
    at: Option<Moment>,
    /// Go on under the cluster id of the backup, only when the original is gone for ever: two histories under one id
    /// cannot be told apart
    #[arg(long)]
    keep_cluster_id: bool,
}

impl Restore {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let (from, to) = (data_dir::resolve(&self.backup)?, data_dir::resolve(&self.data)?);
        let at = match self.at {
            None => At::End,
            Some(Moment::Token(token)) => At::Token(token),
            Some(Moment::Time(moment)) => At::Moment(moment),
            Some(Moment::Version(_)) => {
                return Err(Failure::usage("--at takes a time or a token; a version is of one entity only"));
            }
        };
        let bar = indicatif::ProgressBar::new_spinner();
        let (mut read, mut written) = (0, 0);
        let mut progress = |stage, bytes| {
            match stage {
                Stage::Verify => read += bytes,
                Stage::Write => written += bytes,
            }
            bar.set_message(format!("{} bytes checked, {} written", grouped(read), grouped(written)));
            bar.tick();
        };
        let release = env!("CARGO_PKG_VERSION");
        let whose = if self.keep_cluster_id { Whose::Kept } else { Whose::Fresh };
        let restored = backup::restore(&Env::real(), &from, &to, (&at, whose), release, &mut progress).await;
        bar.finish_and_clear();
        print(&restored?, &to, context.output)
    }
}

fn print(restored: &Restored, data: &Path, format: Format) -> Outcome {
    let uuid = |bits| EventId::from_u128(bits).to_string();
    let mut out = Out::new(format);
    match format {
        Format::Json => out.object(&json!({
            "cluster_id": uuid(restored.cluster),
            "from_cluster_id": uuid(restored.from_cluster),
            "node_id": uuid(restored.node),
            "token": restored.token.to_string(),
            "events": restored.events,
            "bytes": restored.bytes,
        }))?,
        Format::Table => {
            let (events, bytes) = (grouped(restored.events), grouped(restored.bytes));
            out.line(format!("restored {events} events, {bytes} bytes, into {}", data.display()))?;
            let (old, new) = (uuid(restored.from_cluster), uuid(restored.cluster));
            out.line(match old == new {
                true => format!(
                    "cluster {new}, as before: see to it that nothing of the original is served any more"
                ),
                false => format!("cluster {new}, a new one; the backup is of cluster {old}"),
            })?;
            out.line(format!("token {}", restored.token))?;
            out.line(format!("start it: chronos server --data {}", data.display()))?;
        }
    }
    out.finish()
}
