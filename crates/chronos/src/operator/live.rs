//! A page that is drawn again and again: in place on a terminal, one below the other anywhere else.
//!
//! On a terminal it has a screen of its own, which is left however it ends, so that what was there before is there again;
//! the last page is then printed below it.

use std::io::{self, IsTerminal, Write};

use super::Watched;
use super::page::{Page, is_painted};
use crate::failure::{Failure, Outcome};
use crate::stop_request;

/// What is drawn: a page for people, or lines of JSON.
pub(crate) enum Drawn {
    Page(Page),
    Objects(Vec<serde_json::Value>),
}

impl Drawn {
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Page(page) => page.lines(is_painted()).collect(),
            Self::Objects(objects) => objects.iter().map(ToString::to_string).collect(),
        }
    }

    const fn is_page(&self) -> bool {
        matches!(self, Self::Page(_))
    }
}

/// Draws what `look` gives once, or again and again until somebody stops it.
pub(crate) async fn show(watched: &Watched, look: impl AsyncFn() -> Outcome<Drawn>) -> Outcome {
    if !watched.watch {
        return print(&look().await?.lines());
    }
    let first = look().await?;
    let on_screen = first.is_page() && io::stdout().is_terminal();
    let stopped = stop_request::signalled()?;
    let mut easel = Easel { on_screen, last: Vec::new(), drawn: 0 };
    let drawing = async {
        let mut next = Ok(first);
        loop {
            if let Err(failure) = easel.draw(next) {
                return failure;
            }
            tokio::time::sleep(watched.every).await;
            next = look().await;
        }
    };
    tokio::select! {
        biased; // whoever has seen enough is not shown more
        () = stopped => Ok(()),
        failure = drawing => Err(failure),
    }
}

/// Where pages are drawn.
struct Easel {
    on_screen: bool,
    /// The lines of the last page.
    last: Vec<String>,
    drawn: u64,
}

impl Easel {
    /// One page. A look that fails once others did not is told in its place: a node that is being restarted comes back.
    fn draw(&mut self, look: Outcome<Drawn>) -> Outcome {
        let lines: Vec<String> = match look {
            Ok(drawn) => {
                let gap = !self.on_screen && drawn.is_page() && self.drawn > 0;
                gap.then(String::new).into_iter().chain(drawn.lines()).collect()
            }
            Err(failure) if self.on_screen => {
                let told = [String::new(), format!("no answer, trying again: {failure}")];
                self.last.iter().cloned().chain(told).collect()
            }
            Err(failure) => {
                eprintln!("warning: no answer, trying again: {failure}");
                return Ok(());
            }
        };
        self.drawn += 1;
        if !self.on_screen {
            return print(&lines);
        }
        let begin = if self.drawn == 1 { ENTER } else { "" };
        // Lines that do not fit are cut: one that went on below would move all others at every drawing.
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let body: String = lines
            .iter()
            .take(room(size.map(|size| size.ws_row)))
            .map(|line| format!("{line}\x1b[K\r\n"))
            .collect();
        self.last = lines;
        write(&format!("{begin}\x1b[H{body}\x1b[J"))
    }
}

/// How many lines fit on a terminal of so many rows. One that does not know its size has none to spare nor to lack.
fn room(rows: Option<u16>) -> usize {
    match rows {
        None | Some(0) => usize::MAX,
        Some(rows) => usize::from(rows).max(2) - 1,
    }
}

/// A screen of its own, without cursor, whose lines are cut at its edge.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// The screen of before.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

impl Drop for Easel {
    fn drop(&mut self) {
        if self.on_screen && self.drawn > 0 {
            // Nobody is left to be told that this failed.
            let _ = write(LEAVE).and_then(|()| print(&self.last));
        }
    }
}

fn print(lines: &[String]) -> Outcome {
    write(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

fn write(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_does_not_know_its_size_shows_everything() {
        assert_eq!([room(None), room(Some(0))], [usize::MAX; 2]);
        assert_eq!([room(Some(1)), room(Some(24))], [1, 23]);
    }
}
