//! The identity of one event, given by its writer.

use alloc::format;
use core::fmt;
use core::str::FromStr;

use super::Invalid;

const FIELD: &str = "event_id";
/// Where the hyphens of the long text form stand, before which nibble.
const HYPHENS: [usize; 4] = [8, 12, 16, 20];

/// A 128-bit UUID, unique within a tenant and fork for ever. Repeating a request with the same ids is what makes a
/// retry safe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u128);

impl EventId {
    /// No id. Refused in batches.
    pub const NIL: EventId = EventId(0);

    /// The id with these bits, the most significant first in text and bytes.
    pub const fn from_u128(bits: u128) -> EventId {
        EventId(bits)
    }

    /// The bits.
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The id with these bytes, big-endian.
    pub const fn from_bytes(bytes: [u8; 16]) -> EventId {
        EventId(u128::from_be_bytes(bytes))
    }

    /// The bytes, big-endian: their order is the order of ids.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Whether this is [`NIL`](Self::NIL).
    pub const fn is_nil(self) -> bool {
        self.0 == 0
    }

    /// A version 7 UUID (RFC 9562): 48 bits of milliseconds since the Unix epoch, then 74 bits of the given randomness.
    /// Ids made later sort later, which lets storage skip everything older when it looks for a new id.
    pub const fn new_v7(unix_millis: u64, random: u128) -> EventId {
        const VERSION: u128 = 0x7 << 76;
        const VARIANT: u128 = 0b10 << 62;
        let time = ((unix_millis & 0xffff_ffff_ffff) as u128) << 80;
        let high = ((random >> 64) & 0xfff) << 64;
        let low = random & ((1 << 62) - 1);
        EventId(time | VERSION | high | VARIANT | low)
    }

    /// Reads the text form: 32 hexadecimal digits in either case, with hyphens after 8, 12, 16 and 20 of them or with
    /// none.
    ///
    /// # Errors
    /// [`Invalid`] when the text is anything else.
    pub fn parse(text: &str) -> Result<EventId, Invalid> {
        let invalid = |what: &str| {
            let give = "give a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057";
            Err(Invalid::new(FIELD, format!("{what}; {give}")))
        };
        let hyphenated = match text.len() {
            32 => false,
            36 => true,
            length => return invalid(&format!("has {length} characters and not 32 or 36")),
        };
        let (mut bits, mut nibbles, mut due) = (0u128, 0, hyphenated);
        for (at, byte) in text.bytes().enumerate() {
            if due && HYPHENS.contains(&nibbles) {
                if byte != b'-' {
                    return invalid(&format!("has no hyphen at character {at}"));
                }
                due = false;
                continue;
            }
            let Some(digit) = (byte as char).to_digit(16) else {
                return invalid(&format!("has no hexadecimal digit at character {at}"));
            };
            bits = bits << 4 | u128::from(digit);
            nibbles += 1;
            due = hyphenated;
        }
        Ok(EventId(bits))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'-'; 36];
        let mut at = 0;
        for nibble in 0..32 {
            if HYPHENS.contains(&nibble) {
                at += 1;
            }
            let digit = (self.0 >> (4 * (31 - nibble))) as usize & 0xf;
            text[at] = b"0123456789abcdef"[digit];
            at += 1;
        }
        f.pad(core::str::from_utf8(&text).expect("hexadecimal digits and hyphens are ASCII"))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<EventId, Invalid> {
        EventId::parse(text)
    }
}
