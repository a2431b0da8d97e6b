//! The bytes of the file `BACKUP`. Layout in `BACKUP.md`.

use std::path::Path;

use bytes::BufMut;
use chronos_domain::Timestamp;
use chronos_domain::xxh64::xxh64;
use chronos_parts::{Malformed as BadManifest, Manifest};

use super::error::{Error, NAME_AGAIN};
use super::listing::Listing;

const MAGIC: [u8; 8] = *b"CHRONOBK";
const FORMAT: u16 = 1;
const CHECKSUM_BYTES: usize = 8;
/// Of a release only so many bytes are written.
const RELEASE_BYTES_MAX: usize = 64;

/// Why bytes are no listing.
#[derive(Debug)]
pub(super) enum Malformed {
    Damaged(String),
    Newer { found: u16, release: String },
}

impl Malformed {
    pub(super) fn in_file(self, file: &Path) -> Error {
        match self {
            Malformed::Damaged(what) => Error::damaged(file, what, NAME_AGAIN),
            Malformed::Newer { found, release } => {
                Error::Newer { file: file.to_path_buf(), found, supported: FORMAT, release }
            }
        }
    }
}

pub(super) fn encode(listing: &Listing) -> Vec<u8> {
    let release = &listing.release[..listing.release.floor_char_boundary(RELEASE_BYTES_MAX)];
    let mut out = Vec::with_capacity(16 << 10);
    out.put_slice(&MAGIC);
    out.put_u16_le(FORMAT);
    out.put_u16_le(u16::try_from(release.len()).expect("cut to 64 bytes just now"));
    out.put_slice(release.as_bytes());
    out.put_u128(listing.cluster);
    out.put_i64_le(listing.created_at.get());
    out.put_u8(u8::try_from(listing.manifests().len()).expect("a listing has one manifest a partition"));
    for manifest in listing.manifests() {
        let bytes = manifest.encode();
        out.put_u32_le(u32::try_from(bytes.len()).expect("a manifest is held in memory, far below 4 GiB"));
        out.put_slice(&bytes);
    }
    out.put_u64_le(xxh64(&out, 0));
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<Listing, Malformed> {
    // Checksum first: in every format it is the last eight bytes, so a flipped bit is never taken for a new format.
    let (summed, checksum) =
        bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| damaged("it is shorter than a checksum"))?;
    if xxh64(summed, 0) != u64::from_le_bytes(*checksum) {
        return Err(damaged("its checksum does not match"));
    }
    let mut fields = Fields(summed);
    if fields.array()? != MAGIC {
        return Err(damaged("its magic is missing"));
    }
    let format = u16::from_le_bytes(fields.array()?);
    let release = fields.text()?;
    if format != FORMAT {
        return Err(Malformed::Newer { found: format, release });
    }
    let cluster = u128::from_be_bytes(fields.array()?);
    let created_at = Timestamp::new(i64::from_le_bytes(fields.array()?));
    let [count] = fields.array()?;
    let manifests = (0..count).map(|_| fields.manifest()).collect::<Result<_, _>>()?;
    if !fields.0.is_empty() {
        return Err(damaged(format!("{} bytes follow its end", fields.0.len())));
    }
    Ok(Listing::unchecked(release, cluster, created_at, manifests))
}

/// What has not been read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.bytes(N)?.try_into().expect("as many bytes were taken"))
    }

    fn text(&mut self) -> Result<String, Malformed> {
        let len = u16::from_le_bytes(self.array()?);
        let bytes = self.bytes(len.into())?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| damaged("its release is not text"))
    }

    fn manifest(&mut self) -> Result<Manifest, Malformed> {
        let len = u32::from_le_bytes(self.array()?);
        let bytes = self.bytes(len as usize)?;
        Manifest::decode(bytes).map_err(|malformed| match malformed {
            BadManifest::Newer { found, release } => Malformed::Newer { found, release },
            BadManifest::Damaged(what) => damaged(format!("one of its manifests: {what}")),
        })
    }
}

fn damaged(what: impl Into<String>) -> Malformed {
    Malformed::Damaged(what.into())
}
