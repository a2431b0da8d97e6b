//! A simulated cluster that is attacked in rounds, as a real one is in a soak.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use chronos_env::sim::World;
use chronos_history::fact::Fact;
use chronos_history::line::Body;
use chronos_history::{Line, RangeHash, Word, check_lines, read_from};
use parking_lot::Mutex;

use super::cluster::SimCluster;
use crate::attack::cluster::Cluster;
use crate::attack::{Caretaker, Ending, Window, attack, begin, conclude, header, recheck};
use crate::plan::{Episode, Fault, Plan, Victim};
use crate::workload::{Origin, Recorder};

/// A file in memory. Clones are the same one.
#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl File {
    fn lines(&self) -> Vec<Line> {
        read_from(Path::new("round"), &self.0.lock()[..]).unwrap()
    }
}

/// Some seconds of load in which somebody dies.
fn plan(seed: u64) -> Plan {
    let fault = Fault::Kill { victim: Victim::Leader(3) };
    let episodes = vec![Episode { at_ms: 4000, lasts_ms: 1000, fault }];
    Plan { seconds: 12, episodes, ..Plan::named("mixed", seed, 3, 0).unwrap() }
}

/// Where a round ended, as its final logs say.
fn window(origin: &Origin, lines: &[Line]) -> Window {
    let mut ends: BTreeMap<u8, (u64, RangeHash)> = BTreeMap::new();
    for line in lines {
        let Body::Fact(Fact::Log(chunk)) = &line.body else { continue };
        let part = u8::try_from(chunk.part.0).unwrap();
        if chunk.first.0 == 1 {
            ends.insert(part, (origin.heads.get(&part).copied().unwrap_or(0), RangeHash::EMPTY));
        }
        let end = ends.get_mut(&part).unwrap();
        for event in &chunk.events {
            end.0 += 1;
            end.1.push(Word::new(event.id, event.entity, event.version, event.tenant, event.hash));
        }
    }
    let ends = ends.into_iter().map(|(part, (last, hash))| (part, (last, hash.get()))).collect();
    Window { origin: origin.clone(), ends }
}

fn after(window: &Window) -> Origin {
    let heads = window.ends.iter().map(|(part, (last, _))| (*part, *last)).collect();
    Origin { round: window.origin.round + 1, heads }
}

async fn round(cluster: &SimCluster, origin: &Origin, ending: Ending) -> (Window, Vec<Line>) {
    let (file, plan) = (File::default(), plan(7 + u64::from(origin.round)));
    let clock = cluster.env().clock.clone();
    let recorder =
        Recorder::new(clock, origin.clone(), Box::new(file.clone()), header(&plan, "sim")).unwrap();
    let outcome = attack(&plan, cluster, &recorder, ending).await;
    assert_eq!(outcome.failure, None, "round {}", origin.round);
    let lines = file.lines();
    (window(origin, &lines), lines)
}

#[test]
fn every_round_of_a_cluster_that_lives_on_is_a_history_of_its_own() {
    let world = World::new(7);
    world.run(async {
        let cluster = SimCluster::new(&world, &plan(7));
        let mut windows = Vec::new();
        let mut origin = Origin::default();
        for ending in [Ending::Warm, Ending::Cold, Ending::Warm] {
            let (window, lines) = round(&cluster, &origin, ending).await;
            let report = check_lines(&lines);
            assert!(report.is_clean(), "round {}: {report}", origin.round);
            assert!(report.operations > 100, "{report}");
            origin = after(&window);
            windows.push(window);
        }
        let stored: u64 = windows[2].ends.values().map(|(last, _)| last).sum();
        assert_eq!(recheck(&cluster, &windows).await, Ok(3 * stored), "three replicas");

        // What was stored in the round before is not what it says it was.
        windows[1].ends.get_mut(&5).unwrap().1.0 ^= 1;
        let found = recheck(&cluster, &windows).await.unwrap_err();
        assert!(found.contains("(round 1) are not what they were"), "{found}");
    });
}

#[test]
fn what_an_earlier_round_wrote_is_an_event_that_nobody_sent() {
    let world = World::new(8);
    world.run(async {
        let cluster = SimCluster::new(&world, &plan(7));
        let (window, _) = round(&cluster, &Origin::default(), Ending::Warm).await;
        // A round that believes that less was there than was.
        let mut origin = after(&window);
        *origin.heads.get_mut(&5).unwrap() -= 1;
        let (_, lines) = round(&cluster, &origin, Ending::Warm).await;
        let report = check_lines(&lines);
        assert!(!report.is_clean(), "{report}");
    });
}

#[test]
fn a_round_that_was_cut_off_can_be_concluded_later() {
    let world = World::new(9);
    world.run(async {
        let cluster = SimCluster::new(&world, &plan(7));
        begin(&cluster).await.unwrap();
        let file = File::default();
        let origin = Origin { round: 3, ..Origin::default() };
        let clock = cluster.env().clock.clone();
        let made = Recorder::new(clock, origin, Box::new(file.clone()), header(&plan(9), "sim")).unwrap();
        conclude(&cluster, &made, &Caretaker::default()).await.unwrap();
        let report = check_lines(&file.lines());
        assert!(report.is_clean(), "{report}");
    });
}
