//! Getting the files of a part from another node.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chronos_domain::PartitionId;
use chronos_env::{Disk, Env, OpenMode};
use chronos_store::backup::{self, Arrival, Incoming, NamedFile};
use chronos_store::{FileMeta, PartMeta};

use crate::node::NodeId;
use crate::peer::{BulkItem, CallError, Peers, Refusal};

/// Why a part did not arrive. What has come of it stays, and the next try goes on from there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FetchError {
    /// The other node could not be reached, or refused. Another one may have it.
    #[error("{file} was not had: {error}")]
    Source {
        /// Which file.
        file: String,
        /// What the connection says.
        error: CallError,
    },
    /// What the other node sent is not the file: its copy is damaged, or it was on the way. It is thrown away.
    #[error(
        "{file} arrived from {from} with other bytes than were announced: {what}; verify that node's data"
    )]
    Damaged {
        /// Which file.
        file: String,
        /// Who sent it.
        from: NodeId,
        /// How it is not what was announced.
        what: String,
    },
    /// This node's disk refused.
    #[error("{file} could not be written: {error}")]
    Disk {
        /// Which file.
        file: String,
        /// What the system says.
        error: Arc<io::Error>,
    },
}

impl FetchError {
    /// Whether the other node does not have the file.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, FetchError::Source { error: CallError::Refused { refusal, .. }, .. } if refusal.code == Refusal::ABSENT)
    }

    /// Whether trying another node can help.
    pub fn is_of_the_source(&self) -> bool {
        !matches!(self, FetchError::Disk { .. })
    }
}

/// Fetches both files of a part of partition `id` from `from` into the directory `into`, which must be there, under their
/// names. Files that are there under their names are taken for what they are called: whoever put them there has checked
/// them. When it returns `Ok`, both are there, checked and durable.
///
/// A file that is on its way is called `<name>.partial`. One that an earlier try has left, in this life of the process or
/// an earlier one, is gone on with: what of it is here is hashed again, and not fetched again. Nothing gets its name
/// before its hash is right. Cancel-safe in the same sense.
///
/// # Errors
/// See [`FetchError`].
pub async fn fetch_part(
    peers: &Peers,
    env: &Env,
    from: NodeId,
    id: PartitionId,
    part: &PartMeta,
    into: &Path,
) -> Result<(), FetchError> {
    for (name, meta) in [(part.parquet_name(), part.parquet), (part.index_name(), part.index)] {
        let wanted = NamedFile { partition: id, name, meta };
        Fetch { peers, env, from, wanted }.run(into).await?;
    }
    Ok(())
}

/// One file on its way.
struct Fetch<'a> {
    peers: &'a Peers,
    env: &'a Env,
    from: NodeId,
    wanted: NamedFile,
}

impl Fetch<'_> {
    async fn run(&self, into: &Path) -> Result<(), FetchError> {
        loop {
            let (env, wanted, to) = (self.env.clone(), self.wanted.clone(), into.join(&self.wanted.name));
            let opened = self.env.tasks.blocking(move || open(&env, wanted, &to)).await;
            let Some(incoming) = opened.map_err(|error| self.failed(error))? else { return Ok(()) };
            let incoming = self.receive(incoming).await?;
            let finished = self.env.tasks.blocking(move || incoming.finish()).await;
            match finished.map_err(|error| self.failed(error))? {
                Arrival::Whole => return Ok(()),
                // What an earlier try had left was no beginning of it, and is gone.
                Arrival::Again => {}
            }
        }
    }

    /// Adds all bytes that are missing.
    async fn receive(&self, mut incoming: Incoming) -> Result<Incoming, FetchError> {
        if incoming.is_complete() {
            return Ok(incoming);
        }
        let NamedFile { partition, meta: FileMeta { sha256, .. }, .. } = &self.wanted;
        let item = BulkItem { group: partition.get(), name: sha256.to_string() };
        let bulk = self.peers.bulk(self.from, item, incoming.offset()).await;
        let mut bulk = bulk.map_err(|error| self.not_had(error))?;
        while let Some(bytes) = bulk.next().await.map_err(|error| self.not_had(error))? {
            let (written, back) = self.env.tasks.blocking(move || write(incoming, &bytes)).await;
            incoming = back;
            written.map_err(|error| self.failed(error))?;
        }
        if !incoming.is_complete() {
            let (had, whole) = (incoming.offset(), self.wanted.meta.bytes);
            return Err(self.damaged(format!("it has {had} bytes there instead of {whole}")));
        }
        Ok(incoming)
    }

    fn not_had(&self, error: CallError) -> FetchError {
        FetchError::Source { file: self.wanted.name.clone(), error }
    }

    fn damaged(&self, what: String) -> FetchError {
        FetchError::Damaged { file: self.wanted.name.clone(), from: self.from, what }
    }

    fn failed(&self, error: backup::Error) -> FetchError {
        match error {
            backup::Error::Io(error) => FetchError::Disk { file: self.wanted.name.clone(), error },
            backup::Error::Damaged { what, .. } => self.damaged(what),
            other => self.damaged(other.to_string()),
        }
    }
}

/// `None` when the file is here already.
fn open(env: &Env, wanted: NamedFile, to: &Path) -> Result<Option<Incoming>, backup::Error> {
    if is_here(env.disk.as_ref(), to, wanted.meta)? {
        return Ok(None);
    }
    Incoming::open(env, wanted, to.to_path_buf()).map(Some)
}

/// Whether the file has its name; one with another length is none of ours, and removed.
fn is_here(disk: &dyn Disk, file: &Path, meta: FileMeta) -> io::Result<bool> {
    if !disk.exists(file)? {
        return Ok(false);
    }
    let is_whole = disk.open(file, OpenMode::Read)?.len()? == meta.bytes;
    if !is_whole {
        disk.remove(file)?;
    }
    Ok(is_whole)
}

fn write(mut incoming: Incoming, bytes: &Bytes) -> (Result<(), backup::Error>, Incoming) {
    let written = incoming.write(bytes);
    (written, incoming)
}
