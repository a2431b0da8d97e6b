//! Events on standard output.

use chronos_proto::event::Event;
use chronos_proto::json::{self, Layout};

use super::{Format, Out};
use crate::failure::Outcome;
use crate::moment;
use crate::table::{Align, Table};

/// Rows that are laid out together; a longer table goes on without a heading, and column widths may change.
const ROWS: usize = 512;

/// Characters of a payload that a table shows.
const PAYLOAD_CHARS: usize = 72;

/// Prints one event after the other.
pub(crate) struct EventPrinter {
    out: Out,
    table: Table,
    begun: bool,
    line: Vec<u8>,
}

impl EventPrinter {
    pub(crate) fn new(format: Format) -> Self {
        let table = Table::new(&[
            ("PARTITION", Align::Right),
            ("POSITION", Align::Right),
            ("VERSION", Align::Right),
            ("OCCURRED OR RECORDED", Align::Left),
            ("ENTITY", Align::Left),
            ("TYPE", Align::Left),
            ("PAYLOAD", Align::Left),
        ]);
        Self { out: Out::new(format), table, begun: false, line: Vec::new() }
    }

    pub(crate) fn print(&mut self, event: &Event) -> Outcome {
        match self.out.format {
            Format::Json => {
                object(&mut self.line, event);
                self.out.bytes(&self.line)
            }
            Format::Table => {
                self.table.row(row(event));
                if self.table.len() == ROWS { self.flush_rows() } else { Ok(()) }
            }
        }
    }

    fn flush_rows(&mut self) -> Outcome {
        let text = if self.begun { self.table.render_rows() } else { self.table.render() };
        self.begun = true;
        self.table.clear();
        self.out.bytes(text.as_bytes())
    }

    pub(crate) fn finish(mut self) -> Outcome {
        self.flush_rows()?;
        self.out.finish()
    }
}

/// The event as one line of JSON.
pub(crate) fn object(line: &mut Vec<u8>, event: &Event) {
    line.clear();
    json::write(line, event, Layout::Line);
    line.push(b'\n');
}

fn row(event: &Event) -> [String; 7] {
    [
        event.partition.to_string(),
        event.position.to_string(),
        event.version.to_string(),
        moment::show(event.occurred_at.unwrap_or(event.recorded_at)),
        event.entity_id.to_string(),
        event.event_type.to_string(),
        payload(event),
    ]
}

/// One line, so short that the table stays one.
fn payload(event: &Event) -> String {
    if !event.is_json() {
        return format!("{} bytes of {}", event.payload.len(), event.content_type);
    }
    let text = String::from_utf8_lossy(&event.payload);
    let mut shown: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(PAYLOAD_CHARS).collect();
    if text.chars().nth(PAYLOAD_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// Everything about one event, field by field.
pub(crate) fn record(event: &Event) -> Table {
    let mut table = Table::new(&[("FIELD", Align::Left), ("VALUE", Align::Left)]);
    let occurred_at = event.occurred_at.map_or_else(|| "not said".to_owned(), moment::show);
    let tags: Vec<&str> = event.tags.iter().map(|tag| tag.as_str()).collect();
    let erased = event.erased.then(|| ("erased", "yes: its content was truncated".to_owned()));
    let body =
        if event.is_json() { String::from_utf8_lossy(&event.payload).into_owned() } else { payload(event) };
    let fields = [
        ("event_id", event.event_id.to_string()),
        ("tenant_id", event.tenant_id.to_string()),
        ("entity_id", event.entity_id.to_string()),
        ("event_type", event.event_type.to_string()),
        ("payload", body),
        ("metadata", String::from_utf8_lossy(&event.metadata).into_owned()),
        ("tags", tags.join(", ")),
        ("occurred_at", occurred_at),
        ("recorded_at", moment::show(event.recorded_at)),
        ("version", event.version.to_string()),
        ("position", event.position.to_string()),
        ("partition", event.partition.to_string()),
    ];
    for (name, value) in fields.into_iter().chain(erased) {
        table.row([name.to_owned(), value]);
    }
    table
}
