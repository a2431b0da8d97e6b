//! Who tells the story: on standard output for people, beside it when standard output is for machines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chronos_client::EntityState;
use serde_json::{Map, Value};

use super::ledger::Ledger;
use crate::table::{Align, Table};

/// Where the story goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Standard output.
    People,
    /// Standard error: standard output carries the result and nothing else.
    Machines,
}

/// Tells the story in numbered chapters, without tearing the progress bar.
pub(crate) struct Voice {
    audience: Audience,
    ledger: Arc<Ledger>,
    chapter: AtomicU32,
}

impl Voice {
    pub(crate) fn new(audience: Audience, ledger: Arc<Ledger>) -> Self {
        Self { audience, ledger, chapter: AtomicU32::new(0) }
    }

    pub(crate) fn chapter(&self, title: &str) {
        let number = self.chapter.fetch_add(1, Ordering::Relaxed) + 1;
        let gap = if number == 1 { "" } else { "\n" };
        self.line(&format!("{gap}{number}. {title}"));
    }

    /// One line or several, indented below their chapter.
    pub(crate) fn say(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("   {line}"));
        }
    }

    fn line(&self, line: &str) {
        match self.audience {
            Audience::People => self.ledger.progress().pause(|| println!("{line}")),
            Audience::Machines => self.ledger.progress().say(line),
        }
    }
}

/// Two states of one entity side by side: the members that differ.
pub(crate) fn side_by_side(then: &EntityState, now: &EntityState) -> Table {
    let mut table = Table::new(&[("", Align::Left), ("THEN", Align::Left), ("NOW", Align::Left)]);
    table.row(["version".to_owned(), then.version.to_string(), now.version.to_string()]);
    let (then, now) = (members(&then.json), members(&now.json));
    let mut names: Vec<&String> = then.keys().chain(now.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().filter(|name| then.get(*name) != now.get(*name)) {
        table.row([name.clone(), short(then.get(name)), short(now.get(name))]);
    }
    table
}

/// A state that is no object has one member: itself.
fn members(json: &[u8]) -> Map<String, Value> {
    match serde_json::from_slice(json) {
        Ok(Value::Object(members)) => members,
        Ok(other) => Map::from_iter([("state".to_owned(), other)]),
        Err(_) => Map::new(),
    }
}

fn short(value: Option<&Value>) -> String {
    const CHARS: usize = 60;
    let text = value.map_or_else(|| "-".to_owned(), Value::to_string);
    match text.char_indices().nth(CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chronos_client::{Token, Version};

    use super::*;

    fn state(version: u64, json: &'static str) -> EntityState {
        EntityState {
            version: Version::new(version),
            events: version,
            json: Bytes::from_static(json.as_bytes()),
            token: Token::new(),
            truncated_before: Version::ZERO,
        }
    }

    #[test]
    fn only_what_changed_is_shown() {
        let then = state(2, r#"{"status":"placed","total":42,"note":"x"}"#);
        let now = state(3, r#"{"status":"paid","total":42,"by":"card"}"#);
        let table = side_by_side(&then, &now).render();
        let rows: Vec<Vec<&str>> =
            table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            rows,
            [
                vec!["version", "2", "3"],
                vec!["by", "-", "\"card\""],
                vec!["note", "\"x\"", "-"],
                vec!["status", "\"placed\"", "\"paid\""],
            ]
        );
    }
}
