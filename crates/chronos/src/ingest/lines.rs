//! From chunks of lines to numbered items, in the order of the file.

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::chunks::Chunk;
use super::parsed::{Identity, Parsed};
use super::{Item, cloudevents, derived, ndjson};

/// What a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One event object a line, as `chronos export` writes them.
    #[default]
    Ndjson,
    /// One CloudEvent (JSON format, version 1.0) a line.
    Cloudevents,
}

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: u64,
    pub(crate) reason: String,
}

/// One line, read.
pub(crate) type Read = Result<(u64, Parsed), BadLine>;

/// Reads every line of a chunk that is not blank.
pub(crate) fn parse(chunk: &Chunk, format: Format) -> Vec<Read> {
    let lines = text(chunk).split(|byte| *byte == b'\n').zip(chunk.first_line..);
    let filled = lines.filter(|(text, _)| !text.trim_ascii().is_empty());
    let mut read_lines = Vec::with_capacity(usize::try_from(chunk.lines).unwrap_or_default() + 1);
    read_lines.extend(filled.map(|(text, line)| read(text, line, format)));
    read_lines
}

/// The chunk without the byte order mark that some programs begin a file with.
fn text(chunk: &Chunk) -> &[u8] {
    match chunk.bytes.strip_prefix(BYTE_ORDER_MARK) {
        Some(text) if chunk.first_line == 1 => text,
        _ => &chunk.bytes,
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

fn read(text: &[u8], line: u64, format: Format) -> Read {
    let parsed = std::str::from_utf8(text.trim_ascii())
        .map_err(|e| format!("invalid UTF-8 after byte {}", e.valid_up_to()))
        .and_then(|text| match format {
            Format::Ndjson => ndjson::parse(text),
            Format::Cloudevents => cloudevents::parse(text),
        });
    parsed.map(|parsed| (line, parsed)).map_err(|reason| BadLine { line, reason })
}

/// Tells identical lines without ids apart, by how often each came before. Needs the lines in order.
#[derive(Default)]
pub(crate) struct Numbering {
    seen: BTreeMap<u128, u64>,
}

impl Numbering {
    pub(crate) fn item(&mut self, line: u64, parsed: Parsed) -> Item {
        let mut draft = parsed.draft;
        if parsed.identity == Identity::Derived {
            let before = self.seen.entry(draft.event_id.as_u128()).or_default();
            if *before > 0 {
                draft.event_id = derived::event_id(&[&draft.event_id.to_bytes(), &before.to_le_bytes()]);
            }
            *before += 1;
        }
        Item { draft, line }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn chunk(bytes: &[u8]) -> Chunk {
        Chunk { first_line: 10, lines: 0, bytes: bytes.to_vec() }
    }

    const LINE: &str = r#"{"entity_id":"a","event_type":"t","payload":1}"#;

    #[test]
    fn lines_are_numbered_as_an_editor_counts_them() {
        let text = format!("{LINE}\r\n\n  \nnonsense\n{LINE}");
        let read = parse(&chunk(text.as_bytes()), Format::Ndjson);
        let lines: Vec<(u64, bool)> = read
            .iter()
            .map(|read| match read {
                Ok((line, _)) => (*line, true),
                Err(bad) => (bad.line, false),
            })
            .collect();
        assert_eq!(lines, [(10, true), (13, false), (14, true)]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let bytes = format!("\u{feff}{LINE}\n\u{feff}{LINE}").into_bytes();
        let plain = parse(&Chunk { first_line: 1, ..chunk(LINE.as_bytes()) }, Format::Ndjson);
        let marked = parse(&Chunk { first_line: 1, lines: 1, bytes }, Format::Ndjson);
        let id = |read: &Read| read.as_ref().unwrap().1.draft.event_id;
        assert_eq!(id(&marked[0]), id(&plain[0]), "the id follows from the line");
        assert!(marked[1].is_err(), "anywhere else it is a mistake");
    }

    #[test]
    fn invalid_utf8_is_a_bad_line_and_no_more() {
        let mut text = LINE.as_bytes().to_vec();
        text[15] = 0xff;
        text.push(b'\n');
        text.extend_from_slice(LINE.as_bytes());
        let read = parse(&chunk(&text), Format::Ndjson);
        assert_eq!(read[0].as_ref().unwrap_err().reason, "invalid UTF-8 after byte 15");
        assert!(read[1].is_ok());
    }

    #[test]
    fn identical_lines_are_different_events_with_stable_ids() {
        let text = format!("{LINE}\n{LINE}\n{LINE}\n");
        let ids = || -> Vec<String> {
            let mut numbering = Numbering::default();
            let read = parse(&chunk(text.as_bytes()), Format::Ndjson);
            let items =
                read.into_iter().map(|read| read.unwrap()).map(|(line, parsed)| numbering.item(line, parsed));
            items.map(|item| item.draft.event_id.to_string()).collect()
        };
        assert_eq!(ids(), ids());
        assert_eq!(ids().into_iter().collect::<BTreeSet<_>>().len(), 3);
    }
}
