//! Proofs of faults of processes.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::talk::Talk;
use super::{Bench, effect};
use crate::error::Result;
use crate::ground::{Ground, Layout, Wire};
use crate::recipe::Recipe;
use crate::site::crash_at;

const SIGKILL: i32 = 9;

pub(super) fn kill(bench: &Bench) -> Result<String> {
    let ground = bench.wired(1, Wire::Loopback)?;
    let mut talk = talk(&ground, bench, &["echo"])?;
    effect(talk.ask("there?")? == "there?", || "the victim does not answer before it is killed".into())?;
    let id = talk.process.id()?;
    let begin = Instant::now();
    talk.process.kill()?;
    let took = begin.elapsed();
    effect(!Path::new(&format!("/proc/{id}")).exists(), || format!("process {id} is still there"))?;
    Ok(format!("gone {} µs after the signal", took.as_micros()))
}

pub(super) fn crash_point(bench: &Bench) -> Result<String> {
    let ground = bench.wired(1, Wire::Loopback)?;
    let (name, value) = crash_at("self-test", 3);
    let mut talk = Talk::with(victim(&ground, bench, &["crash"]).env(name, value))?;
    let passes = [talk.ask("self-test")?, talk.ask("other")?, talk.ask("self-test")?];
    effect(passes == ["1", "1", "2"], || format!("passes were counted as {passes:?}"))?;
    talk.say("self-test")?;
    let status = talk.end()?;
    effect(status.signal().is_some(), || format!("it ended with {status}"))?;
    Ok(format!("ended itself at the 3rd pass: {status}"))
}

pub(super) fn pause(bench: &Bench) -> Result<String> {
    let ground = bench.wired(1, Wire::Loopback)?;
    let mut talk = talk(&ground, bench, &["echo"])?;
    talk.ask("before")?;
    talk.process.pause()?;
    talk.say("during")?;
    effect(talk.is_silent(), || "a paused victim answered".into())?;
    talk.process.resume()?;
    effect(talk.hear()? == "during", || "a resumed victim did not go on where it was".into())?;
    Ok("silent while paused, answered when resumed".into())
}

pub(super) fn freeze(bench: &Bench) -> Result<String> {
    let ground = Ground::lay(&Layout { caged: true, ..bench.layout(1, Wire::Loopback) })?;
    let mut talk = talk(&ground, bench, &["echo"])?;
    talk.ask("before")?;
    let frozen = ground.site(1).freeze()?;
    talk.say("during")?;
    effect(talk.is_silent(), || "a frozen victim answered".into())?;
    frozen.heal()?;
    effect(talk.hear()? == "during", || "a thawed victim did not go on where it was".into())?;
    Ok("silent while frozen, answered when thawed".into())
}

pub(super) fn memory_limit(bench: &Bench) -> Result<String> {
    const LIMIT: u64 = 32 << 20;
    const WANTED: &str = "134217728";
    let ground = Ground::lay(&Layout { caged: true, ..bench.layout(1, Wire::Loopback) })?;
    let limited = ground.site(1).limit_memory(LIMIT)?;
    let mut greedy = talk(&ground, bench, &["eat"])?;
    greedy.say(WANTED)?;
    let status = greedy.end()?;
    effect(status.signal() == Some(SIGKILL), || format!("it ended with {status}"))?;
    limited.heal()?;
    let mut free = talk(&ground, bench, &["eat"])?;
    effect(free.ask(WANTED)? == WANTED, || "it cannot eat after the limit is gone".into())?;
    Ok(format!("{WANTED} bytes with a limit of {LIMIT}: {status}; without: eaten"))
}

pub(super) fn restart_loop(bench: &Bench) -> Result<String> {
    const TIMES: u32 = 20;
    let ground = bench.wired(1, Wire::Loopback)?;
    let starts = ground.directory().join("starts");
    let mut process = victim(&ground, bench, &["begin", &starts.to_string_lossy()]).start()?;
    let own_ends = process.crash_loop(TIMES, Duration::from_millis(50))?;
    // The start that made the process is one more; one that was killed early may have left no trace.
    let begun = std::fs::metadata(&starts).map_or(0, |found| found.len());
    effect(begun > 1 && begun <= u64::from(TIMES) + 1, || format!("{begun} starts left a trace"))?;
    effect(own_ends == 0, || format!("{own_ends} ended by themselves"))?;
    Ok(format!("{TIMES} starts, each killed after 50 ms; {} of them had begun their work", begun - 1))
}

pub(super) fn file_limit(bench: &Bench) -> Result<String> {
    let ground = bench.wired(1, Wire::Loopback)?;
    let mut talk = talk(&ground, bench, &["open"])?;
    let limited = talk.process.limit_files(20)?;
    let refused = talk.ask("100")?;
    effect(refused.ends_with("os error 24"), || format!("under the limit: {refused}"))?;
    limited.heal()?;
    let opened = talk.ask("100")?;
    effect(opened == "100 opened", || format!("after the limit: {opened}"))?;
    Ok(format!("100 files with a limit of 20: {refused}; without: {opened}"))
}

/// A conversation with a victim on node 1 that does what `verb` says.
pub(super) fn talk(ground: &Ground, bench: &Bench, verb: &[&str]) -> Result<Talk> {
    Talk::with(victim(ground, bench, verb))
}

fn victim(ground: &Ground, bench: &Bench, verb: &[&str]) -> Recipe {
    ground.site(1).recipe(&bench.victim).arg("victim").args(verb)
}
