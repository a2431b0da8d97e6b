//! The rows of an entry's table: one command each, blocks aside.

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use chronos_domain::{EntityId, ForkId, TenantId, Timestamp, Version};

use super::{Command, FORMAT_APPENDS, Malformed, Rest, damaged};

const APPEND: u8 = 0;
const TRUNCATE: u8 = 1;
const CUT: u8 = 2;
const TICK: u8 = 3;

/// Kind and moment.
const COMMON_BYTES: usize = 9;
/// Fork, block length and tenant length.
const APPEND_BYTES: usize = 13;
/// Fork, version, tenant length and entity length.
const TRUNCATE_BYTES: usize = 19;
/// Whether it settles.
const CUT_BYTES: usize = 1;

/// A row that has been read.
pub(super) struct Row {
    pub(super) recorded_at: Timestamp,
    /// The default one where the command has none.
    pub(super) tenant: TenantId,
    pub(super) fork: ForkId,
    pub(super) said: Said,
}

/// What differs from kind to kind.
pub(super) enum Said {
    Append {
        /// Where in the payload the block is.
        block: Range<usize>,
    },
    Truncate {
        entity: EntityId,
        before: Version,
    },
    Cut {
        settle: bool,
    },
    Tick,
}

/// Bytes of the row of a command.
pub(super) fn len(command: &Command) -> usize {
    COMMON_BYTES
        + match command {
            Command::Append(append) => APPEND_BYTES + append.tenant.as_str().len(),
            Command::Truncate(truncate) => {
                TRUNCATE_BYTES + truncate.tenant.as_str().len() + truncate.entity.as_str().len()
            }
            Command::Cut(_) => CUT_BYTES,
            Command::Tick(_) => 0,
        }
}

/// Appends the row of a command.
pub(super) fn put(out: &mut BytesMut, command: &Command) {
    match command {
        Command::Append(append) => {
            put_common(out, APPEND, append.recorded_at);
            out.put_u64_le(append.fork.get());
            let len = append.block.bytes().len();
            out.put_u32_le(u32::try_from(len).expect("a block is far smaller than 4 GiB"));
            put_tenant_len(out, &append.tenant);
            out.put_slice(append.tenant.as_str().as_bytes());
        }
        Command::Truncate(truncate) => {
            put_common(out, TRUNCATE, truncate.recorded_at);
            out.put_u64_le(truncate.fork.get());
            out.put_u64_le(truncate.before.get());
            put_tenant_len(out, &truncate.tenant);
            let entity = truncate.entity.as_str();
            out.put_u16_le(u16::try_from(entity.len()).expect("an entity id has at most 256 bytes"));
            out.put_slice(truncate.tenant.as_str().as_bytes());
            out.put_slice(entity.as_bytes());
        }
        Command::Cut(cut) => {
            put_common(out, CUT, cut.recorded_at);
            out.put_u8(cut.settle.into());
        }
        Command::Tick(tick) => put_common(out, TICK, tick.recorded_at),
    }
}

fn put_common(out: &mut BytesMut, kind: u8, recorded_at: Timestamp) {
    out.put_u8(kind);
    out.put_i64_le(recorded_at.get());
}

fn put_tenant_len(out: &mut BytesMut, tenant: &TenantId) {
    out.put_u8(u8::try_from(tenant.as_str().len()).expect("a tenant id has at most 64 bytes"));
}

/// Reads a whole table. Blocks start at byte `blocks_at` of the payload; also returns where they end.
pub(super) fn read_all(
    table: &[u8],
    format: u8,
    commands: u16,
    blocks_at: usize,
) -> Result<(Vec<Row>, usize), Malformed> {
    let mut rest = Rest(table);
    let mut rows: Vec<Row> = Vec::with_capacity(usize::from(commands).min(table.len() / COMMON_BYTES));
    let mut end = blocks_at;
    for _ in 0..commands {
        let [kind] = if format == FORMAT_APPENDS { [APPEND] } else { rest.take()? };
        let recorded_at = Timestamp::new(i64::from_le_bytes(rest.take()?));
        let last = rows.last().map(|row| &row.tenant);
        let row = match kind {
            APPEND => read_append(&mut rest, recorded_at, last, &mut end)?,
            TRUNCATE => read_truncate(&mut rest, recorded_at, last)?,
            CUT => read_cut(&mut rest, recorded_at)?,
            TICK => of_nobody(recorded_at, Said::Tick),
            other => return Err(damaged(format!("a command has kind {other}, which is never written"))),
        };
        rows.push(row);
    }
    if rest.0.is_empty() { Ok((rows, end)) } else { Err(damaged("table is longer than its rows")) }
}

fn read_append(
    rest: &mut Rest<'_>,
    recorded_at: Timestamp,
    last: Option<&TenantId>,
    end: &mut usize,
) -> Result<Row, Malformed> {
    let fork = ForkId::new(u64::from_le_bytes(rest.take()?));
    let block_len = u32::from_le_bytes(rest.take()?) as usize;
    let [tenant_len] = rest.take()?;
    let tenant = read_tenant(rest.slice(usize::from(tenant_len))?, last)?;
    let block = *end..end.saturating_add(block_len);
    *end = block.end;
    Ok(Row { recorded_at, tenant, fork, said: Said::Append { block } })
}

fn read_truncate(
    rest: &mut Rest<'_>,
    recorded_at: Timestamp,
    last: Option<&TenantId>,
) -> Result<Row, Malformed> {
    let fork = ForkId::new(u64::from_le_bytes(rest.take()?));
    let before = Version::new(u64::from_le_bytes(rest.take()?));
    let [tenant_len] = rest.take()?;
    let entity_len = u16::from_le_bytes(rest.take()?);
    let tenant = read_tenant(rest.slice(usize::from(tenant_len))?, last)?;
    let entity = std::str::from_utf8(rest.slice(usize::from(entity_len))?)
        .map_err(|_| damaged("entity id is not UTF-8"))?;
    let entity = EntityId::parse(entity).map_err(|invalid| damaged(invalid.to_string()))?;
    Ok(Row { recorded_at, tenant, fork, said: Said::Truncate { entity, before } })
}

fn read_cut(rest: &mut Rest<'_>, recorded_at: Timestamp) -> Result<Row, Malformed> {
    let settle = match rest.take()? {
        [0] => false,
        [1] => true,
        [other] => return Err(damaged(format!("a cut settles {other}, which is never written"))),
    };
    Ok(of_nobody(recorded_at, Said::Cut { settle }))
}

/// A command that is no tenant's.
fn of_nobody(recorded_at: Timestamp, said: Said) -> Row {
    Row { recorded_at, tenant: TenantId::default_tenant(), fork: ForkId::MAIN, said }
}

/// Commands of one entry are mostly of one tenant: share the name.
fn read_tenant(bytes: &[u8], last: Option<&TenantId>) -> Result<TenantId, Malformed> {
    if let Some(last) = last.filter(|last| last.as_str().as_bytes() == bytes) {
        return Ok(last.clone());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("tenant id is not UTF-8"))?;
    TenantId::parse(text).map_err(|invalid| damaged(invalid.to_string()))
}
