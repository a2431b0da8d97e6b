//! A soak for people: one HTML file that needs nothing else, no script and no network, in light and dark.

mod page;
mod plot;
mod shade;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::ledger::{self, Ledger, Sums};
use crate::results::Results;
use crate::sample;

/// What the report is called in the directory of a soak.
pub const HTML: &str = "report.html";
/// What its figures are called for machines.
pub const JSON: &str = "soak.json";

/// Why there is no report.
#[derive(Debug)]
pub enum Error {
    /// The ledger cannot be had.
    Ledger(ledger::Error),
    /// A file cannot be read or written.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Ledger(error) => error.fmt(f),
            Error::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

/// Writes the report of a soak and its figures into its directory. `others` are the directories of more soaks, which count in
/// the sum. Returns the figures, and where the report is.
///
/// # Errors
/// A ledger cannot be had, or a file cannot be read or written.
pub fn write(dir: &Path, others: &[PathBuf]) -> Result<(Results, PathBuf), Error> {
    let ledger = Ledger::read(dir).map_err(Error::Ledger)?;
    let samples = sample::read(dir).map_err(|error| Error::Io(dir.join(sample::FILE), error))?;
    let mut results = Results::of(&ledger, &samples);
    if !others.is_empty() {
        results.under_load_seconds = sums(&ledger, others)?;
    }
    let (html, json) = (dir.join(HTML), dir.join(JSON));
    let page = page::page(&ledger, &samples, &results);
    fs::write(&html, page).map_err(|error| Error::Io(html.clone(), error))?;
    results.write(&json).map_err(|error| Error::Io(json, error))?;
    Ok((results, html))
}

fn sums(ledger: &Ledger, others: &[PathBuf]) -> Result<Sums, Error> {
    let mut all = vec![ledger.clone()];
    for other in others {
        all.push(Ledger::read(other).map_err(Error::Ledger)?);
    }
    Ok(Ledger::sums(&all))
}
