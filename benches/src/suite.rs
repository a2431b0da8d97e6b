//! Runs the works that were asked for, one after the other.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::Failure;
use crate::conditions::Conditions;
use crate::options::{Command, Measure, Options};
use crate::report::Line;
use crate::server;
use crate::table;
use crate::works::{ONLY_IF_NAMED, WORKS};

/// What a work is told.
pub(crate) struct Bench<'a> {
    dir: &'a Path,
    measure: &'a Measure,
    pub(crate) conditions: &'a Conditions,
}

/// How long one run takes when it only has to show that it works.
const QUICK: Duration = Duration::from_millis(40);
/// Log files are then as small as a server takes them, because each is written from end to end before it is used.
const QUICK_SEGMENT_BYTES: u64 = 32 << 20;

impl Bench<'_> {
    pub(crate) fn runs(&self) -> u32 {
        if self.measure.quick { 1 } else { self.measure.runs }
    }

    pub(crate) fn time(&self) -> Duration {
        if self.measure.quick { QUICK } else { self.measure.seconds }
    }

    /// A size: the real one, or a small one that only shows that it works.
    pub(crate) fn size(&self, real: usize, quick: usize) -> usize {
        if self.measure.quick { quick } else { real }
    }

    /// Whether it only has to be shown that everything works.
    pub(crate) fn is_quick(&self) -> bool {
        self.measure.quick
    }

    pub(crate) fn lanes(&self) -> u8 {
        self.measure.lanes
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.measure.segment_bytes
    }

    pub(crate) fn clients(&self) -> &[usize] {
        &self.measure.clients
    }

    pub(crate) fn events(&self) -> &[usize] {
        &self.measure.events
    }

    pub(crate) fn workers(&self) -> usize {
        self.measure.workers
    }

    /// The directory of all works.
    pub(crate) fn dir(&self) -> &Path {
        self.dir
    }

    /// An empty directory, removed when dropped.
    pub(crate) fn fresh_dir(&self) -> Result<TempDir, Failure> {
        Ok(tempfile::tempdir_in(self.dir)?)
    }
}

/// Does what the command line asks.
///
/// # Errors
/// When a work could not be measured, or did not do what it was meant to.
pub fn run(options: &Options) -> Result<(), Failure> {
    match &options.command {
        Some(Command::Serve(serve)) => server::serve(serve),
        None if options.measure.list => {
            WORKS.iter().for_each(|(name, _)| println!("{name}"));
            Ok(())
        }
        None if options.measure.quick => measure(&quick(&options.measure)),
        None => measure(&options.measure),
    }
}

/// The same, as small as it still shows that everything works: of what is counted only the ends.
fn quick(measure: &Measure) -> Measure {
    let ends = |counts: &[usize]| {
        let mut ends: Vec<usize> = counts.first().into_iter().chain(counts.last()).copied().collect();
        ends.dedup();
        ends
    };
    Measure {
        segment_bytes: QUICK_SEGMENT_BYTES,
        clients: ends(&measure.clients),
        events: ends(&measure.events),
        ..measure.clone()
    }
}

fn measure(measure: &Measure) -> Result<(), Failure> {
    let works = choose(&measure.only)?;
    let dir = match &measure.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let conditions = Conditions::observe(dir.path(), measure);
    for warning in conditions.warnings() {
        eprintln!("chronos-benches: {warning}");
    }
    let bench = Bench { dir: dir.path(), measure, conditions: &conditions };
    let mut all = Vec::new();
    for (name, work) in works {
        let lines = work(&bench).map_err(|failure| format!("{name}: {failure}"))?;
        lines.iter().for_each(|line| println!("{}", line.json()));
        all.extend(lines);
    }
    if measure.table {
        eprintln!("{}\n\n{}", conditions.sentence(), table::markdown(&all));
    }
    Ok(())
}

/// The works of these names, or whose names begin so; when nothing is named, all that do not take too long for that.
fn choose(only: &[String]) -> Result<Vec<&'static (&'static str, Work)>, Failure> {
    let chosen = |name: &str, only: &str| {
        let whole = WORKS.iter().any(|(name, _)| *name == only);
        if whole { name == only } else { name.starts_with(only) }
    };
    if let Some(unknown) = only.iter().find(|only| !WORKS.iter().any(|(name, _)| chosen(name, only))) {
        return Err(format!("no work is called {unknown}; --list shows their names").into());
    }
    let wanted = |name: &str| match only {
        [] => !ONLY_IF_NAMED.contains(&name),
        only => only.iter().any(|only| chosen(name, only)),
    };
    Ok(WORKS.iter().filter(|(name, _)| wanted(name)).collect())
}

/// Measures a work.
pub(crate) type Work = fn(&Bench<'_>) -> Result<Vec<Line>, Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str]) -> Vec<&'static str> {
        let only: Vec<String> = only.iter().map(|only| (*only).to_owned()).collect();
        choose(&only).unwrap().into_iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn a_whole_name_means_one_work_and_a_beginning_means_all_that_begin_so() {
        assert_eq!(names(&["append"]), ["append"]);
        assert_eq!(names(&["append_", "floor"]), ["floor.write_fdatasync_4k", "append_over_floor"]);
        assert_eq!(names(&[]).len(), WORKS.len() - ONLY_IF_NAMED.len());
        assert_eq!(names(ONLY_IF_NAMED), ONLY_IF_NAMED);
    }

    #[test]
    fn a_name_that_no_work_has_is_refused() {
        let refused = choose(&["append".to_owned(), "nothing".to_owned()]).err().unwrap().to_string();
        assert!(refused.contains("nothing"), "{refused}");
    }
}
