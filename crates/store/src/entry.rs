//! The payload of one log entry: the commands coalesced into it. Layout in `FORMAT.md`.
//!
//! Blocks are carried as they are and come out as slices of the payload, never copied or re-encoded. What else a
//! command says stands in a table in front of them under a checksum of its own. Format 2 is written; format 1, which
//! knew appends only, is still read.

mod row;

use std::borrow::Borrow;

use bytes::{BufMut, Bytes, BytesMut};
use chronos_block::Block;
use chronos_domain::limits::{ENTITY_ID_BYTES_MAX, TENANT_ID_BYTES_MAX};
use chronos_domain::xxh64::Xxh64;
use chronos_domain::{
    Append, EntityId, ForkId, Position, Rejection, Space, TenantId, Timestamp, Truncate, Truncated, Verdict,
    Version,
};

use row::{Row, Said};

const MAGIC: [u8; 4] = *b"CEN1";
/// What is written.
const FORMAT: u8 = 2;
/// What is read besides: rows without a kind, each of them an append.
const FORMAT_APPENDS: u8 = 1;
/// How the payload of an entry begins that names the members of the group; the rest is the consensus layer's.
pub const MEMBERS_MAGIC: [u8; 4] = *b"CMB1";
const HEADER_BYTES: usize = 32;
/// The part of the header that the checksum covers: all that stands before it.
const SUMMED_BYTES: usize = 24;
/// How many commands one entry can carry.
pub const COMMANDS_MAX: usize = u16::MAX as usize;

const _: () =
    assert!(TENANT_ID_BYTES_MAX <= u8::MAX as usize, "a row keeps the length of a tenant id in a byte");
const _: () =
    assert!(ENTITY_ID_BYTES_MAX <= u16::MAX as usize, "a row keeps the length of an entity id in two bytes");

/// One command of a partition's log.
#[derive(Clone, Debug)]
pub enum Command {
    /// Store events, or only check.
    Append(AppendCommand),
    /// Erase the oldest events of an entity.
    Truncate(TruncateCommand),
    /// End the active generation here, so that it can be compacted.
    Cut(CutCommand),
    /// Let time pass: no later event is recorded before this.
    Tick(TickCommand),
}

/// An append as it stands in the log: whose, when, and the packed request.
#[derive(Clone, Debug)]
pub struct AppendCommand {
    /// The tenant, from the caller's credentials.
    pub tenant: TenantId,
    /// The tenant's fork.
    pub fork: ForkId,
    /// The leader's clock when it proposed the command.
    pub recorded_at: Timestamp,
    /// The request.
    pub block: Block,
}

/// A truncation as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruncateCommand {
    /// The tenant, from the caller's credentials.
    pub tenant: TenantId,
    /// The tenant's fork.
    pub fork: ForkId,
    /// The leader's clock when it proposed the command. Kept for audit; no event is recorded.
    pub recorded_at: Timestamp,
    /// Which entity.
    pub entity: EntityId,
    /// The first version that stays.
    pub before: Version,
}

/// A cut as it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutCommand {
    /// The leader's clock when it proposed the command. Kept for audit; no event is recorded.
    pub recorded_at: Timestamp,
    /// Whether somebody asked for it who is going to keep the part: it is then packed as small as possible.
    pub settle: bool,
}

/// The passing of time as it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickCommand {
    /// The leader's clock when it proposed the command.
    pub recorded_at: Timestamp,
}

/// How a command ended, in the order of the kinds of [`Command`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of an append.
    Append(Verdict),
    /// Of a truncation.
    Truncate(Result<Truncated, Rejection>),
    /// Of a cut: the last position before it.
    Cut(Position),
    /// Of a tick: no later event is recorded before this.
    Tick(Timestamp),
}

impl Command {
    /// Sets the leader's clock.
    pub fn stamp(&mut self, recorded_at: Timestamp) {
        match self {
            Command::Append(append) => append.recorded_at = recorded_at,
            Command::Truncate(truncate) => truncate.recorded_at = recorded_at,
            Command::Cut(cut) => cut.recorded_at = recorded_at,
            Command::Tick(tick) => tick.recorded_at = recorded_at,
        }
    }

    /// Bytes the command takes in an entry, about.
    pub fn len(&self) -> usize {
        match self {
            Command::Append(append) => append.block.bytes().len(),
            Command::Truncate(_) | Command::Cut(_) | Command::Tick(_) => 0,
        }
    }

    /// Whether the command brings no block.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The append, if it is one.
    pub const fn append(&self) -> Option<&AppendCommand> {
        match self {
            Command::Append(append) => Some(append),
            Command::Truncate(_) | Command::Cut(_) | Command::Tick(_) => None,
        }
    }
}

