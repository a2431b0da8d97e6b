//! The command line of soaks.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use chronos_stress::drift::{DISK_OVER_MODEL_MAX, LIMITS};
use chronos_stress::ledger::{Book, Entry, Ledger, Why};
use chronos_stress::machine::now;
use chronos_stress::report;
use chronos_stress::results::Results;
use chronos_stress::settings::{Profile, Settings, Wanted};
use chronos_stress::soak::{Problem, Soak};
use chronos_stress::view::{View, clock};
use clap::{Parser, Subcommand};

const AFTER: &str = "\
Needs root: every node has a network, a disk, a control group and a clock of its own, so that all faults can be had. The disks \
are images in the directory of the soak, which outlive a Ctrl-C, a crash and a reboot; go on with --resume.

Leaves ledger.jsonl, samples.jsonl, report.html and soak.json there. Ends with 0 if everything was kept, with 1 if a promise or \
a limit was broken, with 2 if it could not run, and with 3 if it was interrupted.";

/// Lets a cluster of real processes run for hours under load and faults, on one data directory, and judges it round by round.
#[derive(Parser)]
#[command(name = "stress", after_help = AFTER, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// How long: minutes, 60 minutes, 24 hours or 168 hours under load.
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// The directory of a soak that is to go on, with the settings that it was made with.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    resume: Option<PathBuf>,
    /// The directory of a new soak [default: target/soak/PROFILE-NODES-SEED].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Nodes of the cluster [default: 3].
    #[arg(long, value_parser = nodes)]
    nodes: Option<u32>,
    /// Where everything that is drawn grows from [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    /// The product's binary; otherwise the one beside this program, which is built when it is missing or older.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Print the figures for machines on standard output, and how it goes on standard error.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Writes report.html and soak.json of a soak anew, also while it runs.
    Report {
        /// Its directory.
        dir: PathBuf,
        /// Directories of other soaks, which count in the sum.
        others: Vec<PathBuf>,
        /// Print the figures for machines.
        #[arg(long)]
        json: bool,
    },
}

fn nodes(text: &str) -> Result<u32, String> {
    match text {
        "3" => Ok(3),
        "5" => Ok(5),
        other => Err(format!("{other} is neither 3 nor 5")),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Some(Command::Report { dir, others, json }) => write_report(dir, others, *json).map(|_| 0),
        None => soak(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("stress: {why}");
            ExitCode::from(2)
        }
    }
}

fn soak(args: &Args) -> Result<u8, Problem> {
    let (dir, book) = open(args)?;
    let to: Box<dyn Write + Send> = if args.json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
    let is_terminal = if args.json { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let mut view = View::on(to, is_terminal, book.1.settings.clone());
    for limit in LIMITS {
        view.say(&format!("limit: {} at most {} {} ({})", limit.what, limit.most, limit.unit, limit.why));
    }
    view.say(&format!("limit: disk at most {DISK_OVER_MODEL_MAX} of the model"));
    let binary = chronos_chaos::real::binary(args.binary.as_deref())?;
    let why = Soak::begin(&dir, book, &binary, view)?.run()?;
    let results = write_report(&dir, &[], args.json)?;
    Ok(match (why, results.failure) {
        (Why::Failed, _) | (_, Some(_)) => 1,
        (Why::Interrupted, None) => 3,
        (Why::Complete, None) => 0,
    })
}

/// The ledger of a new soak, or of one that is to go on.
fn open(args: &Args) -> Result<(PathBuf, (Book, Ledger)), Problem> {
    let wanted = Wanted { profile: args.profile, nodes: args.nodes, seed: args.seed };
    if let Some(dir) = &args.resume {
        let (book, ledger) = Book::open(dir)?;
        ledger.settings.check(wanted).map_err(|why| format!("{} does not go on: {why}", dir.display()))?;
        return Ok((dir.clone(), (book, ledger)));
    }
    let profile = args.profile.ok_or("say how long: --profile smoke, hour, day or week (or --resume DIR)")?;
    let settings = Settings { profile, nodes: args.nodes.unwrap_or(3), seed: args.seed.unwrap_or(1) };
    let name = format!("target/soak/{profile}-{}-{}", settings.nodes, settings.seed);
    let dir = args.out.clone().unwrap_or_else(|| name.into());
    let made = Entry::Made { v: 1, settings, at: now() };
    drop(Book::make(&dir, &made)?);
    Ok((dir.clone(), Book::open(&dir)?))
}

fn write_report(dir: &std::path::Path, others: &[PathBuf], json: bool) -> Result<Results, Problem> {
    let (results, html) = report::write(dir, others)?;
    if json {
        println!("{}", serde_json::to_string(&results)?);
        return Ok(results);
    }
    let sums = results.under_load_seconds;
    println!("longest uninterrupted       {} (real time under load)", clock(sums.longest_uninterrupted));
    println!("sum                         {}", clock(sums.sum));
    println!("sum on one data directory   {}", clock(sums.sum_on_one_data_directory));
    for drift in &results.drifts {
        println!("{drift}");
    }
    let verdict = results.failure.as_deref().unwrap_or("clean");
    println!(
        "verdict: {verdict}: {} lost, {} twice, {} gaps",
        results.lost, results.duplicates, results.gaps
    );
    println!("{}", html.display());
    Ok(results)
}
