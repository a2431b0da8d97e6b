//! A condition in the head of a block. It is small and rare, so it is decoded once, whole.

use chronos_domain::{Condition, EventType, Position, QueryItem, Tag};

use crate::malformed::Malformed;

/// Appends the encoded condition.
pub(crate) fn encode(condition: &Condition, out: &mut Vec<u8>) {
    out.extend_from_slice(&condition.after.get().to_le_bytes());
    put_count(condition.fail_if.len(), out);
    for item in &condition.fail_if {
        put_count(item.types.len(), out);
        put_count(item.tags.len(), out);
        let texts = item.types.iter().map(EventType::as_str).chain(item.tags.iter().map(Tag::as_str));
        for text in texts {
            put_count(text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Decodes a condition that fills `bytes`. Memory is bounded by their number, for every element takes some.
pub(crate) fn decode(bytes: &[u8]) -> Result<Condition, Malformed> {
    let mut rest = Rest(bytes);
    let after = Position::new(u64::from_le_bytes(*rest.take()?));
    let items = rest.count()?;
    let mut fail_if = Vec::new();
    for _ in 0..items {
        let (types, tags) = (rest.count()?, rest.count()?);
        let mut item = QueryItem::default();
        for _ in 0..types {
            item.types.push(EventType::parse(rest.text()?)?);
        }
        for _ in 0..tags {
            item.tags.push(Tag::parse(rest.text()?)?);
        }
        fail_if.push(item);
    }
    if !rest.0.is_empty() {
        return Err(Malformed::damaged(format!("{} bytes follow the condition", rest.0.len())));
    }
    let condition = Condition { fail_if, after };
    condition.check()?;
    Ok(condition)
}

/// Lists and names are bounded far below 16 bits by the limits of a condition.
fn put_count(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(count as u16).to_le_bytes());
}

/// What has not been decoded yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn count(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(*self.take()?))
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.count()?);
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(cut_short)?;
        self.0 = rest;
        str::from_utf8(taken).map_err(|_| Malformed::damaged("a name in the condition is not UTF-8"))
    }
}

fn cut_short() -> Malformed {
    Malformed::damaged("the condition is cut short")
}
