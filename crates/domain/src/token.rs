//! A token: how far somebody has come, in every partition they have touched.
//!
//! An append returns one, every read accepts one: `at_least` waits until a replica has applied it, `as_of` reads the
//! past it names. To callers it is opaque text. A partition that is not named stands at zero, and no token names a
//! partition at zero, so equal tokens have equal texts.
//!
//! ```text
//! "c1." base64url( (partition: u8, position: LEB128)*, ascending ‖ low 16 bits of their xxh64, little-endian )
//! ```

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::base64url::{self, Malformed};
use crate::id::Invalid;
use crate::limits::TOKEN_CHARS_MAX;
use crate::number::{PartitionId, Position};
use crate::xxh64::xxh64;

const PREFIX: &str = "c1.";
const FIELD: &str = "token";
const CHECK_BYTES: usize = 2;

/// A vector of (partition, position).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Token(BTreeMap<PartitionId, Position>);

impl Token {
    /// Names no partition: the beginning of everything.
    pub fn new() -> Token {
        Token::default()
    }

    /// Names one partition.
    pub fn at(partition: PartitionId, position: Position) -> Token {
        let mut token = Token::new();
        token.advance(partition, position);
        token
    }

    /// The position in a partition; zero when it is not named.
    pub fn get(&self, partition: PartitionId) -> Position {
        self.0.get(&partition).copied().unwrap_or(Position::ZERO)
    }

    /// Whether no partition is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The named partitions and their positions, ascending; every position is above zero.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (PartitionId, Position)> + '_ {
        self.0.iter().map(|(partition, position)| (*partition, *position))
    }

    /// Moves one partition to `position` unless it is there or further already.
    pub fn advance(&mut self, partition: PartitionId, position: Position) {
        if position.is_zero() {
            return;
        }
        match self.0.entry(partition) {
            Entry::Vacant(entry) => {
                entry.insert(position);
            }
            Entry::Occupied(mut entry) => {
                let further = position.max(*entry.get());
                entry.insert(further);
            }
        }
    }

    /// Moves every partition at least as far as `other` is.
    pub fn merge(&mut self, other: &Token) {
        for (partition, position) in other.iter() {
            self.advance(partition, position);
        }
    }

    /// Whether this token is at least as far as `other` in every partition.
    pub fn covers(&self, other: &Token) -> bool {
        other.iter().all(|(partition, position)| self.get(partition) >= position)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`Invalid`] says what is wrong; a text that was cut, extended or mistyped is told by its check (one in 65,536 is
    /// not).
    pub fn parse(text: &str) -> Result<Token, Invalid> {
        let Some(body) = text.strip_prefix(PREFIX) else {
            return invalid(format!("does not start with `{PREFIX}`"));
        };
        if text.len() > TOKEN_CHARS_MAX {
            return invalid(format!("has {} characters and not at most {TOKEN_CHARS_MAX}", text.len()));
        }
        let bytes = match base64url::decode(body) {
            Ok(bytes) => bytes,
            Err(Malformed::Digit(at)) => {
                return invalid(format!("has a byte at {} that no token has", at + PREFIX.len()));
            }
            Err(Malformed::Ending) => return invalid("is cut short or mistyped at its end".into()),
        };
        let Some((vector, check)) = bytes.split_last_chunk::<CHECK_BYTES>() else {
            return invalid("is cut short".into());
        };
        if *check != check_of(vector) {
            return invalid("does not match its check, so it was cut or mistyped".into());
        }
        read_vector(vector)
    }
}

impl FromStr for Token {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Token, Invalid> {
        Token::parse(text)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        for (partition, position) in self.iter() {
            bytes.push(partition.get());
            write_varint(position.get(), &mut bytes);
        }
        bytes.extend_from_slice(&check_of(&bytes));
        let mut text = String::from(PREFIX);
        base64url::encode(&bytes, &mut text);
        f.pad(&text)
    }
}

impl FromIterator<(PartitionId, Position)> for Token {
    fn from_iter<I: IntoIterator<Item = (PartitionId, Position)>>(pairs: I) -> Token {
        let mut token = Token::new();
        for (partition, position) in pairs {
            token.advance(partition, position);
        }
        token
    }
}

fn invalid<T>(what: String) -> Result<T, Invalid> {
    Err(Invalid::new(FIELD, format!("{what}; give a token exactly as an append or a read returned it")))
}

fn check_of(vector: &[u8]) -> [u8; CHECK_BYTES] {
    (xxh64(vector, 0) as u16).to_le_bytes()
}

fn read_vector(mut bytes: &[u8]) -> Result<Token, Invalid> {
    let mut token = Token::new();
    while let Some((&number, rest)) = bytes.split_first() {
        let Some(partition) = PartitionId::of_group(number) else {
            return invalid(format!("names partition {number}, which does not exist"));
        };
        if token.0.last_key_value().is_some_and(|(last, _)| *last >= partition) {
            return invalid(format!("names partition {number} out of order"));
        }
        let Some((position @ 1.., rest)) = read_varint(rest) else {
            return invalid(format!("has no position for partition {number}"));
        };
        token.0.insert(partition, Position::new(position));
        bytes = rest;
    }
    Ok(token)
}

/// Seven bits a byte, the lowest first, the top bit set on all but the last.
fn write_varint(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads what [`write_varint`] writes, and no longer form of the same number.
fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if i == 9 && bits > 1 {
            return None;
        }
        number |= bits << (7 * i);
        if byte & 0x80 == 0 {
            let shortest = i == 0 || *byte != 0;
            return shortest.then_some((number, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests;