impl Outcome {
    /// The verdict, of an append.
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            Outcome::Append(verdict) => Some(verdict),
            Outcome::Truncate(_) | Outcome::Cut(_) | Outcome::Tick(_) => None,
        }
    }
}

impl AppendCommand {
    /// Whose events these are.
    pub fn space(&self) -> Space<'_> {
        Space { tenant: self.tenant.as_str(), fork: self.fork }
    }

    /// The command as apply takes it.
    pub(crate) fn append(&self) -> Append<'_, Block> {
        Append { space: self.space(), recorded_at: self.recorded_at, batch: &self.block }
    }
}

impl TruncateCommand {
    /// Whose entity this is.
    pub fn space(&self) -> Space<'_> {
        Space { tenant: self.tenant.as_str(), fork: self.fork }
    }

    /// The command as apply takes it.
    pub(crate) fn truncate(&self) -> Truncate<'_> {
        Truncate { space: self.space(), entity: self.entity.as_str(), before: self.before }
    }
}

impl From<AppendCommand> for Command {
    fn from(append: AppendCommand) -> Command {
        Command::Append(append)
    }
}

/// What a log entry says.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The position the proposer had applied when it proposed: a lower bound of the head at which this entry is
    /// applied. Zero for a blank entry.
    pub known_head: Position,
    /// In the order they are applied; none for a blank entry.
    pub commands: Vec<Command>,
    /// The whole payload of an entry that names the members of the group, which has no commands.
    pub members: Option<Bytes>,
}

/// Bytes that are no log entry.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Malformed {
    /// They contradict themselves.
    #[error("log entry is damaged: {0}")]
    Damaged(String),
    /// They follow a format this release does not know.
    #[error(
        "log entry has format {found}, this release reads formats up to {supported}; run the release that wrote it or a later one"
    )]
    Version {
        /// The format found.
        found: u8,
        /// The last one this release reads.
        supported: u8,
    },
    /// One of the blocks is bad.
    #[error("block {ordinal} of the log entry: {cause}")]
    Block {
        /// Which one, from 0.
        ordinal: usize,
        /// What is wrong with it.
        cause: chronos_block::Malformed,
    },
}

fn damaged(what: impl Into<String>) -> Malformed {
    Malformed::Damaged(what.into())
}

