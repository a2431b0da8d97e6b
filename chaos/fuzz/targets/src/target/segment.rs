//! A whole write-ahead log that was harmed: what it serves is what was written, and what it calls whole is complete.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chronos_env::sim::{SimDisk, World};
use chronos_env::{Entropy, Env};
use chronos_wal::{Completion, Config, Entry, Fault, Log, LogId, Mark, Recovery, Verdict, Wal};
use tokio::sync::oneshot;

use super::Target;
use crate::harm::{self, Harm};
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    input_bytes_max: 1024,
    memory_bytes_max: 16 << 20,
    tried_by_test: 600,
    ..Target::new(
        "segment",
        "a log that was harmed serves what was written, and is whole where it says so",
        run,
        seeds,
    )
};

const ROOT: &str = "/data/wal";
const LOGS: u8 = 4;
const LANES: u8 = 2;
const OPERATIONS: u64 = 120;
/// Longer than a lane waits for work before it syncs what says how far it has come.
const REST: Duration = Duration::from_secs(2);

fn config() -> Config {
    let config = Config::new(PathBuf::from(ROOT), 0xc0ffee);
    Config { logs: LOGS, lanes: LANES, segment_bytes: 64 << 10, exists: true, ..config }
}

/// What a log holds, and all that it ever held.
#[derive(Clone, Default)]
struct Model {
    entries: BTreeMap<u64, (u64, Bytes)>,
    ever: BTreeMap<(u64, u64), Bytes>,
    purged: Option<Mark>,
    vote: Option<Bytes>,
}

/// What became of the node that wrote a log, when all had been acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It was closed in order.
    Closed,
    /// The power was cut when it had rested: what says how far it had come is on disk.
    Rested,
    /// The power was cut at once: what says how far it had come lags behind. Whatever harms the end of the log in this
    /// state is a second fault, and may pass for what was never acknowledged.
    Busy,
}

struct Scene {
    ending: Ending,
    disk: SimDisk,
    models: Vec<Model>,
}

fn scenes() -> &'static [Scene; 3] {
    static SCENES: OnceLock<[Scene; 3]> = OnceLock::new();
    SCENES.get_or_init(|| [Ending::Closed, Ending::Rested, Ending::Busy].map(scene))
}

fn scene(ending: Ending) -> Scene {
    let world = World::new(1);
    let models = world.run(async {
        let env = world.env();
        env.disk.create_dir_all(Path::new("/data")).expect("a new disk");
        env.disk.sync_dir(Path::new("/")).expect("a new disk");
        let config = Config { exists: false, ..config() };
        let (wal, _) = Wal::open(&env, config).expect("a new disk takes a new log");
        let models = write(&wal, &env.entropy.child("work")).await;
        if ending == Ending::Rested {
            env.clock.sleep(REST).await;
        }
        match ending {
            Ending::Closed => wal.close().await,
            Ending::Rested | Ending::Busy => std::mem::forget(wal),
        }
        models
    });
    // A copy has what is durable, and nothing else.
    Scene { ending, disk: world.disk().fork(1), models }
}

async fn write(wal: &Wal, dice: &Entropy) -> Vec<Model> {
    let mut models = vec![Model::default(); usize::from(LOGS)];
    for nth in 0..OPERATIONS {
        let id = LogId::new(dice.below(LOGS.into()) as u8);
        let (log, model) = (wal.log(id), &mut models[usize::from(id.get())]);
        let last = model.entries.last_key_value().map(|(index, _)| *index);
        let told = match (dice.below(16), last) {
            (0, _) => {
                let vote = Bytes::from(format!("vote {nth}"));
                model.vote = Some(vote.clone());
                ask(|done| log.save_vote(vote, done))
            }
            (1, Some(last)) => {
                let after = last.saturating_sub(2).max(model.purged.map_or(0, |mark| mark.index));
                model.entries.retain(|index, _| *index <= after);
                ask(|done| log.truncate(after, done))
            }
            (2, Some(last)) if model.entries.contains_key(&last.saturating_sub(9)) => {
                let (index, term) = (last - 9, model.entries[&(last - 9)].0);
                model.entries.retain(|at, _| *at > index);
                model.purged = Some(Mark { index, term });
                ask(|done| log.purge(index, done))
            }
            _ => {
                let index = last.max(model.purged.map(|mark| mark.index)).unwrap_or(0) + 1;
                let text = format!("log {} index {index} term {nth} ", id.get());
                let payload = Bytes::from(text.repeat(1 + dice.below(60) as usize));
                model.entries.insert(index, (nth, payload.clone()));
                model.ever.insert((index, nth), payload.clone());
                ask(|done| log.append(vec![Entry { index, term: nth, payload }], done))
            }
        };
        told.await.expect("every operation is answered").expect("a sound disk");
    }
    models
}

fn ask(operation: impl FnOnce(Completion)) -> oneshot::Receiver<Result<(), Fault>> {
    let (tell, told) = oneshot::channel();
    operation(Box::new(move |result| drop(tell.send(result))));
    told
}

