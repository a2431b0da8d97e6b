//! Every target over its seeds and some thousand mutations of them, the same ones each time.

#![expect(
    clippy::disallowed_methods,
    reason = "it says how long targets take in real time; nothing hangs on it"
)]

use chronos_fuzz_targets::{ALL, Target, executing, mutations, seeds};

/// From which all mutations follow.
const SEED: u64 = 20_261_122;

/// The first input that breaks a target, with the command that repeats it.
fn broken(target: &Target) -> Option<String> {
    let corpus = seeds::of(target).expect("the seeds of this tree are read");
    let mutated = mutations::of(&corpus, target.input_bytes_max, SEED).take(target.tried_by_test);
    corpus.iter().cloned().chain(mutated).find_map(|input| {
        let panic = executing::checked(target, &input).err()?;
        let kept = std::env::temp_dir().join(format!("fuzz-{}-{:08x}", target.name, crc32fast::hash(&input)));
        std::fs::write(&kept, &input).expect("the temporary directory takes a file");
        Some(format!("{0}: {panic}\ncargo fuzz-all --only {0} --replay {1}\n", target.name, kept.display()))
    })
}

/// One after the other: the limit on memory is one of the whole process.
#[test]
fn every_target_withstands_its_seeds_and_their_mutations() {
    let began = std::time::Instant::now();
    let tried = |target: &&Target| {
        eprintln!("{:6.1} s  {}: {}", began.elapsed().as_secs_f32(), target.name, target.about);
        broken(target)
    };
    let broken: Vec<String> = ALL.iter().filter_map(tried).collect();
    assert!(broken.is_empty(), "{}", broken.concat());
}
