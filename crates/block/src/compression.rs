//! How a block's body is stored.

use bytes::Bytes;

use crate::malformed::Malformed;

/// How the body, the payloads and metadata of all events, is stored. The head never is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Compression {
    /// As it is: the wire bytes are the memory form too.
    #[default]
    None = 0,
    /// As one LZ4 block, where that is smaller; else as it is.
    Lz4 = 1,
}

/// An LZ4 sequence gives at most 255 bytes for each of its own, so a length claim beyond that is a lie that would
/// cost memory to believe.
const LZ4_RATIO_MAX: usize = 255;

impl Compression {
    pub(crate) fn from_byte(byte: u8) -> Option<Compression> {
        match byte {
            0 => Some(Compression::None),
            1 => Some(Compression::Lz4),
            _ => None,
        }
    }

    /// The stored form of `body`, and what was done to it.
    pub(crate) fn compress(self, body: &Bytes) -> (Compression, Bytes) {
        match self {
            Compression::None => (Compression::None, body.clone()),
            Compression::Lz4 => {
                let stored = lz4_flex::block::compress(body);
                if stored.len() < body.len() {
                    (Compression::Lz4, Bytes::from(stored))
                } else {
                    (Compression::None, body.clone())
                }
            }
        }
    }

    /// Whether a body of `raw` bytes can be stored in `stored` bytes this way.
    pub(crate) fn fits(self, stored: usize, raw: usize) -> bool {
        match self {
            Compression::None => stored == raw,
            Compression::Lz4 => stored < raw && raw <= stored * LZ4_RATIO_MAX,
        }
    }

    /// The body again. Allocates `raw` bytes, which the caller has bounded.
    pub(crate) fn decompress(self, stored: Bytes, raw: usize) -> Result<Bytes, Malformed> {
        match self {
            Compression::None => Ok(stored),
            Compression::Lz4 => {
                let mut body = vec![0; raw];
                match lz4_flex::block::decompress_into(&stored, &mut body) {
                    Ok(length) if length == raw => Ok(Bytes::from(body)),
                    Ok(length) => Err(Malformed::damaged(format!(
                        "the body unpacks to {length} bytes where the header says {raw}"
                    ))),
                    Err(error) => Err(Malformed::damaged(format!("the body does not unpack: {error}"))),
                }
            }
        }
    }
}
