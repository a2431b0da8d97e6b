//! Beyond the atlas: bytes of which no good copy is left are refused, and nothing wrong is told.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use chronos_chaos::plan::{Beats, Deed, Episode, Fault, Load, Plan, Victim};
use chronos_chaos::sim;
use chronos_history::answer::{Outcome, Reason};
use chronos_history::line::Body;
use chronos_history::{Invariant, check_lines, read_from};

/// Three times within seconds the same bytes rot on all three nodes, the second time while all of them are down. Most of what
/// is written is in few partitions.
fn plan() -> Plan {
    let mix = [
        (Deed::Append, 4),
        (Deed::AppendMany, 2),
        (Deed::ReadPartition, 3),
        (Deed::ReadEntity, 2),
        (Deed::Get, 2),
    ];
    let load = Load { clients: 4, rate: 6.0, day: Vec::new(), entities: 8, mix: mix.to_vec() };
    let blight = |at_ms, while_down| {
        let fault = Fault::Blight { victim: Victim::All, while_down };
        Episode { at_ms, lasts_ms: 1_000, fault }
    };
    Plan {
        seed: 4,
        nodes: 3,
        seconds: 26,
        beats: Beats { raft_ms: 400, ..Beats::default() },
        beyond_atlas: true,
        load,
        episodes: vec![blight(15_500, false), blight(17_000, true), blight(18_500, false)],
    }
}

#[test]
fn what_no_good_copy_is_left_of_is_refused_and_nothing_wrong_is_told() {
    let history = Memory::default();
    let report = sim::run(&plan(), Box::new(history.clone()), None);
    assert_eq!(report.outcome.failure, None);
    assert!(
        !report.outcome.unserved.is_empty(),
        "everything was mended: of everything there was a good copy"
    );

    let lines = read_from(Path::new("history"), &*history.take()).unwrap();
    let is_refusal = |body: &Body| matches!(body, Body::Outcome { outcome: Outcome::Fail(refusal), .. } if refusal.reason == Reason::Corrupt);
    assert!(lines.iter().any(|line| is_refusal(&line.body)), "nobody was told that something is damaged");

    let judged = check_lines(&lines);
    assert!(judged.is_clean(), "{judged}");
    assert!(judged.without_log > 0, "nothing was ever said of what was refused in the end");
    for promise in [Invariant::S2, Invariant::S3, Invariant::S8] {
        assert!(judged.verdicts[&promise].checked > 0, "{promise} was not put to the test");
    }
}

/// Whatever is written into it, for whoever has a clone.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
