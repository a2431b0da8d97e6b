//! `chronos backup`

use std::path::{Path, PathBuf};
use std::time::Duration;

use chronos_client::{EventId, ReadError};
use chronos_env::Env;
use chronos_store::backup::{self, Arrival, BackupDir, Error, Listing, NamedFile, Plan};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::Context;
use crate::connect::Connection;
use crate::data_dir;
use crate::failure::{Exit, Failure, Outcome};
use crate::moment;
use crate::output::{Format, Out};
use crate::table::grouped;

const EXAMPLES: &str = "\
The backup is one state of every partition, at the token that is printed: the nodes first make parts of everything that \
is applied, then these are copied, all of them by way of the node that is asked. Appends and reads go on meanwhile.

Into a directory that holds an earlier backup only new files are copied. The earlier one stays until the new one is \
complete. A run that was cut short, by whatever, is simply run again: it goes on with what is there. Every file in the \
directory is read and hashed each time, so that one that has rotted is fetched again.

Takes as long as it gets on, unless --timeout says how long all of it may take: what has arrived by then is kept and is no \
backup until it is run again.

Examples:
  chronos backup /backups/chronos
  chronos backup /backups/chronos --addr db1:7400
  chronos backup /backups/chronos --verify        # no server needed: check every byte of what is there

`chronos restore` makes a data directory of it. `chronos cluster backup` does the same over the operators' port.";

/// Copy everything a running server or cluster has into a directory
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Backup {
    /// Where to; made if it is missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Copy nothing; check every byte of the backup in DIR
    #[arg(long)]
    verify: bool,
}

/// What a run has done, as one object.
#[derive(Serialize)]
struct Done {
    cluster_id: String,
    token: String,
    created_at: String,
    events: u64,
    files: u64,
    bytes: u64,
    copied_files: u64,
    copied_bytes: u64,
    kept_files: u64,
    kept_bytes: u64,
    removed_files: u64,
}

/// What a check has found, as one object.
#[derive(Serialize)]
struct Checked {
    cluster_id: String,
    token: String,
    created_at: String,
    events: u64,
    bytes: u64,
    damages: Vec<String>,
}

impl Backup {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let dir = data_dir::resolve(&self.dir)?;
        if self.verify {
            return verify(&dir, context);
        }
        let connection = Connection::open(context).await?;
        let begin = async || connection.backup().await;
        copy_all(&dir, (context.output, context.asked_timeout()), begin).await
    }
}

/// Copies what `begin` begins to copy into a directory, within some time if one is given, and says what was done.
pub(super) async fn copy_all(
    dir: &Path,
    (format, within): (Format, Option<Duration>),
    begin: impl AsyncFnOnce() -> Outcome<chronos_client::Backup>,
) -> Outcome {
    let mut progress = Progress::default();
    let copying = copy_into(dir, begin, &mut progress);
    let done = match within {
        None => copying.await,
        Some(within) => match tokio::time::timeout(within, copying).await {
            Ok(done) => done,
            Err(_) => Err(progress.late(dir, within)),
        },
    };
    progress.bar.finish_and_clear();
    done?.print(format, dir)
}

/// Says what the nodes do before anything can be copied: as progress, and not as an error.
pub(crate) fn told(waiting: &str) {
    eprintln!("waiting: {waiting}");
}

async fn copy_into(
    dir: &Path,
    begin: impl AsyncFnOnce() -> Outcome<chronos_client::Backup>,
    progress: &mut Progress,
) -> Outcome<Done> {
    let env = Env::real();
    // What is there is read before the nodes hold anything for us. Where there is nothing, nothing is made either until they do:
    // a backup that is refused leaves no trace.
    let earlier = if is_empty(dir)? { None } else { Some(BackupDir::open(&env, dir, &mut |_| {})?) };
    let mut remote = begin().await?;
    let mut backup = match earlier {
        Some(backup) => backup,
        None => BackupDir::open(&env, dir, &mut |_| {})?,
    };
    let listing = Listing::decode(&remote.listing(), Path::new("the listing that the server sent"))?;
    let plan = backup.plan(&listing)?;
    progress.begin(&plan);
    for file in &plan.missing {
        copy(&mut backup, &mut remote, file, progress).await?;
    }
    let removed_files = backup.commit(listing.clone())?.removed_files;
    Ok(Done::new(&listing, &plan, progress.bytes, removed_files))
}

