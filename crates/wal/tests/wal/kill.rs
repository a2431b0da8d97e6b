//! A real process, a real disk, SIGKILL in the middle of work: what it printed as acknowledged is there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chronos_env::Env;
use chronos_wal::{Config, LogId, Wal, verify};

use crate::harness::*;

const DIR: &str = "CHRONOS_WAL_KILL_DIR";
const KILLS: u64 = 6;

fn config_in(dir: &Path) -> Config {
    Config { logs: 4, lanes: 2, segment_bytes: 256 << 10, ..Config::new(dir.join("wal"), CLUSTER) }
}

/// What the process does that is killed: appends to four logs at once, and prints every acknowledgement.
#[test]
#[ignore = "runs inside the process that the other test kills"]
fn child() {
    let dir = PathBuf::from(std::env::var_os(DIR).expect("the parent says where"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (wal, _) = Wal::open(&Env::real(), config_in(&dir)).unwrap();
        let logs = logs(&wal, 4);
        let mut next: Vec<u64> =
            logs.iter().map(|log| log.state().last.map_or(1, |last| last.index + 1)).collect();
        loop {
            let mut told = Vec::new();
            for (log, next) in logs.iter().zip(&mut next) {
                let (done, answer) = answer();
                log.append(vec![entry(*next, 1, payload(log.id(), *next, 1, 3000))], done);
                told.push((log.id(), *next, answer));
                *next += 1;
                if *next % 40 == 0 {
                    let (done, answer) = crate::harness::answer();
                    log.purge(*next - 20, done);
                    told.push((log.id(), 0, answer));
                }
            }
            for (log, index, answer) in told {
                answer.await.unwrap().unwrap();
                println!("acknowledged {} {index}", log.get());
            }
        }
    });
}

/// Lets the child work until it has printed `lines` acknowledgements, then kills it; returns the last index
/// acknowledged per log.
fn work_and_die(dir: &Path, lines: u64, acknowledged: &mut [u64; 4]) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((log, index)) = line.strip_prefix("acknowledged ").and_then(|rest| rest.split_once(' ')) {
            // The line that the kill tore may end early: a shorter number is smaller, and claims less.
            let (log, index) = (log.parse::<usize>().unwrap(), index.parse().unwrap_or(0));
            acknowledged[log] = acknowledged[log].max(index);
            seen += 1;
        }
        if seen == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= lines, "the child ended by itself after {seen} acknowledgements");
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = [0; 4];
    for kill in 1..=KILLS {
        work_and_die(dir.path(), kill * 137, &mut acknowledged);
        let mut held = [0; 4];
        let report = verify(Env::real().disk.as_ref(), &dir.path().join("wal"), &mut |log, entry, _| {
            assert_eq!(entry.payload, payload(log, entry.index, 1, 3000));
            held[usize::from(log.get())] = entry.index;
        });
        assert_eq!(report.unwrap().damages, []);
        for log in 0..4 {
            let (held, acknowledged) = (held[log], acknowledged[log]);
            assert!(
                held >= acknowledged,
                "{:?} holds {held}, {acknowledged} were acknowledged",
                LogId::new(log as u8)
            );
        }
    }
}
