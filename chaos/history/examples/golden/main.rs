//! Writes the golden histories: one clean, and many that break one promise each.
//!
//! A file's name says which invariant is broken and on which line that first shows: `S1-lost-ack@6.jsonl`. The files are
//! kept and judged by a test; this program is how they came to be, and how more are added.

#![expect(clippy::unwrap_used, reason = "a program for developers")]

#[allow(unreachable_pub, reason = "shared with tests")]
#[path = "../../tests/script/mod.rs"]
mod script;

#[allow(unreachable_pub, reason = "shared with tests")]
#[path = "../../tests/model/mod.rs"]
mod model;

mod clean;
mod features;
mod logs;
mod replicas;
mod steps;
mod views;

use model::{Lie, Plan, lying_history};
use script::Script;

/// Which invariant, what breaks it, and a script that does. The script ends by itself and says on which line it shows.
type Bad = (&'static str, &'static str, fn(Script) -> (u64, String));

/// The three lies of a store with several clients at work, on one partition and on eight.
fn lies() -> impl Iterator<Item = (String, String)> {
    let lies = [
        (Lie::LostAck, "S1-lying-store-loses-an-ack"),
        (Lie::StaleRead, "S8-lying-store-reads-stale"),
        (Lie::WrongPosition, "S2-lying-store-misplaces"),
    ];
    let plans = lies.into_iter().flat_map(|lie| [(lie, 1), (lie, 8)]);
    plans.map(|((lie, name), partitions)| {
        let plan = Plan { operations: 80, clients: 5, partitions, lie: Some(lie), ..Plan::default() };
        let mut told = (0..).map(|seed| lying_history(Plan { seed, ..plan }));
        let (text, at) = told.find_map(|(text, at)| Some((text, at?))).unwrap();
        (format!("{name}-{partitions}@{at}"), text)
    })
}

fn main() -> std::io::Result<()> {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for (name, text) in lies() {
        std::fs::write(golden.join(format!("bad/{name}.jsonl")), text)?;
    }
    for (invariant, name, script) in [logs::BAD, views::BAD, replicas::BAD, features::BAD].concat() {
        let (at, text) = script(Script::new());
        std::fs::write(golden.join(format!("bad/{invariant}-{name}@{at}.jsonl")), text)?;
    }
    std::fs::write(golden.join("clean/everything.jsonl"), clean::clean(Script::new()))
}