/// Whether there is no such directory, or nothing in it.
fn is_empty(dir: &Path) -> Outcome<bool> {
    let disk = Env::real().disk;
    let look = || Ok::<bool, std::io::Error>(!disk.exists(dir)? || disk.list(dir)?.is_empty());
    look().map_err(Failure::failed)
}

/// How far a copy is.
struct Progress {
    /// Whether it is known what is to be copied.
    is_begun: bool,
    wanted_files: u64,
    wanted_bytes: u64,
    files: u64,
    bytes: u64,
    bar: ProgressBar,
}

impl Default for Progress {
    fn default() -> Self {
        let bar = ProgressBar::hidden();
        Self { is_begun: false, wanted_files: 0, wanted_bytes: 0, files: 0, bytes: 0, bar }
    }
}

impl Progress {
    fn begin(&mut self, plan: &Plan) {
        self.is_begun = true;
        self.wanted_files = plan.missing.len() as u64;
        self.wanted_bytes = plan.missing.iter().map(|file| file.meta.bytes).sum();
        self.bar = bar(self.wanted_bytes);
    }

    fn arrived(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.bar.inc(bytes);
    }

    /// The time was over before the end.
    fn late(&self, dir: &Path, within: Duration) -> Failure {
        let dir = dir.display();
        let late = format!("the backup was not done within {within:?} (--timeout)");
        if !self.is_begun {
            return Failure::failed(format!(
                "{late}: the nodes had not made ready what is to be copied, and nothing was copied; run it again with more time"
            ));
        }
        let [files, all_files, bytes, all_bytes] =
            [self.files, self.wanted_files, self.bytes, self.wanted_bytes].map(grouped);
        Failure::failed(format!(
            "{late}: {files} of {all_files} files, {bytes} of {all_bytes} bytes, had arrived; they are kept in {dir} and are no \
             backup yet, and one that stood there before stands: run it again with more time, it goes on there"
        ))
    }
}

/// Receives one file.
async fn copy(
    backup: &mut BackupDir,
    remote: &mut chronos_client::Backup,
    file: &NamedFile,
    progress: &mut Progress,
) -> Outcome {
    loop {
        let mut incoming = backup.receive(file)?;
        if !incoming.is_complete() {
            let fetched = remote.fetch(file.partition, &file.name, incoming.offset()).await;
            let mut fetched = fetched.map_err(|e| interrupted(file, &e))?;
            while let Some(piece) = fetched.next().await.map_err(|e| interrupted(file, &e))? {
                incoming.write(&piece)?;
                progress.arrived(piece.len() as u64);
            }
        }
        if !incoming.is_complete() {
            return Err(Failure::failed(format!(
                "{} ended early on its way; run the backup again, it goes on there",
                file.name
            )));
        }
        if backup.finish(file, incoming)? == Arrival::Whole {
            progress.files += 1;
            return Ok(());
        }
    }
}

/// A server that goes away in the middle costs nothing but the time.
fn interrupted(file: &NamedFile, error: &ReadError) -> Failure {
    match error {
        ReadError::Unavailable(_) => Failure::failed(format!(
            "the server was lost while it sent {}: {error}; what has arrived is kept: run the backup again",
            file.name
        )),
        error => Failure::from(error),
    }
}

