//! A data directory before it is known whose it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chronos_domain::NodeId;
use chronos_env::{Env, Lock};

use super::error::OpenError;
use super::seat::{self, Disowned, Neighbour, Origin, Seat, Sighting, Whereabouts};
use super::{
    DataDir, IDENTITY, Identity, LOCK, NODE, Options, WAL, check, check_contents, create_durably, fresh,
    holds_no_log, lock, new_uuid, read, write,
};
use crate::backup::is_restoring;

/// A data directory that this process has to itself, before it is opened: it may be nobody's yet.
#[derive(Debug)]
pub struct Threshold {
    path: PathBuf,
    lock: Lock,
    identity: Option<Identity>,
    seat: Option<Seat>,
}

impl Threshold {
    /// Locks a data directory and reads whose it is; makes it when it is missing.
    ///
    /// # Errors
    /// See [`OpenError`]. A directory that is refused is left as it was found.
    pub fn enter(env: &Env, path: &Path) -> Result<Threshold, OpenError> {
        let disk = env.disk.as_ref();
        if is_restoring(path) {
            return Err(OpenError::Restoring { dir: path.to_path_buf() });
        }
        create_durably(disk, path).map_err(|source| OpenError::io(path, source))?;
        check_contents(disk, path)?;
        let lock = lock(disk, path.join(LOCK))?;
        // Somebody else may have founded it before we held the lock: look again.
        check_contents(disk, path)?;
        let identity = read(disk, &path.join(IDENTITY))?;
        let seat = read_seat(env, &path.join(NODE))?;
        let threshold = Threshold { path: path.to_path_buf(), lock, identity, seat };
        threshold.belongs_together()?;
        threshold.may_be_served()?;
        Ok(threshold)
    }

    /// The node's seat, as it was left; `None` in a directory that is new, or was never served.
    pub fn seat(&self) -> Option<&Seat> {
        self.seat.as_ref()
    }

    /// Whose directory it is; `None` when it is nobody's yet.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Whether it is nobody's yet, and nobody has promised it to be.
    pub fn is_nobodys(&self) -> bool {
        self.identity.is_none() && self.seat.as_ref().is_none_or(|seat| seat.origin == Origin::Asking)
    }

    /// The machine's UUID, with which it may now ask to join a cluster. The same one until it has joined. Durable when it
    /// returns.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    ///
    /// # Panics
    /// If the directory is somebody's.
    pub fn ask(&mut self, env: &Env) -> Result<u128, OpenError> {
        assert!(self.is_nobodys(), "who belongs to a cluster asks nobody");
        if let Some(seat) = &self.seat {
            return Ok(seat.machine);
        }
        let seat = Seat::asking(new_uuid(env));
        self.keep(env, seat).map(|seat| seat.machine)
    }

    /// Notes that a cluster has admitted this machine as `node`, beside these members. Durable when it returns.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    ///
    /// # Panics
    /// If the machine has not asked.
    pub fn admit(
        &mut self,
        env: &Env,
        cluster: u128,
        node: NodeId,
        members: Vec<Neighbour>,
    ) -> Result<(), OpenError> {
        let asking = self.seat.clone().filter(|seat| seat.origin == Origin::Asking);
        let asking = asking.expect("only who has asked is admitted");
        self.keep(env, Seat { origin: Origin::Joined, cluster, node, members, ..asking }).map(drop)
    }

    /// Opens the directory of a cluster that was founded here or joined before; in a new one it founds a cluster. When it
    /// returns, the identity is durable.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(self, env: &Env, options: &Options) -> Result<DataDir, OpenError> {
        let Threshold { path, lock, identity, seat } = self;
        let file = path.join(IDENTITY);
        let identity = match (identity, &seat) {
            (Some(identity), _) => identity,
            (None, Some(Seat { origin: Origin::Asking, .. })) => return Err(OpenError::Asking { dir: path }),
            (None, Some(seat)) => {
                let joined = Identity {
                    node: seat.machine,
                    has_joined: true,
                    ..fresh(env, Some(seat.cluster), &options.release)
                };
                check(&joined, &file, options)?;
                write(env, &file, joined)?
            }
            (None, None) => write(env, &file, fresh(env, options.cluster, &options.release))?,
        };
        check(&identity, &file, options)?;
        let identity_lock = if identity.sealed { Some(super::lock(env.disk.as_ref(), file)?) } else { None };
        let wal_dir = path.join(WAL);
        if identity.sealed
            && holds_no_log(env.disk.as_ref(), &wal_dir).map_err(|source| OpenError::io(&wal_dir, source))?
        {
            return Err(OpenError::LogMissing { dir: wal_dir });
        }
        let seat = seat.unwrap_or_else(|| Seat::founder(identity.node, identity.cluster));
        Ok(DataDir { identity, path, wal_dir, seat, _lock: lock, identity_lock })
    }

    fn keep(&mut self, env: &Env, seat: Seat) -> Result<&Seat, OpenError> {
        write_seat(env, &self.path, &seat)?;
        Ok(self.seat.insert(seat))
    }

    /// Whether both files tell of one node.
    fn belongs_together(&self) -> Result<(), OpenError> {
        let (identity, node) = (self.path.join(IDENTITY), self.path.join(NODE));
        match (&self.identity, &self.seat) {
            // A seat is taken only by who has an identity, except between being admitted and the first start.
            (None, Some(seat)) if seat.incarnation > 0 || seat.origin == Origin::Founder => {
                Err(OpenError::IdentityMissing { file: identity })
            }
            (Some(identity), None) if identity.has_joined => Err(OpenError::NodeMissing { file: node }),
            (Some(identity), Some(seat))
                if (identity.node, identity.cluster) != (seat.machine, seat.cluster) =>
            {
                Err(OpenError::NodeOfAnother { file: node })
            }
            _ => Ok(()),
        }
    }
}