/// Packs commands into the payload of one entry. No commands give a blank entry.
///
/// `known_head` is the position the proposer has applied so far.
///
/// # Panics
/// With more than [`COMMANDS_MAX`] commands: the caller bounds what it coalesces.
pub fn encode<C: Borrow<Command>>(commands: &[C], known_head: Position) -> Bytes {
    if commands.is_empty() {
        return Bytes::new();
    }
    let count = u16::try_from(commands.len()).expect("the caller coalesces at most COMMANDS_MAX commands");
    let table_len: usize = commands.iter().map(|c| row::len(c.borrow())).sum();
    let blocks_len: usize = commands.iter().map(|c| c.borrow().len()).sum();
    let mut out = BytesMut::with_capacity(HEADER_BYTES + table_len + blocks_len);
    out.put_slice(&MAGIC);
    out.put_u8(FORMAT);
    out.put_u8(0);
    out.put_u16_le(count);
    out.put_u64_le(known_head.get());
    out.put_u32_le(u32::try_from(table_len).expect("65535 rows of at most 339 bytes"));
    out.put_u32_le(0);
    out.put_u64_le(0);
    for command in commands {
        row::put(&mut out, command.borrow());
    }
    let checksum = checksum(&out[..SUMMED_BYTES], &out[HEADER_BYTES..]);
    out[SUMMED_BYTES..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    for append in commands.iter().filter_map(|command| command.borrow().append()) {
        out.put_slice(append.block.bytes());
    }
    out.freeze()
}

fn checksum(header: &[u8], table: &[u8]) -> u64 {
    let mut hash = Xxh64::new(0);
    hash.update(header);
    hash.update(table);
    hash.finish()
}

/// Reads the payload of an entry that the log has verified. Blocks are slices of `payload`.
///
/// # Errors
/// [`Malformed`] says what is wrong; nothing is taken from a payload that is not whole.
pub fn decode(payload: &Bytes) -> Result<Entry, Malformed> {
    decode_with(payload, Block::reopen)
}

/// Whether a payload names the members of the group.
pub fn names_members(payload: &[u8]) -> bool {
    payload.starts_with(&MEMBERS_MAGIC)
}

/// As [`decode`], but checks the content of every block as if it came from a stranger.
pub(crate) fn decode_strictly(payload: &Bytes) -> Result<Entry, Malformed> {
    decode_with(payload, Block::open)
}

fn decode_with<O>(payload: &Bytes, open: O) -> Result<Entry, Malformed>
where
    O: Fn(Bytes) -> Result<Block, chronos_block::Malformed>,
{
    if names_members(payload) {
        return Ok(Entry { members: Some(payload.clone()), ..Entry::default() });
    }
    Packed::open(payload.clone())?.commands(open)
}

/// An entry whose table has been read and whose blocks have not.
pub(crate) struct Packed {
    payload: Bytes,
    known_head: Position,
    rows: Vec<Row>,
}

impl Packed {
    pub(crate) fn open(payload: Bytes) -> Result<Packed, Malformed> {
        if payload.is_empty() {
            return Ok(Packed { payload, known_head: Position::ZERO, rows: Vec::new() });
        }
        let Some(header) = payload.first_chunk::<HEADER_BYTES>() else {
            return Err(damaged(format!("{} bytes are no header of {HEADER_BYTES}", payload.len())));
        };
        let head = Header::read(header)?;
        let Some(table) = payload.get(HEADER_BYTES..HEADER_BYTES + head.table_len) else {
            return Err(damaged(format!(
                "a table of {} bytes does not fit {}",
                head.table_len,
                payload.len()
            )));
        };
        if checksum(&header[..SUMMED_BYTES], table) != head.checksum {
            return Err(damaged("checksum of header and table does not match"));
        }
        let (rows, end) = row::read_all(table, head.format, head.commands, HEADER_BYTES + head.table_len)?;
        if end != payload.len() {
            return Err(damaged(format!("the blocks end at byte {end} of {}", payload.len())));
        }
        Ok(Packed { payload, known_head: head.known_head, rows })
    }

    /// The bytes of one block, a slice of the payload; `None` when there is no such command or it has no block.
    pub(crate) fn block(&self, ordinal: u16) -> Option<Bytes> {
        match &self.rows.get(usize::from(ordinal))?.said {
            Said::Append { block } => Some(self.payload.slice(block.clone())),
            Said::Truncate { .. } | Said::Cut { .. } | Said::Tick => None,
        }
    }

    /// The length of the whole payload.
    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }

    fn commands<O>(self, open: O) -> Result<Entry, Malformed>
    where
        O: Fn(Bytes) -> Result<Block, chronos_block::Malformed>,
    {
        let payload = self.payload;
        let command = |(ordinal, row): (usize, Row)| {
            let Row { recorded_at, tenant, fork, said } = row;
            Ok(match said {
                Said::Append { block } => {
                    let block =
                        open(payload.slice(block)).map_err(|cause| Malformed::Block { ordinal, cause })?;
                    Command::Append(AppendCommand { tenant, fork, recorded_at, block })
                }
                Said::Truncate { entity, before } => {
                    Command::Truncate(TruncateCommand { tenant, fork, recorded_at, entity, before })
                }
                Said::Cut { settle } => Command::Cut(CutCommand { recorded_at, settle }),
                Said::Tick => Command::Tick(TickCommand { recorded_at }),
            })
        };
        let commands = self.rows.into_iter().enumerate().map(command).collect::<Result<_, _>>()?;
        Ok(Entry { known_head: self.known_head, commands, members: None })
    }
}

struct Header {
    format: u8,
    commands: u16,
    known_head: Position,
    table_len: usize,
    checksum: u64,
}

impl Header {
    fn read(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Malformed> {
        let mut rest = Rest(bytes);
        if rest.take::<4>()? != MAGIC {
            return Err(damaged("magic is missing"));
        }
        let [format] = rest.take()?;
        if format != FORMAT && format != FORMAT_APPENDS {
            return Err(Malformed::Version { found: format, supported: FORMAT });
        }
        let [reserved] = rest.take()?;
        let commands = u16::from_le_bytes(rest.take()?);
        let known_head = Position::new(u64::from_le_bytes(rest.take()?));
        let table_len = u32::from_le_bytes(rest.take()?) as usize;
        let reserved_too = u32::from_le_bytes(rest.take()?);
        let checksum = u64::from_le_bytes(rest.take()?);
        if commands == 0 || reserved != 0 || reserved_too != 0 {
            return Err(damaged("header holds values that are never written"));
        }
        Ok(Header { format, commands, known_head, table_len, checksum })
    }
}

/// Bytes not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) =
            self.0.split_first_chunk::<N>().ok_or_else(|| damaged("table ends inside a row"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn slice(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| damaged("table ends inside a row"))?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
