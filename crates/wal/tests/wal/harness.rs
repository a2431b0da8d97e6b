//! What all tests of the write-ahead log share: small settings, a plain model of a log, and answers to wait for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chronos_env::Env;
use chronos_env::sim::World;
use chronos_wal::{Completion, Config, Entry, Fault, Log, LogId, Mark, Recovery, Verdict, Wal};
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub(crate) const ROOT: &str = "/data/wal";
pub(crate) const CLUSTER: u128 = 0x00c0_ffee_0000_0000_0000_0000_0000_0001;

/// Four logs in segments of 64 KiB, so that a few hundred entries fill several.
pub(crate) fn config(lanes: u8) -> Config {
    Config { logs: 4, lanes, segment_bytes: 64 << 10, ..Config::new(PathBuf::from(ROOT), CLUSTER) }
}

/// A simulated world whose data directory exists durably.
pub(crate) fn world(seed: u64) -> World {
    let world = World::new(seed);
    let env = world.env();
    env.disk.create_dir_all(&PathBuf::from("/data")).unwrap();
    env.disk.sync_dir(&PathBuf::from("/")).unwrap();
    world
}

pub(crate) fn open(env: &Env, lanes: u8) -> (Wal, Recovery) {
    Wal::open(env, config(lanes)).expect("opens")
}

/// A completion and the answer it will give.
pub(crate) fn answer() -> (Completion, oneshot::Receiver<Result<(), Fault>>) {
    let (tell, told) = oneshot::channel();
    (Box::new(move |result| drop(tell.send(result))), told)
}

pub(crate) fn entry(index: u64, term: u64, payload: impl Into<Bytes>) -> Entry {
    Entry { index, term, payload: payload.into() }
}

/// A payload that tells its log and index, `len` bytes long or a little longer.
pub(crate) fn payload(log: LogId, index: u64, term: u64, len: usize) -> Bytes {
    let mut text = format!("log {} index {index} term {term} ", log.get()).into_bytes();
    let wanted = len.max(text.len());
    (0..).map(|byte: u64| (byte ^ index) as u8).take(wanted - text.len()).for_each(|byte| text.push(byte));
    Bytes::from(text)
}

pub(crate) async fn append(log: &Log, entries: Vec<Entry>) -> Result<(), Fault> {
    let (done, told) = answer();
    log.append(entries, done);
    told.await.expect("every operation is answered")
}

pub(crate) async fn vote(log: &Log, vote: impl Into<Bytes>) -> Result<(), Fault> {
    let (done, told) = answer();
    log.save_vote(vote.into(), done);
    told.await.expect("every operation is answered")
}

pub(crate) async fn truncate(log: &Log, after: u64) -> Result<(), Fault> {
    let (done, told) = answer();
    log.truncate(after, done);
    told.await.expect("every operation is answered")
}

pub(crate) async fn purge(log: &Log, up_to: u64) -> Result<(), Fault> {
    let (done, told) = answer();
    log.purge(up_to, done);
    told.await.expect("every operation is answered")
}

pub(crate) async fn reset(log: &Log) -> Result<(), Fault> {
    let (done, told) = answer();
    log.reset(done);
    told.await.expect("every operation is answered")
}

/// Appends `count` entries of `len` bytes, one by one, behind the last.
pub(crate) async fn fill(log: &Log, count: u64, len: usize) {
    for _ in 0..count {
        let index = log.state().last.map_or(1, |last| last.index + 1);
        append(log, vec![entry(index, 1, payload(log.id(), index, 1, len))]).await.expect("appended");
    }
}

/// A log as plain as can be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) entries: BTreeMap<u64, (u64, Bytes)>,
    pub(crate) purged: Option<Mark>,
    pub(crate) vote: Option<Bytes>,
}

/// What is asked of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Append(Vec<Entry>),
    Vote(Bytes),
    Truncate(u64),
    Purge(u64),
    PurgeTo(Mark),
    Reset,
}

impl Model {
    pub(crate) fn last(&self) -> Option<Mark> {
        let back =
            self.entries.last_key_value().map(|(index, (term, _))| Mark { index: *index, term: *term });
        back.or(self.purged)
    }

