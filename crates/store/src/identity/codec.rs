//! The bytes of the identity file.

use std::path::Path;

use bytes::BufMut;
use chronos_domain::Timestamp;
use chronos_domain::xxh64::xxh64;

use super::Identity;
use super::error::OpenError;

const MAGIC: [u8; 8] = *b"CHRONOID";
const FORMAT: u16 = 1;
const FIXED_BYTES: usize = 56;
const CHECKSUM_BYTES: usize = 8;
const RELEASE_BYTES_MAX: usize = 64;

/// Why bytes are no identity.
#[derive(Debug)]
pub(super) enum Fault {
    Damaged(&'static str),
    Newer { found: u16, supported: u16 },
}

impl Fault {
    pub(super) fn in_file(self, file: &Path) -> OpenError {
        let file = file.to_path_buf();
        match self {
            Fault::Damaged(what) => OpenError::Damaged { file, what },
            Fault::Newer { found, supported } => OpenError::NewerFormat { file, found, supported },
        }
    }
}

pub(super) fn encode(identity: &Identity) -> Vec<u8> {
    let release = &identity.release.as_bytes()[..identity.release.floor_char_boundary(RELEASE_BYTES_MAX)];
    let mut out = Vec::with_capacity(FIXED_BYTES + release.len() + CHECKSUM_BYTES);
    out.put_slice(&MAGIC);
    out.put_u16_le(FORMAT);
    out.put_u8(identity.partitions);
    out.put_u8(u8::from(identity.sealed));
    out.put_u8(u8::try_from(release.len()).expect("cut to 64 bytes just now"));
    out.put_u8(u8::from(identity.has_joined));
    out.put_bytes(0, 2);
    out.put_u128(identity.cluster);
    out.put_u128(identity.node);
    out.put_i64_le(identity.created_at.get());
    out.put_slice(release);
    out.put_u64_le(xxh64(&out, 0));
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<Identity, Fault> {
    // Checksum first: in every format it is the last eight bytes, so a flipped bit is never taken for a new format.
    let (summed, checksum) =
        bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Fault::Damaged("it is shorter than a checksum"))?;
    if xxh64(summed, 0) != u64::from_le_bytes(*checksum) {
        return Err(Fault::Damaged("its checksum does not match"));
    }
    let (magic, rest) = summed.split_first_chunk::<8>().ok_or(Fault::Damaged("it is too short"))?;
    if *magic != MAGIC {
        return Err(Fault::Damaged("its magic is missing"));
    }
    let format = rest.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
    let format = format.ok_or(Fault::Damaged("it is too short"))?;
    if format != FORMAT {
        return Err(Fault::Newer { found: format, supported: FORMAT });
    }
    let (fixed, release) =
        summed.split_first_chunk::<FIXED_BYTES>().ok_or(Fault::Damaged("it is too short"))?;
    decode_first(fixed, release)
}

fn decode_first(fixed: &[u8; FIXED_BYTES], release: &[u8]) -> Result<Identity, Fault> {
    let field = |at: usize| -> [u8; 16] { fixed[at..at + 16].try_into().expect("16 bytes were taken") };
    let created_at = i64::from_le_bytes(fixed[48..56].try_into().expect("8 bytes were taken"));
    let sealed = match fixed[11] {
        0 => false,
        1 => true,
        _ => return Err(Fault::Damaged("its state is unknown")),
    };
    let has_joined = match fixed[13] {
        0 => false,
        1 => true,
        _ => return Err(Fault::Damaged("how it came to its cluster is unknown")),
    };
    if usize::from(fixed[12]) != release.len() {
        return Err(Fault::Damaged("its length is wrong"));
    }
    let release = std::str::from_utf8(release).map_err(|_| Fault::Damaged("its release is not text"))?;
    Ok(Identity {
        cluster: u128::from_be_bytes(field(16)),
        node: u128::from_be_bytes(field(32)),
        partitions: fixed[10],
        created_at: Timestamp::new(created_at),
        release: release.to_owned(),
        sealed,
        has_joined,
    })
}
