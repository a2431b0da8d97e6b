//! One target under libFuzzer.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use super::options::Options;
use super::results::Ended;
use super::target::Target;

/// How the program is told what to do.
const TARGET: &str = "CHRONOS_FUZZ_TARGET";
const SEEDS: &str = "CHRONOS_FUZZ_SEEDS";
const ACCOUNT: &str = "CHRONOS_FUZZ_ACCOUNT";

/// An execution that takes longer than this hangs.
const TIMEOUT_SECONDS: u64 = 30;
/// Beyond what any target may allocate: what libFuzzer keeps comes on top.
const RSS_MIB_MAX: u64 = 4096;

/// Attacks a target until its time is over or it breaks.
pub(super) fn run(program: &Path, work: &Path, target: &Target, options: &Options) -> io::Result<Ended> {
    let dir = |of: &str| {
        let dir = work.join(of).join(&target.name);
        fs::create_dir_all(&dir).map(|()| dir)
    };
    let (corpus, made, crashes) = (dir("corpus")?, dir("seeds")?, dir("crashes")?);
    let account = work.join(format!("{}.account", target.name));
    let log = work.join(format!("{}.log", target.name));
    fs::write(&account, "0 0")?;
    let mut command = Command::new(program);
    command.env(TARGET, &target.name).env(SEEDS, &made).env(ACCOUNT, &account);
    // Who reads its own symbols to show where it broke needs more memory than a target may have.
    command.env("RUST_BACKTRACE", "0");
    command.args([&corpus, &made]).arg(format!("-artifact_prefix={}/", crashes.display()));
    command.args(options.executions.map(|executions| format!("-runs={executions}")));
    command.args(options.seconds().map(|seconds| format!("-max_total_time={seconds}")));
    command.args([
        format!("-max_len={}", target.input_bytes_max),
        format!("-timeout={TIMEOUT_SECONDS}"),
        format!("-rss_limit_mb={RSS_MIB_MAX}"),
        "-print_final_stats=1".to_owned(),
        "-detect_leaks=0".to_owned(),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    let began = Instant::now();
    let status = command.status()?;
    let seconds = began.elapsed().as_secs_f64();
    let said = Said::read(&String::from_utf8_lossy(&fs::read(&log)?));
    let (counted, operations) = read_account(&account)?;
    let crash = match (said.artifact, status.success()) {
        (None, true) => None,
        (artifact, _) => Some(artifact.unwrap_or_else(|| log.clone())),
    };
    Ok(Ended {
        target: target.name.clone(),
        executions: said.executions.unwrap_or(counted).max(counted),
        operations,
        seconds,
        coverage: said.coverage,
        features: said.features,
        corpus: fs::read_dir(&corpus)?.count() as u64,
        crash,
        log,
    })
}

fn read_account(file: &Path) -> io::Result<(u64, u64)> {
    let text = fs::read_to_string(file)?;
    let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(0));
    Ok((numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
}

/// What libFuzzer says in its log.
#[derive(Debug, Default, PartialEq)]
struct Said {
    executions: Option<u64>,
    coverage: u64,
    features: u64,
    artifact: Option<PathBuf>,
}

impl Said {
    fn read(log: &str) -> Said {
        let mut said = Said::default();
        for line in log.lines() {
            if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
                said.executions = count.trim().parse().ok();
            } else if let Some((_, path)) = line.split_once("Test unit written to ") {
                said.artifact = Some(PathBuf::from(path.trim()));
            } else if let Some(coverage) = number_behind(line, "cov: ") {
                said.coverage = said.coverage.max(coverage);
                said.features = said.features.max(number_behind(line, "ft: ").unwrap_or(0));
            }
        }
        said
    }
}

fn number_behind(line: &str, name: &str) -> Option<u64> {
    line.split_once(name)?.1.split(' ').next()?.parse().ok()
}

/// Executes one input; what it breaks is shown as it is found.
pub(super) fn replay(program: &Path, target: &Target, input: &Path) -> io::Result<ExitCode> {
    // libFuzzer would take a file that is not there for an option it does not know.
    fs::metadata(input)?;
    let status = Command::new(program).env(TARGET, &target.name).arg(input).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_understood() {
        let log = "INFO: Seed: 1\n#2\tINITED cov: 40 ft: 41 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                   #9000\tDONE   cov: 120 ft: 300 corp: 20/99b lim: 4 exec/s: 900 rss: 40Mb\n\
                   stat::number_of_executed_units: 9000\n";
        let said = Said { executions: Some(9000), coverage: 120, features: 300, artifact: None };
        assert_eq!(Said::read(log), said);
        let broken = format!("{log}artifact_prefix='/w/'; Test unit written to /w/crash-0a\nBase64: AA==\n");
        assert_eq!(Said::read(&broken).artifact, Some(PathBuf::from("/w/crash-0a")));
    }
}
