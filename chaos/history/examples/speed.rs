//! How fast a history is written, read and judged.
//!
//! `cargo run --release -p chronos-history --example speed -- 1000000 32 3 20000`: operations, partitions, runs, and
//! operations of a history that the referees judge, too. Prints one line for each run; a number is worth quoting only
//! from a quiet machine, with the spread of the runs beside it.

#![expect(clippy::disallowed_methods, reason = "measuring time is what this program is for")]

use std::path::Path;
use std::time::Instant;

use chronos_history::referee::{linearizable, serializable};
use chronos_history::{check_lines, read_from};

#[allow(unreachable_pub, reason = "shared with tests")]
#[path = "../tests/model/mod.rs"]
mod model;

use model::{Plan, write};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let operations: u64 = arguments.next().unwrap_or(200_000);
    let partitions = arguments.next().unwrap_or(32) as u32;
    let runs = arguments.next().unwrap_or(3);
    let of_referees = arguments.next().unwrap_or(2_000);
    let plan = Plan { seed: 1, operations, partitions, clients: 64, ..Plan::default() };
    judged_by_us(plan, runs);
    judged_by_referees(Plan { operations: of_referees, for_referees: true, ..plan });
}

fn judged_by_us(plan: Plan, runs: u64) {
    let (text, _) = write(plan, Vec::new());
    for _ in 0..runs {
        let begin = Instant::now();
        let lines = read_from(Path::new("memory"), text.as_slice()).expect("it was written just now");
        let read = begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        let report = check_lines(&lines);
        let check = begin.elapsed().as_secs_f64();
        assert!(report.is_clean(), "{report}");
        let checks: u64 = report.verdicts.values().map(|verdict| verdict.checked).sum();
        println!(
            "{} operations, {} lines, {} MB: read {read:.3} s ({:.2} M operations/s), judged {check:.3} s ({:.2} M \
             operations/s), {checks} checks",
            report.operations,
            report.lines,
            text.len() / 1_000_000,
            report.operations as f64 / read / 1e6,
            report.operations as f64 / check / 1e6,
        );
    }
}

fn judged_by_referees(plan: Plan) {
    let (text, _) = write(plan, Vec::new());
    let lines = read_from(Path::new("memory"), text.as_slice()).expect("it was written just now");
    let begin = Instant::now();
    let search = linearizable(&lines);
    let wgl = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let elle = serializable(&lines);
    let adya = begin.elapsed().as_secs_f64();
    println!("{} operations: todc-utils {wgl:.2} s, {search:?}; adya {adya:.2} s, {elle:?}", plan.operations);
}