    pub(crate) fn next(&self) -> u64 {
        self.last().map_or(1, |last| last.index + 1)
    }

    pub(crate) fn apply(&mut self, act: &Act) {
        match act {
            Act::Append(entries) => {
                for entry in entries {
                    assert_eq!(self.next(), entry.index, "the test itself must ask for what makes sense");
                    self.entries.insert(entry.index, (entry.term, entry.payload.clone()));
                }
            }
            Act::Vote(vote) => self.vote = Some(vote.clone()),
            Act::Truncate(after) => self.entries.retain(|index, _| index <= after),
            Act::Purge(up_to) => {
                let term = self.entries.get(up_to).map(|(term, _)| *term);
                if let Some(term) = term {
                    self.apply(&Act::PurgeTo(Mark { index: *up_to, term }));
                }
            }
            Act::Reset => {
                self.entries.clear();
                self.purged = None;
            }
            Act::PurgeTo(mark) => {
                if self.purged.is_none_or(|purged| purged.index < mark.index) {
                    self.entries.retain(|index, _| *index > mark.index);
                    self.purged = Some(*mark);
                }
            }
        }
    }

    /// Compares with a real log, every entry through a read.
    pub(crate) fn check(&self, log: &Log) {
        let state = log.state();
        let expected = (self.last(), self.purged, self.vote.clone());
        assert_eq!((state.last, state.purged, state.vote), expected, "state of {}", log.id());
        assert_eq!(entries_of(log), self.entries, "entries of {}", log.id());
    }

    /// The same while operations are queued: a vote is seen only when it is durable.
    pub(crate) fn check_unless_vote(&self, log: &Log) {
        let state = log.state();
        assert_eq!((state.last, state.purged), (self.last(), self.purged), "state of {}", log.id());
        assert_eq!(entries_of(log), self.entries, "entries of {}", log.id());
    }
}

/// Everything a log holds, read in pages.
pub(crate) fn entries_of(log: &Log) -> BTreeMap<u64, (u64, Bytes)> {
    let state = log.state();
    let mut held = BTreeMap::new();
    let Some(last) = state.last else { return held };
    let mut at = state.purged.map_or_else(|| first_index(log), |mark| mark.index + 1);
    while at <= last.index {
        for entry in
            log.read(at, 3000).unwrap_or_else(|error| panic!("reading {at} of {}: {error}", log.id()))
        {
            assert_eq!(entry.index, at, "reads are consecutive");
            held.insert(entry.index, (entry.term, entry.payload));
            at += 1;
        }
    }
    held
}

fn first_index(log: &Log) -> u64 {
    match log.read_one(u64::MAX) {
        Err(chronos_wal::ReadError::NotHere { first, .. }) => first.unwrap_or(1),
        other => panic!("an absent entry was answered with {other:?}"),
    }
}

pub(crate) fn submit(log: &Log, act: &Act, done: Completion) {
    match act.clone() {
        Act::Append(entries) => log.append(entries, done),
        Act::Vote(vote) => log.save_vote(vote, done),
        Act::Truncate(after) => log.truncate(after, done),
        Act::Purge(up_to) => log.purge(up_to, done),
        Act::PurgeTo(mark) => log.purge_to(mark, done),
        Act::Reset => log.reset(done),
    }
}

/// Which operation was answered, and how.
pub(crate) type Answer = (usize, Result<(), Fault>);

/// Collects answers in the order they were given.
#[derive(Clone, Default)]
pub(crate) struct Answers(Arc<Mutex<Vec<Answer>>>);

impl Answers {
    pub(crate) fn completion(&self, number: usize) -> Completion {
        let answers = self.clone();
        Box::new(move |result| answers.0.lock().push((number, result)))
    }

    pub(crate) fn taken(&self) -> Vec<Answer> {
        self.0.lock().clone()
    }
}

pub(crate) fn logs(wal: &Wal, count: u8) -> Vec<Log> {
    (0..count).map(|log| wal.log(LogId::new(log))).collect()
}

pub(crate) fn is_corrupt(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Corrupt(_))
}
