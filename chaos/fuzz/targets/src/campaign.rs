//! What a process of libFuzzer does: one target, over and over, and an account of it for whoever started it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::{ALL, Target, named, operations, seeds};

/// Names the target. Without it the targets are listed: name, longest input and what must hold, with tabs between them.
const TARGET: &str = "CHRONOS_FUZZ_TARGET";
/// Names the directory that seeds are written to.
const SEEDS: &str = "CHRONOS_FUZZ_SEEDS";
/// Names the file of the account: executions and operations so far, as two numbers.
const ACCOUNT: &str = "CHRONOS_FUZZ_ACCOUNT";

const WRITE_EVERY: Duration = Duration::from_millis(250);

struct Campaign {
    target: &'static Target,
    account: Option<PathBuf>,
    so_far: Mutex<Account>,
}

struct Account {
    executions: u64,
    written_at: Instant,
}

static CAMPAIGN: OnceLock<Campaign> = OnceLock::new();

/// Finds out what to do, and makes the seeds; or lists the targets and ends.
///
/// # Panics
/// When the target does not exist, or its seeds cannot be written: a process that attacks nothing proves nothing.
pub fn begin() {
    let Ok(name) = std::env::var(TARGET) else {
        ALL.iter()
            .for_each(|target| println!("{}\t{}\t{}", target.name, target.input_bytes_max, target.about));
        std::process::exit(0);
    };
    let target = named(&name).unwrap_or_else(|| panic!("{TARGET} is {name:?}, which names no target"));
    if let Some(dir) = std::env::var_os(SEEDS) {
        write_seeds(target, Path::new(&dir))
            .unwrap_or_else(|error| panic!("seeds of {name} are not written: {error}"));
    }
    let account = std::env::var_os(ACCOUNT).map(PathBuf::from);
    let so_far = Mutex::new(Account { executions: 0, written_at: Instant::now() });
    CAMPAIGN.get_or_init(|| Campaign { target, account, so_far });
}

fn write_seeds(target: &Target, dir: &Path) -> io::Result<()> {
    let write = |(n, seed): (usize, Vec<u8>)| std::fs::write(dir.join(format!("{n:03}")), seed);
    seeds::of(target)?.into_iter().enumerate().try_for_each(write)
}

/// Executes one input; whatever panics ends the process.
///
/// # Panics
/// When something does not hold.
pub fn execute(input: &[u8]) {
    let campaign = CAMPAIGN.get().expect("it began");
    campaign.target.execute(input);
    let mut so_far = campaign.so_far.lock();
    so_far.executions += 1;
    if so_far.written_at.elapsed() < WRITE_EVERY {
        return;
    }
    so_far.written_at = Instant::now();
    if let Some(file) = &campaign.account {
        // The next one is written a moment later.
        let _ = std::fs::write(file, format!("{} {}", so_far.executions, operations()));
    }
}
