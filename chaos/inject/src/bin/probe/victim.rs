#![allow(clippy::disallowed_methods, reason = "the victim does to the real machine what a store does")]
//! What faults are tried on: an ordinary Rust program that does one kind of thing and says how it went, a line for each line
//! that it is told.

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chronos_inject::{Clocks, Disk, Ground, IMAGE_BYTES_MIN, Layout, Peer, Wire};

/// Does what the first word says until its input ends.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let ended = match words[..] {
        ["echo"] => answer(|line| line.to_owned()),
        ["clock"] => clock(),
        ["open"] => answer(open),
        ["eat"] => answer(eat),
        ["sync", path] => sync(path),
        ["begin", path] => begin(path),
        ["crash"] => crash(),
        ["lay", under] => lay(under),
        _ => Err(io::Error::other(format!("no victim does {words:?}"))),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("victim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(mut to: impl FnMut(&str) -> String) -> io::Result<()> {
    for line in io::stdin().lines() {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", to(&line?))?;
        stdout.flush()?;
    }
    Ok(())
}

/// The wall clock and a timer, in milliseconds.
fn clock() -> io::Result<()> {
    let begin = Instant::now();
    answer(|_| {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        format!("{wall} {}", begin.elapsed().as_millis())
    })
}

/// Holds so many files open at once.
fn open(count: &str) -> String {
    let files: io::Result<Vec<_>> =
        (0..count.parse().unwrap_or(0)).map(|_| File::open("/dev/null")).collect();
    match files {
        Ok(files) => format!("{} opened", files.len()),
        // The last words are the number of the error.
        Err(error) => format!("os error {}", error.raw_os_error().unwrap_or(0)),
    }
}

/// Uses so many bytes of memory, each page of it.
fn eat(bytes: &str) -> String {
    let mut eaten = vec![0_u8; bytes.parse().unwrap_or(0)];
    eaten.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    std::hint::black_box(&eaten).len().to_string()
}

/// Appends each line to a file and syncs it.
fn sync(path: &str) -> io::Result<()> {
    let mut file = File::options().create(true).append(true).open(path)?;
    answer(|line| match writeln!(file, "{line}").and_then(|()| file.sync_data()) {
        Ok(()) => "synced".into(),
        Err(error) => error.to_string(),
    })
}

/// Leaves a trace of its start, and then works without end.
fn begin(path: &str) -> io::Result<()> {
    File::options().create(true).append(true).open(path)?.write_all(b"x")?;
    loop {
        std::thread::park();
    }
}

/// Lays a ground of everything with a process on it, says its process id, and waits: whoever kills this leaves all of it
/// behind.
fn lay(under: &str) -> io::Result<()> {
    let layout = Layout {
        under: under.into(),
        cache: under.into(),
        nodes: 1,
        wire: Wire::Bridge,
        disk_bytes: Some(IMAGE_BYTES_MIN),
        caged: true,
        clocks: Clocks::True,
        seed: 0,
    };
    let ground = Ground::lay(&layout).map_err(io::Error::other)?;
    let sleeper = ground.site(1).recipe("sleep").arg("600").start().map_err(io::Error::other)?;
    let frozen = ground.site(1).freeze().map_err(io::Error::other)?;
    let stalled = ground.site(1).disk().and_then(Disk::stall).map_err(io::Error::other)?;
    let cut = ground.links().and_then(|links| links.isolate(Peer::Node(1))).map_err(io::Error::other)?;
    answer(|_| sleeper.id().map_or_else(|error| error.to_string(), |id| id.to_string()))?;
    drop((cut, stalled, frozen));
    Ok(())
}

/// Passes the points it is told, and aborts at the pass that `CHRONOS_CRASH_AT=name:n` names.
fn crash() -> io::Result<()> {
    let order = std::env::var("CHRONOS_CRASH_AT").unwrap_or_default();
    let (name, hit) = order.split_once(':').unwrap_or((&order, "0"));
    let mut passes = std::collections::BTreeMap::<String, u32>::new();
    answer(|point| {
        let passed = passes.entry(point.to_owned()).or_default();
        *passed += 1;
        if point == name && passed.to_string() == hit {
            std::process::abort();
        }
        passed.to_string()
    })
}
