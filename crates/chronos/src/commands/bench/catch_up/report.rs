//! What catching up took, and cost.

use serde::Serialize;

use super::load::PAYLOAD;
use crate::bench::report::Latencies;
use crate::failure::Outcome;
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

/// So much of the load's pace may be lost while a follower catches up.
const SLOWED_MAX_PERCENT: f64 = 20.0;

/// What came over the network, in all lives of the follower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Fetched {
    /// Bytes of files that arrived.
    bytes_fetched: u64,
    /// Bytes of the parts that were taken over and had not been there: each counts once.
    bytes_needed: u64,
    parts: u64,
    manifests: u64,
}

impl Fetched {
    pub(super) fn add(&mut self, received: u64, manifests: u64, parts: u64, needed: u64) {
        self.bytes_fetched += received;
        self.manifests += manifests;
        self.parts += parts;
        self.bytes_needed += needed;
    }

    fn ratio(&self) -> f64 {
        self.bytes_fetched as f64 / self.bytes_needed.max(1) as f64
    }
}

/// The load in one phase.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Measured {
    appends_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Measured {
    pub(super) fn of(per_second: f64, latencies: &Latencies) -> Self {
        let ms = |quantile| latencies.at(quantile).as_secs_f64() * 1000.0;
        Self { appends_per_second: per_second, p50_ms: ms(0.5), p99_ms: ms(0.99), max_ms: ms(1.0) }
    }
}

/// What was measured, and under which conditions.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) cores: usize,
    pub(super) release: String,
    /// Events that the follower was behind when it came back.
    pub(super) behind: u64,
    pub(super) caught_up_seconds: f64,
    pub(super) kills: u32,
    pub(super) kills_wanted: u32,
    #[serde(flatten)]
    pub(super) fetched: Fetched,
    pub(super) all_there: Option<Measured>,
    pub(super) one_away: Option<Measured>,
    pub(super) catching_up: Option<Measured>,
    pub(super) afterwards: Option<Measured>,
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) gaps: u64,
    pub(super) digests_compared: usize,
    pub(super) digests_different: usize,
}

impl Report {
    /// By how many percent the load was slower while the follower caught up than with all nodes there: by throughput, and
    /// by the median of its latencies.
    fn slowed_percent(&self) -> Option<(f64, f64)> {
        let (before, during) = (self.all_there?, self.catching_up?);
        let lost = |share: f64| (1.0 - share) * 100.0;
        let throughput = lost(during.appends_per_second / before.appends_per_second);
        Some((throughput, lost(before.p50_ms / during.p50_ms)))
    }

    /// Whether it caught up by parts, through all kills, with the same as the others, and did not slow them too much.
    pub(super) fn is_clean(&self) -> bool {
        let counts = [self.lost, self.duplicates, self.gaps, self.digests_different as u64];
        let is_bearable =
            |slowed: (f64, f64)| slowed.0 <= SLOWED_MAX_PERCENT && slowed.1 <= SLOWED_MAX_PERCENT;
        counts == [0; 4]
            && self.kills == self.kills_wanted
            && self.fetched.manifests > 0
            && self.slowed_percent().is_some_and(is_bearable)
    }

    pub(super) fn print(&self, format: Format) -> Outcome {
        let mut out = Out::new(format);
        match format {
            Format::Json => out.object(self)?,
            Format::Table => {
                out.table(&self.conditions())?;
                out.line("")?;
                out.table(&self.load())?;
                out.line(self.verdict())?;
            }
        }
        out.finish()
    }

    fn conditions(&self) -> Table {
        let mut table = Table::new(&[("CATCH-UP", Align::Left), ("", Align::Right)]);
        let Fetched { bytes_fetched, bytes_needed, parts, manifests } = self.fetched;
        let rows = [
            ("nodes", format!("3 on this machine, {} cores", self.cores)),
            ("release", self.release.clone()),
            ("events behind", grouped(self.behind)),
            ("level again after", format!("{:.1} s", self.caught_up_seconds)),
            ("killed meanwhile", format!("{} of {} times", self.kills, self.kills_wanted)),
            ("manifests taken over", format!("{} with {} new parts", grouped(manifests), grouped(parts))),
            ("bytes of these parts", grouped(bytes_needed)),
            ("bytes fetched, in all lives", grouped(bytes_fetched)),
            ("fetched / needed", format!("{:.3}", self.fetched.ratio())),
            ("lost, duplicates, gaps", format!("{}, {}, {}", self.lost, self.duplicates, self.gaps)),
            ("digests that differ", format!("{} of {}", self.digests_different, self.digests_compared)),
        ];
        rows.into_iter().for_each(|(name, value)| table.row([name.to_owned(), value]));
        table
    }

    fn load(&self) -> Table {
        let columns = [
            ("LOAD", Align::Left),
            ("APPENDS/S", Align::Right),
            ("P50 MS", Align::Right),
            ("P99 MS", Align::Right),
            ("MAX MS", Align::Right),
        ];
        let mut table = Table::new(&columns);
        let phases = [
            ("all nodes there", self.all_there),
            ("one away", self.one_away),
            ("it catches up", self.catching_up),
            ("afterwards", self.afterwards),
        ];
        for (name, measured) in phases {
            let cells = measured.map_or_else(Default::default, |of| {
                [of.appends_per_second, of.p50_ms, of.p99_ms, of.max_ms].map(|figure| format!("{figure:.1}"))
            });
            table.row([name.to_owned()].into_iter().chain(cells));
        }
        table
    }

    fn verdict(&self) -> String {
        let Some((throughput, latency)) = self.slowed_percent() else {
            return "nothing was measured".to_owned();
        };
        let verdict = if self.is_clean() { "every promise was kept" } else { "NOT EVERY PROMISE WAS KEPT" };
        format!(
            "while it caught up, the load (1 event of {PAYLOAD} bytes an append) was slower by {throughput:.1} % in \
             throughput and {latency:.1} % in its median latency: {verdict}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_that_slows_the_leaders_or_fetches_nothing_breaks_a_promise() {
        let measured = |rate: f64, p50_ms: f64| {
            Some(Measured { appends_per_second: rate, p50_ms, p99_ms: 9.0, max_ms: 9.0 })
        };
        let fetched = Fetched { bytes_fetched: 110, bytes_needed: 100, parts: 3, manifests: 2 };
        let report = |during, fetched, kills| Report {
            cores: 2,
            release: String::new(),
            behind: 1000,
            caught_up_seconds: 1.0,
            kills,
            kills_wanted: 5,
            fetched,
            all_there: measured(100.0, 4.0),
            one_away: measured(100.0, 3.0),
            catching_up: during,
            afterwards: None,
            lost: 0,
            duplicates: 0,
            gaps: 0,
            digests_compared: 96,
            digests_different: 0,
        };
        assert!(report(measured(90.0, 4.8), fetched, 5).is_clean());
        assert!(!report(measured(79.0, 4.0), fetched, 5).is_clean(), "throughput");
        assert!(!report(measured(100.0, 5.1), fetched, 5).is_clean(), "latency");
        assert!(!report(measured(100.0, 4.0), fetched, 4).is_clean(), "a kill is missing");
        assert!(!report(measured(100.0, 4.0), Fetched::default(), 5).is_clean(), "entries, not parts");
        assert!((fetched.ratio() - 1.1).abs() < 1e-9);
    }
}
