//! Lines with a tone. On a terminal tones are colours; anywhere else, and wherever NO_COLOR is set, they are nothing.

use std::io::{self, IsTerminal};

use crate::table::Table;

/// What a line is to its reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// A heading, or what can be skipped.
    Quiet,
    /// As it should be.
    Good,
    /// Not as it should be, and nothing is lost by it.
    Warn,
    /// Something is not served.
    Bad,
}

impl Tone {
    /// The escape sequence that begins it.
    const fn begins(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Quiet => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31;1m",
        }
    }
}

/// Lines, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page(Vec<(Tone, String)>);

impl Page {
    pub(crate) fn line(&mut self, tone: Tone, text: impl Into<String>) {
        self.0.push((tone, text.into()));
    }

    pub(crate) fn gap(&mut self) {
        self.line(Tone::Plain, "");
    }

    /// A table, with a tone for each of its rows.
    pub(crate) fn table(&mut self, table: &Table, tones: impl IntoIterator<Item = Tone>) {
        let tones = std::iter::once(Tone::Quiet).chain(tones);
        let text = table.render();
        self.0.extend(tones.zip(text.lines().map(str::to_owned)));
    }

    /// Its lines, painted or not.
    pub(crate) fn lines(&self, is_painted: bool) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(move |(tone, text)| match tone.begins() {
            begins if is_painted && !begins.is_empty() && !text.is_empty() => {
                format!("{begins}{text}\x1b[0m")
            }
            _ => text.clone(),
        })
    }

    /// The whole page as text without colours.
    #[cfg(test)]
    pub(crate) fn plain(&self) -> String {
        self.lines(false).map(|line| line + "\n").collect()
    }
}

/// Whether standard output shows colours.
pub(crate) fn is_painted() -> bool {
    // https://no-color.org: set to anything but nothing.
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !is_refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_around_a_line_and_never_in_what_is_not_painted() {
        let mut page = Page::default();
        page.line(Tone::Bad, "n3 is down");
        page.line(Tone::Plain, "all else is well");
        page.line(Tone::Bad, "");
        assert_eq!(page.plain(), "n3 is down\nall else is well\n\n");
        let painted: Vec<String> = page.lines(true).collect();
        assert_eq!(painted, ["\x1b[31;1mn3 is down\x1b[0m", "all else is well", ""]);
    }
}
