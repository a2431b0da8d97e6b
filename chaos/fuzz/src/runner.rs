//! The command.

mod build;
mod campaign;
pub(crate) mod instrument;
mod options;
mod results;
mod target;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use parking_lot::Mutex;

use options::Options;
use results::{Ended, Results};
use target::Target;

/// Does what the command line says; fails when a target broke.
pub(crate) fn run() -> io::Result<ExitCode> {
    let options = Options::parse();
    let program = build::program()?;
    let known = Target::all(&program)?;
    if options.list {
        known.iter().for_each(|target| println!("{:9}  {}", target.name, target.about));
        return Ok(ExitCode::SUCCESS);
    }
    let targets = options.of(known)?;
    let work = work_dir()?;
    if let Some(input) = &options.replay {
        let [target] = targets.as_slice() else {
            return Err(io::Error::other("an input belongs to one target; name it with --only"));
        };
        return campaign::replay(&program, target, input);
    }
    let mut results =
        Results::open(options.results.clone().unwrap_or_else(|| work.join("results.json")), options.fresh)?;
    let mut broken = 0;
    let each = |ended: Ended| {
        broken += usize::from(ended.crash.is_some());
        results.add(&ended)?;
        println!("{}", if options.json { ended.line() } else { ended.sentence() });
        Ok(())
    };
    all(&targets, options.jobs, |target| campaign::run(&program, &work, target, &options), each)?;
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where corpora, crashes and logs are kept: beside what was built.
fn work_dir() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or_else(|| io::Error::other("this program lies nowhere"))?;
    Ok(target.join("fuzz"))
}

/// Runs all targets, `jobs` at a time, and tells of each as it ends.
fn all(
    targets: &[Target],
    jobs: usize,
    run: impl Fn(&Target) -> io::Result<Ended> + Sync,
    tell: impl FnMut(Ended) -> io::Result<()> + Send,
) -> io::Result<()> {
    let (next, tell, failure) = (AtomicUsize::new(0), Mutex::new(tell), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let told = run(target).and_then(|ended| (tell.lock())(ended));
                    if let Err(error) = told {
                        failure.lock().get_or_insert(error);
                    }
                }
            });
        }
    });
    failure.into_inner().map_or(Ok(()), Err)
}
