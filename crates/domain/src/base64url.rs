//! Bytes as text that survives URLs, shells and double clicks: RFC 4648 section 5, without padding.

use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Appends the text of `bytes`.
pub(crate) fn encode(bytes: &[u8], text: &mut String) {
    for chunk in bytes.chunks(3) {
        let mut bits = 0u32;
        for i in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(i).copied().unwrap_or(0));
        }
        for i in 0..=chunk.len() {
            let digit = bits >> (18 - 6 * i) & 0x3f;
            text.push(char::from(ALPHABET[digit as usize]));
        }
    }
}

/// Why a text is not the text of any bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// The byte at this offset is not of the alphabet.
    Digit(usize),
    /// The text ends inside a byte, or with bits that no encoder writes.
    Ending,
}

/// The bytes of a text; exactly the texts that [`encode`] writes are accepted.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0u32, 0);
    for (at, byte) in text.bytes().enumerate() {
        bits = (bits << 6 | value(byte).ok_or(Malformed::Digit(at))?) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    if count >= 6 || bits & ((1 << count) - 1) != 0 {
        return Err(Malformed::Ending);
    }
    Ok(bytes)
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_texts() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("\u{3ff}", "z78"),
        ] {
            let mut encoded = String::new();
            encode(bytes.as_bytes(), &mut encoded);
            assert_eq!(encoded, text);
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
        }
    }

    #[test]
    fn texts_that_no_encoder_writes_are_refused() {
        assert_eq!(decode("Zg=="), Err(Malformed::Digit(2)));
        assert_eq!(decode("Z"), Err(Malformed::Ending));
        assert_eq!(decode("Zh"), Err(Malformed::Ending));
        assert_eq!(decode("Zm9vY"), Err(Malformed::Ending));
    }
}
