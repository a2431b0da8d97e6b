//! A small file that shows, without any server, that an event belongs to a history.

use chronos_domain::{PartitionId, Position};
use serde::{Deserialize, Serialize};

use crate::digest::digest;
use crate::event::{Event, EventJson};
use crate::fields::{Fields, leaf};
use crate::hash::Hash;
use crate::tree::root_of_path;

/// What the file calls itself.
const FORMAT: &str = "chronos-proof-1";

/// What stands at the proven place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An event, with all that is stored of it.
    Event(Box<Event>),
    /// An event whose content was erased by a truncation: only the hash of what it was is left. Somebody who kept the
    /// event can still compare.
    Erased {
        /// The leaf hash of the event as it was.
        leaf: Hash,
    },
}

/// What leads from one leaf to a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How many events the partition's history held.
    pub size: Position,
    /// The running chain after that many events.
    pub chain: Hash,
    /// The hashes from the leaf to the root of the tree, the lowest first, as
    /// [`audit_path`](crate::audit_path) gives them.
    pub path: Vec<Hash>,
}

/// That one event stands at one position of a partition's history. As JSON it is what `chronos prove` writes; nothing
/// in it is left unchecked by [`check`](Proof::check).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "File", into = "File")]
pub struct Proof {
    partition: PartitionId,
    position: Position,
    subject: Subject,
    evidence: Evidence,
    digest: Hash,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The path does not lead from the position to a root of that size.
    #[error(
        "the path of {hashes} hashes leads nowhere from position {position} of {size}; ask for a new proof"
    )]
    Path {
        /// How many hashes the path has.
        hashes: usize,
        /// Where it starts.
        position: Position,
        /// How many events the tree has.
        size: Position,
    },
    /// The proof leads to another digest than it says itself: it has been changed.
    #[error("the proof was changed: it leads to digest {found} and not to {stated}, which it states")]
    Changed {
        /// The digest it leads to.
        found: Hash,
        /// The digest it states.
        stated: Hash,
    },
    /// The proof holds for another history than the trusted digest's, or for another length of it.
    #[error(
        "the proof leads to digest {found} of partition {partition} at position {size} and not to {trusted}; \
         compare it with the digest of that partition at that position"
    )]
    OtherHistory {
        /// The digest it leads to.
        found: Hash,
        /// Whose history the proof speaks of.
        partition: PartitionId,
        /// How much of it.
        size: Position,
        /// The digest that was given.
        trusted: Hash,
    },
}

/// A file that is no proof of a format known here.
#[derive(Debug, thiserror::Error)]
#[error("is no proof that this release reads: {0}")]
pub struct Unreadable(#[from] serde_json::Error);

impl Proof {
    /// The proof of a stored event.
    ///
    /// # Panics
    /// When the evidence does not lead from the event to a root: what was read to make it was not one history.
    pub fn of_event(fields: &Fields<'_>, evidence: Evidence) -> Proof {
        let subject = Subject::Event(Box::new(Event::new(fields)));
        Proof::stating((fields.partition, fields.position), subject, leaf(fields), evidence)
    }

    /// The proof that an event with this leaf hash stood at a position where its content has been erased.
    ///
    /// # Panics
    /// As [`of_event`](Self::of_event).
    pub fn of_erased(partition: PartitionId, position: Position, leaf: Hash, evidence: Evidence) -> Proof {
        Proof::stating((partition, position), Subject::Erased { leaf }, leaf, evidence)
    }

    fn stating(place: (PartitionId, Position), subject: Subject, leaf: Hash, evidence: Evidence) -> Proof {
        let (partition, position) = place;
        let digest = evidence.digest(place, leaf).expect("a path that was just read fits its tree");
        Proof { partition, position, subject, evidence, digest }
    }

    /// Checks that the event belongs to the history that `trusted` is the digest of: a digest printed by
    /// `chronos digest` and kept by somebody who does not rely on this file.
    ///
    /// # Errors
    /// [`Refused`] says what does not fit.
    pub fn check(&self, trusted: Hash) -> Result<(), Refused> {
        let leaf = match &self.subject {
            Subject::Event(event) => event.leaf_at(self.partition, self.position),
            Subject::Erased { leaf } => *leaf,
        };
        let found = self.evidence.digest((self.partition, self.position), leaf)?;
        if found != self.digest {
            return Err(Refused::Changed { found, stated: self.digest });
        }
        if found != trusted {
            let (partition, size) = (self.partition, self.evidence.size);
            return Err(Refused::OtherHistory { found, partition, size, trusted });
        }
        Ok(())
    }

    /// Reads what [`to_json`](Self::to_json) wrote. Nothing is checked beyond the form.
    ///
    /// # Errors
    /// [`Unreadable`] when it is anything else.
    pub fn from_json(json: &[u8]) -> Result<Proof, Unreadable> {
        Ok(serde_json::from_slice(json)?)
    }

    /// The proof as a JSON file of several lines, with a line break at the end.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self).expect("strings and numbers are always JSON");
        json + "\n"
    }

    /// The partition whose history is spoken of.
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Where in that history the event stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// How many events of the history the digest covers.
    pub fn size(&self) -> Position {
        self.evidence.size
    }

    /// The event, or what is left of it.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The digest that the proof states. It proves nothing by itself: whoever checks brings a digest of their own.
    pub fn digest(&self) -> Hash {
        self.digest
    }
}

impl Evidence {
    fn digest(&self, (partition, position): (PartitionId, Position), leaf: Hash) -> Result<Hash, Refused> {
        let refused = || Refused::Path { hashes: self.path.len(), position, size: self.size };
        let index = position.previous().ok_or_else(refused)?.get();
        let root = root_of_path(leaf, index, self.size.get(), &self.path).ok_or_else(refused)?;
        Ok(digest(partition, self.size, self.chain, root))
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    partition: u8,
    position: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<EventJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    erased_leaf: Option<Hash>,
    size: u64,
    chain: Hash,
    path: Vec<Hash>,
    digest: Hash,
}

impl From<Proof> for File {
    fn from(proof: Proof) -> File {
        let (event, erased_leaf) = match proof.subject {
            Subject::Event(event) => (Some(EventJson::from(*event)), None),
            Subject::Erased { leaf } => (None, Some(leaf)),
        };
        File {
            format: FORMAT.into(),
            partition: proof.partition.get(),
            position: proof.position.get(),
            event,
            erased_leaf,
            size: proof.evidence.size.get(),
            chain: proof.evidence.chain,
            path: proof.evidence.path,
            digest: proof.digest,
        }
    }
}

impl TryFrom<File> for Proof {
    type Error = String;

    fn try_from(file: File) -> Result<Proof, String> {
        if file.format != FORMAT {
            return Err(format!("its format is `{}`, and only `{FORMAT}` is known", file.format));
        }
        let partition = PartitionId::of_group(file.partition)
            .ok_or_else(|| format!("there is no partition {}", file.partition))?;
        let subject = match (file.event, file.erased_leaf) {
            (Some(event), None) => Subject::Event(Box::new(event.try_into()?)),
            (None, Some(leaf)) => Subject::Erased { leaf },
            _ => return Err("one of `event` and `erased_leaf` is needed".into()),
        };
        let evidence = Evidence { size: Position::new(file.size), chain: file.chain, path: file.path };
        let position = Position::new(file.position);
        Ok(Proof { partition, position, subject, evidence, digest: file.digest })
    }
}
