//! What every change has to stand: sixty seeds of a swarm, as `cargo chaos sim --profile swarm --seeds 1..61` runs them.

use chronos_chaos::campaign::{self, Campaign, Origin};
use chronos_chaos::trial::{Ask, Runner};
use chronos_chaos::{Profile, Seeds};

const SEEDS: &str = "1..61";
const MINUTES: u64 = 5;

#[test]
fn sixty_seeds_of_five_minutes_break_no_promise() {
    let dir = tempfile::tempdir().expect("there is room for a directory");
    let campaign = Campaign {
        commit: campaign::commit(),
        profile: Profile::Swarm,
        minutes: MINUTES,
        seeds: SEEDS.parse::<Seeds>().expect("these are seeds"),
        // These have a test of their own.
        kept: Vec::new(),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        // What failed leaves its plan and its history.
        dir: dir.keep(),
        leave_all: false,
        results: None,
        ask: Ask::default(),
    };
    let runner = Runner::new(env!("CARGO_BIN_EXE_chronos-chaos"));
    let results = campaign::run(&campaign, &runner, &mut |run| {
        if let Origin::Seed(seed) = run.origin {
            eprintln!("seed {seed}: {}", run.record);
        }
    });
    let results = results.expect("every seed can be run");
    assert!(results.is_clean(), "{:#?}\nleft in {}", results.failures, campaign.dir.display());
    let totals = &results.totals;
    assert_eq!((totals.runs, totals.clean), (60, 60));
    assert_eq!((totals.lost, totals.duplicates, totals.gaps, totals.unjudged), (0, 0, 0, 0));
    assert!(totals.faults.len() >= 40 && totals.acked > 10_000, "{totals:?}");
}
