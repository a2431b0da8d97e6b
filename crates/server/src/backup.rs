//! The cut that a backup is copied from.
//!
//! ```text
//!  now ─► of each partition, here or where it is held: nothing can be recorded before now any more
//!                                                       ─► cut and compact ─► parts, held ─► listing
//! ```
//!
//! Each partition's share is a prefix of its history, complete up to the moment of the cut, whichever node it comes from:
//! that is all a listing promises, so it does not matter that they are of different nodes.

mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_app::{Class, Error, Reason};
use chronos_domain::{PartitionId, Timestamp};
use chronos_env::Env;
use chronos_store::Identity;
use chronos_store::backup::{Listing, Share, Source, SourceFile};
use futures::future::try_join_all;

use crate::engine::{Engine, Fetching, Lent, Shared};
use crate::node::RELEASE;

pub(crate) use self::steps::{Step, Steps};

/// How long everything applied may take to get into parts.
const COMPACT_MAX: Duration = Duration::from_secs(3600);

/// Everything that the cluster had at rest at one moment, held until this is dropped.
pub(crate) struct Cut {
    env: Env,
    engine: Engine,
    source: Source,
    /// What other nodes hold for it.
    lent: BTreeMap<PartitionId, Lent>,
}

/// The rest of one file of a cut.
pub(crate) struct Copied<'a> {
    env: &'a Env,
    engine: &'a Engine,
    partition: PartitionId,
    at: At<'a>,
    offset: u64,
}

enum At<'a> {
    Here(Arc<SourceFile>),
    There(Box<Fetching<'a>>),
}

/// Makes parts of everything that is applied, by the time that it is `due`, and holds them. How far that is, is noted in
/// `steps`.
///
/// # Errors
/// When a partition is served neither here nor by a node that can be asked, or did not get into parts: a backup without it
/// would be none.
pub(crate) async fn cut(
    env: &Env,
    engine: Engine,
    identity: &Identity,
    due: Option<Duration>,
    steps: &Steps,
) -> Result<Cut, Error> {
    // The moment itself is not over.
    let created_at = Timestamp::new(engine.groups().now().get() - 1);
    let most = env.clock.monotonic() + COMPACT_MAX;
    let deadline = due.map_or(most, |due| due.min(most));
    let shares = try_join_all(PartitionId::all().map(|id| {
        let noted = move |step| steps.at(id, step);
        engine.share(id, created_at, deadline, noted)
    }));
    let (mut held, mut lent) = (Vec::new(), BTreeMap::new());
    for (id, shared) in PartitionId::all().zip(shares.await.map_err(incomplete)?) {
        held.push(match shared {
            Shared::Here(shelf) => Share::Here(shelf),
            Shared::There(borrowed) => {
                let share = Share::Elsewhere(borrowed.manifest());
                lent.insert(id, borrowed);
                share
            }
        });
    }
    let source = Source::new(RELEASE, identity.cluster, created_at, held);
    Ok(Cut { env: env.clone(), engine, source, lent })
}

impl Cut {
    /// What there is to copy.
    pub(crate) fn listing(&self) -> &Listing {
        self.source.listing()
    }

    /// The file of that name from `offset` on, if the listing has it.
    pub(crate) fn file(&self, partition: PartitionId, name: &str, offset: u64) -> Option<Copied<'_>> {
        let at = match self.lent.get(&partition) {
            Some(lent) => At::There(Box::new(lent.fetch(&self.engine, name, offset)?)),
            None => At::Here(Arc::new(self.source.file(partition, name)?)),
        };
        Some(Copied { env: &self.env, engine: &self.engine, partition, at, offset })
    }
}

impl Copied<'_> {
    /// How long the whole file is.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.at {
            At::Here(file) => file.bytes(),
            At::There(fetching) => fetching.bytes(),
        }
    }

    /// The bytes that follow: about `len` of them, none at the end of the file.
    ///
    /// # Errors
    /// When they cannot be read here, or not be had from elsewhere.
    pub(crate) async fn next(&mut self, len: usize) -> Result<Bytes, Error> {
        if self.offset == self.bytes() {
            return Ok(Bytes::new());
        }
        let bytes = match &mut self.at {
            At::There(fetching) => fetching.next().await?,
            At::Here(file) => {
                let (file, offset) = (Arc::clone(file), self.offset);
                let read = self.env.tasks.blocking(move || file.read(offset, len)).await;
                read.map_err(|fault| self.engine.failed(self.partition, &fault))?
            }
        };
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}

fn incomplete(error: Error) -> Error {
    let message = format!("no backup was made, because it would not be complete: {}", error.message);
    Error { class: Class::Failed, reason: Reason::Unavailable, message, ..error }
}
