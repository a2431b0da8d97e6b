//! The payload of one log entry: the commands coalesced into it. Layout in `FORMAT.md`.
//!
//! Blocks are carried as they are and come out as slices of the payload, never copied or re-encoded. Tenant, fork and
//! moment stand in a table in front of them under a checksum of its own.

use std::borrow::Borrow;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use chronos_block::Block;
use chronos_domain::limits::TENANT_ID_BYTES_MAX;
use chronos_domain::xxh64::Xxh64;
use chronos_domain::{Append, ForkId, Position, Space, TenantId, Timestamp};

const MAGIC: [u8; 4] = *b"CEN1";
const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 32;
/// The part of the header that the checksum covers: all that stands before it.
const SUMMED_BYTES: usize = 24;
/// A row of the table without the tenant id.
const ROW_BYTES: usize = 21;
/// How many commands one entry can carry.
pub const COMMANDS_MAX: usize = u16::MAX as usize;

const _: () =
    assert!(TENANT_ID_BYTES_MAX <= u8::MAX as usize, "the row keeps the length of a tenant id in a byte");

/// One append as it stands in the log: whose, when, and the packed request.
#[derive(Clone, Debug)]
pub struct Command {
    /// The tenant, from the caller's credentials.
    pub tenant: TenantId,
    /// The tenant's fork.
    pub fork: ForkId,
    /// The leader's clock when it proposed the command.
    pub recorded_at: Timestamp,
    /// The request.
    pub block: Block,
}

impl Command {
    /// Whose events these are.
    pub fn space(&self) -> Space<'_> {
        Space { tenant: self.tenant.as_str(), fork: self.fork }
    }

    /// The command as apply takes it.
    pub(crate) fn append(&self) -> Append<'_, Block> {
        Append { space: self.space(), recorded_at: self.recorded_at, batch: &self.block }
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
}

/// Bytes that are no log entry.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Malformed {
    /// They contradict themselves.
    #[error("log entry is damaged: {0}")]
    Damaged(String),
    /// They follow a format this release does not know.
    #[error(
        "log entry has format {found}, this release reads format {supported}; run the release that wrote it or a later one"
    )]
    Version {
        /// The format found.
        found: u8,
        /// The one this release reads.
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
    let table_len: usize = commands.iter().map(|c| ROW_BYTES + c.borrow().tenant.as_str().len()).sum();
    let blocks_len: usize = commands.iter().map(|c| c.borrow().block.bytes().len()).sum();
    let mut out = BytesMut::with_capacity(HEADER_BYTES + table_len + blocks_len);
    out.put_slice(&MAGIC);
    out.put_u8(FORMAT);
    out.put_u8(0);
    out.put_u16_le(count);
    out.put_u64_le(known_head.get());
    out.put_u32_le(u32::try_from(table_len).expect("65535 rows of at most 85 bytes"));
    out.put_u32_le(0);
    out.put_u64_le(0);
    for command in commands {
        put_row(&mut out, command.borrow());
    }
    let checksum = checksum(&out[..SUMMED_BYTES], &out[HEADER_BYTES..]);
    out[SUMMED_BYTES..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    for command in commands {
        out.put_slice(command.borrow().block.bytes());
    }
    out.freeze()
}

fn put_row(out: &mut BytesMut, command: &Command) {
    let tenant = command.tenant.as_str();
    out.put_i64_le(command.recorded_at.get());
    out.put_u64_le(command.fork.get());
    out.put_u32_le(u32::try_from(command.block.bytes().len()).expect("a block is far smaller than 4 GiB"));
    out.put_u8(u8::try_from(tenant.len()).expect("a tenant id has at most 64 bytes"));
    out.put_slice(tenant.as_bytes());
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
    Packed::open(payload.clone())?.commands(Block::reopen)
}

/// As [`decode`], but checks the content of every block as if it came from a stranger.
pub(crate) fn decode_strictly(payload: &Bytes) -> Result<Entry, Malformed> {
    Packed::open(payload.clone())?.commands(Block::open)
}

/// An entry whose table has been read and whose blocks have not.
pub(crate) struct Packed {
    payload: Bytes,
    known_head: Position,
    rows: Vec<Row>,
}

struct Row {
    recorded_at: Timestamp,
    fork: ForkId,
    tenant: TenantId,
    block: Range<usize>,
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
        let rows = read_rows(table, head.commands, HEADER_BYTES + head.table_len)?;
        let end = rows.last().map_or(HEADER_BYTES, |row| row.block.end);
        if end != payload.len() {
            return Err(damaged(format!("the blocks end at byte {end} of {}", payload.len())));
        }
        Ok(Packed { payload, known_head: head.known_head, rows })
    }

    /// The bytes of one block, a slice of the payload; `None` when there is no such command.
    pub(crate) fn block(&self, ordinal: u16) -> Option<Bytes> {
        self.rows.get(usize::from(ordinal)).map(|row| self.payload.slice(row.block.clone()))
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
            let block =
                open(payload.slice(row.block)).map_err(|cause| Malformed::Block { ordinal, cause })?;
            Ok(Command { tenant: row.tenant, fork: row.fork, recorded_at: row.recorded_at, block })
        };
        let commands = self.rows.into_iter().enumerate().map(command).collect::<Result<_, _>>()?;
        Ok(Entry { known_head: self.known_head, commands })
    }
}

struct Header {
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
        if format != FORMAT {
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
        Ok(Header { commands, known_head, table_len, checksum })
    }
}

fn read_rows(table: &[u8], commands: u16, blocks_at: usize) -> Result<Vec<Row>, Malformed> {
    let mut rest = Rest(table);
    let mut rows: Vec<Row> = Vec::with_capacity(usize::from(commands).min(table.len() / ROW_BYTES));
    for _ in 0..commands {
        let recorded_at = Timestamp::new(i64::from_le_bytes(rest.take()?));
        let fork = ForkId::new(u64::from_le_bytes(rest.take()?));
        let block_len = u32::from_le_bytes(rest.take()?) as usize;
        let [tenant_len] = rest.take()?;
        let tenant = rest.slice(usize::from(tenant_len))?;
        // Commands of one entry are mostly of one tenant: share the name.
        let tenant = match rows.last() {
            Some(row) if row.tenant.as_str().as_bytes() == tenant => row.tenant.clone(),
            _ => read_tenant(tenant)?,
        };
        let start = rows.last().map_or(blocks_at, |row| row.block.end);
        rows.push(Row { recorded_at, fork, tenant, block: start..start.saturating_add(block_len) });
    }
    if rest.0.is_empty() { Ok(rows) } else { Err(damaged("table is longer than its rows")) }
}

fn read_tenant(bytes: &[u8]) -> Result<TenantId, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("tenant id is not UTF-8"))?;
    TenantId::parse(text).map_err(|invalid| damaged(invalid.to_string()))
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
