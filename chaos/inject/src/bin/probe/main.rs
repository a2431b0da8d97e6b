//! `probe`: says which faults this machine can have; `probe --test` brings each about and measures what it does.

use std::path::Path;
use std::process::ExitCode;

use chronos_inject::{Ability, Bench, Fault, Swept, prove, sweep};

mod victim;

const USAGE: &str = "usage: probe [--test] [--in DIRECTORY] [NAME...]

Says for each kind of fault (or only those named) whether this machine can have it, and why not.
  --test            brings each about on a small ground, and measures what it does
  --in DIRECTORY    where grounds are laid; default: the directory for temporary files
Ends with 1 if a fault that can be had does not do what its name says, and with 0 otherwise, also when some cannot be had.";

/// What is proved does not depend on it.
const SEED: u64 = 1;

fn main() -> ExitCode {
    let mut words: Vec<_> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "victim") {
        return victim::run(&words[1..]);
    }
    let test = take(&mut words, "--test");
    let scratch = match words.iter().position(|word| word == "--in") {
        Some(at) if at + 1 < words.len() => words.drain(at..at + 2).nth(1).map(Into::into),
        _ => None,
    };
    let scratch = scratch.unwrap_or_else(std::env::temp_dir);
    match chosen(&words) {
        Some(faults) => report(&faults, test, &scratch),
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn take(words: &mut Vec<String>, flag: &str) -> bool {
    let before = words.len();
    words.retain(|word| word != flag);
    words.len() < before
}

/// The kinds that are named, or all; `None` if a name is none.
fn chosen(names: &[String]) -> Option<Vec<Fault>> {
    if names.is_empty() {
        return Some(Fault::ALL.to_vec());
    }
    names.iter().map(|name| Fault::ALL.iter().copied().find(|fault| fault.name() == name)).collect()
}

fn report(faults: &[Fault], test: bool, scratch: &Path) -> ExitCode {
    let Swept { removed, stuck } = sweep();
    removed.iter().for_each(|thing| println!("swept   {thing}"));
    stuck.iter().for_each(|thing| println!("STUCK   {thing}"));
    let victim = std::env::current_exe().unwrap_or_default();
    let bench = match Bench::set_up(scratch, &victim, SEED) {
        Ok(bench) => bench,
        Err(error) => {
            eprintln!("nothing can be tried: {error}");
            return ExitCode::FAILURE;
        }
    };
    let abilities = bench.abilities();
    let [mut unable, mut wrong] = [0, 0];
    for fault in faults {
        let (word, said) = match abilities.of(*fault) {
            Ability::Unable { why } => ("UNABLE", why.clone()),
            Ability::Able if !test => ("able", String::new()),
            Ability::Able => match prove(*fault, &bench) {
                Ok(measured) => ("proved", measured),
                Err(error) => ("WRONG", error.to_string()),
            },
        };
        unable += u32::from(word == "UNABLE");
        wrong += u32::from(word == "WRONG");
        println!("{}", format!("{word:<7} {:<3} {fault:<15} {said}", fault.row()).trim_end());
    }
    println!(
        "{} kinds of faults: {unable} cannot be injected here, {wrong} did not do what their name says",
        faults.len()
    );
    ExitCode::from(u8::from(wrong > 0))
}
