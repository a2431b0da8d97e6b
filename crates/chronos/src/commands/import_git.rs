//! `chronos import-git`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::sync::mpsc;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Failure, Outcome};
use crate::git::events::{History, Skipped};
use crate::git::log::{Log, repository_name};
use crate::ingest::Item;
use crate::ingest::cut::Size;
use crate::ingest::intake::Intake;
use crate::ingest::progress::{Measure, Progress};
use crate::ingest::tally::{OnError, Tally};

const EXAMPLES: &str = "\
Every commit becomes `commit.authored` on the entity repo-{NAME}, and every file it touched `file.added`, \
`file.modified` or `file.deleted` on file-NAME/PATH; they occurred when the commit was authored. Run it again when the \
history has grown: only what is new is stored.

Needs git. Files whose paths cannot name an entity (not UTF-8, control characters, too long) are skipped: the first five \
are named on standard error, all are counted. An author's time may be before 1970; one that is no time, or too far away \
for microseconds, is left out.

Examples:
  chronos import-git .
  chronos import-git ~/src/linux --name linux
  chronos read 'repo-{chronos}' --limit 5
  chronos read file-chronos/README.md
  chronos state file-chronos/README.md --occurred-until 2024-05-01";

/// Store the history of a git repository as events
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ImportGit {
    /// Anywhere in the repository
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// What to call it [default: the name of its directory]
    #[arg(long)]
    name: Option<String>,
}

/// Events read from git that wait to be cut.
const AHEAD: usize = 4096;

impl ImportGit {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => repository_name(&self.path)?,
        };
        let history = History::new(&name)?;
        let log = Log::open(&self.path)?;
        let connection = Connection::open(context).await?;
        let progress = Progress::new(Measure::Bytes { taken: Arc::default(), length: None });
        let tally = Arc::new(Tally::new(self.path.clone(), OnError::Skip, progress, connection.counters()));
        let mut intake = Intake::start(&connection.sink(), &tally, Size::DEFAULT);
        let fed = feed(log, history, &tally, &mut intake).await;
        let settled = intake.finish().await;
        let summary = tally.finish();
        match settled.and(fed) {
            Ok(()) => summary.print(context.output),
            Err(why) => Err(summary.interrupted(&why)),
        }
    }
}

async fn feed(log: Log, history: History, tally: &Tally, intake: &mut Intake<Tally>) -> Outcome {
    let (mut items, walk) = walk(log, history);
    while let Some(item) = items.recv().await {
        tally.read();
        intake.take(item).await?;
    }
    let walked = walk.await.map_err(|e| Failure::failed(format!("lost the thread that reads git: {e}")))?;
    let skipped = walked?;
    for sentence in &skipped.first {
        tally.say(sentence);
    }
    let unnamed = skipped.count - skipped.first.len() as u64;
    if unnamed > 0 {
        tally.say(&format!("… and {unnamed} more"));
    }
    tally.skip(skipped.count);
    Ok(())
}

/// What the thread that reads git ends with.
type Walk = tokio::task::JoinHandle<Outcome<Skipped>>;

/// Reads git on a thread of its own.
fn walk(mut log: Log, mut history: History) -> (mpsc::Receiver<Item>, Walk) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let walk = tokio::task::spawn_blocking(move || {
        let mut line = 0;
        while let Some(commit) = log.next()? {
            for draft in history.events(&commit) {
                line += 1;
                if sender.blocking_send(Item { draft, line }).is_err() {
                    return Ok(history.into_skipped());
                }
            }
        }
        Ok(history.into_skipped())
    });
    (receiver, walk)
}