impl Threshold {
    /// Whether nobody has found it to be a copy.
    fn may_be_served(&self) -> Result<(), OpenError> {
        match &self.seat {
            Some(Seat { disowned: Some(disowned), node, .. }) => Err(OpenError::Copy {
                file: self.path.join(NODE),
                node: *node,
                by: disowned.by,
                incarnation: disowned.incarnation,
            }),
            _ => Ok(()),
        }
    }
}

impl Seat {
    /// The seat that was kept in a data directory, without locking it or checking anything else: whoever serves it may be
    /// writing the next one. `None` where there is none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn peek(env: &Env, path: &Path) -> Result<Option<Seat>, OpenError> {
        read_seat(env, &path.join(NODE))
    }
}

impl DataDir {
    /// The node's seat in its cluster.
    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Begins another life of this node, there: its incarnation grows by one, and the process that serves it, which is drawn
    /// here, is the first of its starts. Durable when it returns; no other node may have heard of this life before.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn begin(&mut self, env: &Env, at: Whereabouts) -> Result<&Seat, OpenError> {
        // 0 is said where there is none.
        let process = env.entropy.child("process").u64().max(1);
        let seat = self.seat.next(process, at);
        write_seat(env, &self.path, &seat)?;
        self.seat = seat;
        Ok(&self.seat)
    }

    /// Writes down the other nodes of the cluster, which machines they are and where, so that they can be asked when this
    /// node's own copy of what the cluster knows about itself is damaged, and nobody else is taken for one of them before
    /// that copy can be read; the ids of those that were removed and are turned away; and who each of the others was when it
    /// was seen last, so that nobody takes its place while this node is away. Durable when it returns.
    ///
    /// # Errors
    /// [`OpenError::Io`]: what was written down before still stands.
    pub fn note_members(
        &self,
        env: &Env,
        members: Vec<Neighbour>,
        removed: BTreeSet<NodeId>,
        seen: BTreeMap<NodeId, Sighting>,
    ) -> Result<(), OpenError> {
        write_seat(env, &self.path, &Seat { members, removed, seen, ..self.seat.clone() })
    }

    /// Writes down that this directory is a copy, as `by` has seen: its original was served by process `of`, from which
    /// it goes on, when it was served itself. From now on it cannot be opened any more. Durable when it returns. What was
    /// noted since it began is not kept; nor may anything be noted afterwards.
    ///
    /// # Errors
    /// [`OpenError::Io`]: then it can be opened as before.
    pub fn disown(&self, env: &Env, by: NodeId, of: u64) -> Result<(), OpenError> {
        let disowned = Some(Disowned { by, incarnation: self.seat.incarnation, of });
        write_seat(env, &self.path, &Seat { disowned, ..self.seat.clone() })
    }
}

fn read_seat(env: &Env, file: &Path) -> Result<Option<Seat>, OpenError> {
    let disk = env.disk.as_ref();
    if !disk.exists(file).map_err(|source| OpenError::io(file, source))? {
        return Ok(None);
    }
    let bytes = disk.read_file(file).map_err(|source| OpenError::io(file, source))?;
    seat::decode(&bytes).map(Some).map_err(|fault| fault.in_file(file))
}

fn write_seat(env: &Env, dir: &Path, seat: &Seat) -> Result<(), OpenError> {
    let file = dir.join(NODE);
    env.disk.write_atomic(&file, &seat::encode(seat)).map_err(|source| OpenError::io(&file, source))
}
