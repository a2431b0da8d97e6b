//! Clocks, memory, descriptors, and nodes that are frozen.

use std::time::Duration;

use chronos_inject::{Error, Reading, Site};

use super::{Outcome, Part, STEP, Striker};
use crate::attack::cluster::Seat;

/// What a process may still grow before it is killed.
const SPARE_BYTES: u64 = 1 << 20;
const PAGE_BYTES: u64 = 4096;

impl Striker {
    /// Clocks that are off by so many milliseconds at once, and by so many millionths of what passes.
    pub(super) async fn clock(&self, seats: &[Seat], lasts: Duration, step_ms: i64, ppm: i64) -> Outcome {
        let _turn = self.turn(Part::Clock, seats).await;
        let began = self.now();
        let mut outcome = Ok(());
        while self.now() < began + lasts && outcome.is_ok() {
            let passed_ms = (self.now() - began).as_millis() as i64;
            outcome = self.show(seats, Reading::ahead(step_ms + passed_ms * ppm / 1_000_000));
            self.wait(STEP).await;
        }
        let healed = self.show(seats, Reading::TRUE);
        outcome.and(healed)
    }

    fn show(&self, seats: &[Seat], reading: Reading) -> Outcome {
        let set = |seat: &Seat| self.cluster.site(*seat).clock().set(reading);
        seats.iter().try_for_each(set).map_err(|error| error.to_string())
    }

    /// From now on hardly more memory than the process has.
    pub(super) async fn out_of_memory(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        let _turn = self.turn(Part::Limits, seats).await;
        let pids: Vec<(Seat, Option<u32>)> =
            seats.iter().map(|seat| (*seat, self.cluster.seat(*seat).pid())).collect();
        self.each(seats, lasts, move |site| {
            let pid =
                pids.iter().find(|(seat, _)| *seat == Seat::from(site.number())).and_then(|(_, pid)| *pid);
            site.limit_memory(resident_bytes(site, pid)? + SPARE_BYTES)
        })
        .await
    }

    /// As many descriptors as the process has open now.
    pub(super) async fn few_files(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        let mut limited = Vec::new();
        for seat in seats {
            let limit = |process: &chronos_inject::Process| {
                let open = std::fs::read_dir(format!("/proc/{}/fd", process.id()?));
                let open = open.map_or(0, |entries| entries.count() as u64);
                process.limit_files(open)
            };
            match self.cluster.seat(*seat).with(limit) {
                None => return Err(format!("n{seat} does not run")),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(episode)) => limited.push(episode),
            }
        }
        self.wait(lasts).await;
        limited.into_iter().try_for_each(|episode| episode.heal()).map_err(|error| error.to_string())
    }

    pub(super) async fn freeze(&self, seats: &[Seat], lasts: Duration) -> Outcome {
        let _turn = self.turn(Part::Limits, seats).await;
        self.each(seats, lasts, Site::freeze).await
    }
}

fn resident_bytes(site: &Site, pid: Option<u32>) -> chronos_inject::Result<u64> {
    let pid = pid.ok_or_else(|| Error::Unfit(format!("node {} does not run", site.number())))?;
    let file = format!("/proc/{pid}/statm");
    let text = std::fs::read_to_string(&file);
    let text = text.map_err(|source| Error::Os { what: format!("reading {file}"), source })?;
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.map(|pages| pages * PAGE_BYTES).ok_or_else(|| Error::Unfit(format!("{file} holds {text:?}")))
}