impl Done {
    fn new(listing: &Listing, plan: &Plan, copied_bytes: u64, removed_files: u64) -> Self {
        Self {
            cluster_id: EventId::from_u128(listing.cluster).to_string(),
            token: listing.token().to_string(),
            created_at: moment::show(listing.created_at),
            events: listing.events(),
            files: listing.files().count() as u64,
            bytes: listing.bytes(),
            copied_files: plan.missing.len() as u64,
            copied_bytes,
            kept_files: plan.kept_files,
            kept_bytes: plan.kept_bytes,
            removed_files,
        }
    }

    fn print(&self, format: Format, dir: &Path) -> Outcome {
        let mut out = Out::new(format);
        match format {
            Format::Json => out.object(self)?,
            Format::Table => {
                let (events, files, bytes) = (grouped(self.events), grouped(self.files), grouped(self.bytes));
                out.line(format!("{events} events in {files} files, {bytes} bytes, in {}", dir.display()))?;
                out.line(format!(
                    "copied {} files, {} bytes; kept {} files, {} bytes; removed {} that no backup needs",
                    grouped(self.copied_files),
                    grouped(self.copied_bytes),
                    grouped(self.kept_files),
                    grouped(self.kept_bytes),
                    grouped(self.removed_files)
                ))?;
                out.line(format!("token {}", self.token))?;
            }
        }
        out.finish()
    }
}

/// Reads every byte of a backup; damage is part of the output.
fn verify(dir: &Path, context: &Context) -> Outcome {
    let found = backup::verify(&Env::real().disk, dir, &mut |_| {})?;
    let checked = Checked {
        cluster_id: EventId::from_u128(found.listing.cluster).to_string(),
        token: found.listing.token().to_string(),
        created_at: moment::show(found.listing.created_at),
        events: found.listing.events(),
        bytes: found.bytes,
        damages: found.damages.iter().map(Error::to_string).collect(),
    };
    let mut out = Out::new(context.output);
    match context.output {
        Format::Json => out.object(&checked)?,
        Format::Table => {
            for damage in &checked.damages {
                out.line(format!("damage: {damage}"))?;
            }
            let verdict = match checked.damages.len() {
                0 => "clean".to_owned(),
                1 => "1 damage".to_owned(),
                n => format!("{n} damages"),
            };
            let (events, bytes) = (grouped(checked.events), grouped(checked.bytes));
            out.line(format!("{verdict}: {events} events, {bytes} bytes read"))?;
            out.line(format!("token {}", checked.token))?;
        }
    }
    out.finish()?;
    if checked.damages.is_empty() { Ok(()) } else { Err(Failure::already_told(Exit::Failed)) }
}

/// A bar of bytes on standard error, when that is a terminal.
pub(crate) fn bar(bytes: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("  {bar:32} {percent:>3}%  {bytes} of {total_bytes}, {bytes_per_sec}");
    ProgressBar::new(bytes).with_style(style.expect("the template is well-formed"))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Later { end, asked } => Self::usage(format!(
                "the backup ends before that: it has what was recorded up to {}, and {} is asked for; give a time up to then, \
                 or a later backup",
                moment::show(end),
                moment::show(asked)
            )),
            Error::Foreign { .. } | Error::NotEmpty { .. } | Error::Reserved { .. } | Error::Beyond(_) => {
                Self::usage(error)
            }
            _ => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_is_late_says_how_far_it_came_and_what_becomes_of_that() {
        let (dir, within) = (Path::new("/b"), Duration::from_secs(2));
        let text = Progress::default().late(dir, within).to_string();
        assert!(
            text.contains("not done within 2s (--timeout)") && text.contains("nothing was copied"),
            "{text}"
        );
        let mut progress =
            Progress { is_begun: true, wanted_files: 3, wanted_bytes: 4096, ..Progress::default() };
        progress.files = 1;
        progress.arrived(1024);
        let text = progress.late(dir, within).to_string();
        assert!(
            text.contains("1 of 3 files, 1,024 of 4,096 bytes, had arrived; they are kept in /b"),
            "{text}"
        );
        assert!(text.contains("are no backup yet"), "{text}");
    }
}