/// An input is a scene, how often it is harmed, and how.
fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let scene = input.choose(scenes());
    let disk = scene.disk.fork(1);
    let files = disk.files();
    let harms: Vec<Harm> = (0..=input.below(4)).map(|_| harm::inflict(&disk, &files, &mut input)).collect();
    let is_sound = harms.iter().all(|harm| *harm == Harm::None);
    // One harm is always noticed; several may pass for another history.
    let is_one = is_sound
        || scene.ending != Ending::Busy
            && harms.iter().filter(|harm| **harm != Harm::None).count() == 1
            && harms.iter().all(|harm| matches!(harm, Harm::None | Harm::Rot));
    let (goes_on, verifies) = (input.one_in(4), input.one_in(4));
    let foreseen = verifies.then(|| chronos_wal::verify(&disk, Path::new(ROOT), &mut |_, _, _| {}));
    let world = World::new(1);
    let env = Env { disk: Arc::new(disk), ..world.env() };
    world.run(async {
        let opened = Wal::open(&env, config());
        let (wal, recovery) = match opened {
            Ok(opened) => opened,
            Err(error) => return assert!(!is_one, "one harm shut the whole log: {error}"),
        };
        let foreseen = foreseen.and_then(Result::ok).map(|report| report.logs);
        for (log, seen) in recovery.logs.iter().zip(foreseen.iter().flatten()) {
            assert_eq!(log.verdict, seen.verdict, "verifying and opening disagree about {}", log.log);
        }
        for (id, model) in (0..LOGS).map(LogId::new).zip(&scene.models) {
            check(&wal.log(id), &recovery, model, (is_one, is_sound));
        }
        if goes_on && is_one {
            go_on(&env, wal, &recovery, &scene.models).await;
        }
    });
}

fn is_whole(recovery: &Recovery, id: LogId) -> bool {
    !matches!(recovery.logs[usize::from(id.get())].verdict, Verdict::Corrupt(_))
}

/// A log that is called whole holds what it must; one that is not gives nothing.
fn check(log: &Log, recovery: &Recovery, model: &Model, (is_one, is_sound): (bool, bool)) {
    if !is_whole(recovery, log.id()) {
        assert!(!is_sound, "a sound log is called corrupt");
        assert!(log.read(1, 100).is_err(), "a corrupt log was read");
        return;
    }
    let read = entries_of(log);
    if is_one {
        let all = |entries: &BTreeMap<u64, _>| entries.keys().copied().collect::<Vec<_>>();
        assert_eq!(all(&read), all(&model.entries), "indexes of log {}", log.id());
        assert!(read == model.entries, "log {} has other entries", log.id());
        let state = log.state();
        assert_eq!(
            (state.purged, state.vote),
            (model.purged, model.vote.clone()),
            "state of log {}",
            log.id()
        );
    }
    let mut last = None;
    for (index, (term, payload)) in read {
        assert!(last.is_none_or(|last| last + 1 == index), "{} has a gap before {index}", log.id());
        last = Some(index);
        assert_eq!(
            model.ever.get(&(index, term)),
            Some(&payload),
            "entry {index} of {} was never written",
            log.id()
        );
    }
}

/// Everything a log gives, page by page.
fn entries_of(log: &Log) -> BTreeMap<u64, (u64, Bytes)> {
    let state = log.state();
    let mut held = BTreeMap::new();
    let (Some(last), mut at) = (state.last, state.purged.map_or(1, |mark| mark.index + 1)) else {
        return held;
    };
    while at <= last.index {
        // What is harmed where recovery does not look is found when it is read.
        let Ok(page) = log.read(at, 8000) else { break };
        for entry in page {
            assert_eq!(entry.index, at, "reads are consecutive");
            held.insert(at, (entry.term, entry.payload));
            at += 1;
        }
    }
    held
}

/// The whole logs are written on, and hold it all after another start.
async fn go_on(env: &Env, wal: Wal, recovery: &Recovery, models: &[Model]) {
    let mut models = models.to_vec();
    for (id, model) in (0..LOGS).map(LogId::new).zip(&mut models).filter(|(id, _)| is_whole(recovery, *id)) {
        let log = wal.log(id);
        let (index, payload) = (log.state().last.map_or(1, |last| last.index + 1), Bytes::from_static(b"on"));
        model.entries.insert(index, (999, payload.clone()));
        model.ever.insert((index, 999), payload.clone());
        let told = ask(|done| log.append(vec![Entry { index, term: 999, payload }], done));
        told.await.expect("every operation is answered").expect("a whole log takes entries");
    }
    wal.close().await;
    let (wal, again) = Wal::open(env, config()).expect("what was opened is opened again");
    for (id, model) in (0..LOGS).map(LogId::new).zip(&models) {
        assert_eq!(is_whole(&again, id), is_whole(recovery, id), "a restart changed what {id} is called");
        check(&wal.log(id), &again, model, (true, false));
    }
    wal.close().await;
}

fn seeds() -> Vec<Vec<u8>> {
    let one =
        |kind: u8, file: u8, at: u32| joined(&[&[0, 0, kind, file], at.to_le_bytes().as_slice(), &[3, 3, 3]]);
    let mut seeds: Vec<Vec<u8>> =
        (0..8).flat_map(|kind| (0..6).map(move |file| one(kind, file, 700))).collect();
    seeds.push(vec![1; 60]);
    seeds
}
