//! How a soak goes, for who looks on: a picture that is drawn anew on a terminal, one line for each sample otherwise.

use std::fmt::Write as _;
use std::io::Write;

use crate::ledger::{Ledger, Round};
use crate::sample::Sample;
use crate::settings::Settings;

/// Ends a style.
const PLAIN: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
/// Bars from nothing to everything.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Samples whose bars are shown.
const BARS_SHOWN: usize = 60;

/// What is known besides the last sample.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Seconds under load that were judged, and those that are wanted.
    pub done: (f64, u64),
    /// What goes on between rounds, in a word.
    pub phase: String,
    /// Events lost, there twice, and missing so far.
    pub broken: (u64, u64, u64),
    /// Rounds with a clean verdict.
    pub clean: u64,
    /// Events that were acknowledged.
    pub acked: u64,
    /// Why the soak has failed, if it has.
    pub failed: Option<String>,
}

impl Standing {
    /// Of a soak that goes on.
    #[must_use]
    pub fn of(ledger: &Ledger) -> Standing {
        let mut standing = Standing::default();
        ledger.rounds().for_each(|round| standing.take_in(round));
        standing.done = (ledger.seconds_of_this_length(), ledger.settings.profile.seconds());
        standing.failed = ledger.failure();
        standing
    }

    /// A round was judged.
    pub fn take_in(&mut self, round: &Round) {
        let verdict = &round.verdict;
        let (lost, twice, gaps) = self.broken;
        self.broken = (lost + verdict.lost, twice + verdict.duplicates, gaps + verdict.gaps);
        self.acked += round.acked;
        if verdict.is_clean() {
            self.clean += 1;
            self.done.0 += if round.was_cut { 0.0 } else { round.seconds };
        } else {
            self.failed = self.failed.take().or_else(|| Some(verdict.to_string()));
        }
    }
}

/// Whoever draws.
pub struct View<W> {
    to: W,
    is_terminal: bool,
    settings: Settings,
    rates: Vec<f64>,
    /// Lines of the last picture, which the next one replaces.
    lines: usize,
}

impl<W: Write> View<W> {
    /// On something that is a terminal or is not.
    pub fn on(to: W, is_terminal: bool, settings: Settings) -> View<W> {
        View { to, is_terminal, settings, rates: Vec::new(), lines: 0 }
    }

    /// Shows how it stands. Who cannot be shown it misses it: a soak does not end for that.
    pub fn show(&mut self, sample: &Sample, standing: &Standing) {
        self.rates.push(rate(sample));
        let text =
            if self.is_terminal { self.picture(sample, standing) } else { line(sample, standing) + "\n" };
        // Up to where the last picture began, and everything below is gone.
        let up = if self.lines > 0 { format!("\x1b[{}A\x1b[J", self.lines) } else { String::new() };
        self.lines = if self.is_terminal { text.lines().count() } else { 0 };
        let _ = self.to.write_all((up + &text).as_bytes()).and_then(|()| self.to.flush());
    }

    /// Says something that stays.
    pub fn say(&mut self, what: &str) {
        self.lines = 0;
        let _ = writeln!(self.to, "{what}");
    }

    fn picture(&self, sample: &Sample, standing: &Standing) -> String {
        let mut text = String::new();
        let Settings { profile, nodes, seed } = &self.settings;
        let (done, wanted) = standing.done;
        let _ = writeln!(
            text,
            "{BOLD}soak {profile}{PLAIN} {DIM}{nodes} nodes, seed {seed}{PLAIN}   {} of {} judged   round {}   {}",
            clock(done),
            clock(wanted as f64),
            sample.round,
            standing.phase
        );
        let _ = writeln!(text, "  {}  {:.0} operations/s", bars(&self.rates), rate(sample));
        let _ = writeln!(
            text,
            "  appends p50 {:.1} ms, p99 {:.1} ms   reads p50 {:.1} ms, p99 {:.1} ms",
            sample.appends.p50_ms, sample.appends.p99_ms, sample.reads.p50_ms, sample.reads.p99_ms
        );
        for node in &sample.nodes {
            let process = match node.process {
                Some(is) => format!(
                    "{:>5} MiB   {:>4} descriptors   {:>3} threads   pid {}",
                    is.rss_bytes >> 20,
                    is.fds,
                    is.threads,
                    is.pid
                ),
                None => format!("{YELLOW}no process{PLAIN}"),
            };
            let _ =
                writeln!(text, "  node {}   {:>6} MiB on disk   {process}", node.seat, node.disk_bytes >> 20);
        }
        let faults = match sample.faults.as_slice() {
            [] => format!("{DIM}none{PLAIN}"),
            some => format!("{YELLOW}{}{PLAIN}", some.join(", ")),
        };
        let _ = writeln!(text, "  faults now  {faults}");
        let (lost, twice, gaps) = standing.broken;
        let colour = if (lost, twice, gaps) == (0, 0, 0) { GREEN } else { RED };
        let _ = writeln!(
            text,
            "  {colour}{lost} lost, {twice} twice, {gaps} gaps{PLAIN} in {} events, {} rounds clean",
            standing.acked, standing.clean
        );
        text
    }
}

fn line(sample: &Sample, standing: &Standing) -> String {
    let processes = || sample.nodes.iter().filter_map(|node| node.process);
    let rss = processes().map(|process| process.rss_bytes >> 20).max().unwrap_or(0);
    let disk: u64 = sample.nodes.iter().map(|node| node.disk_bytes >> 20).sum();
    let faults = if sample.faults.is_empty() { "-".to_owned() } else { sample.faults.join(",") };
    let (lost, twice, gaps) = standing.broken;
    format!(
        "{} round {} {}: {:.0} op/s, append p99 {:.1} ms, rss {rss} MiB, disk {disk} MiB, faults {faults}, \
         lost/dup/gaps {lost}/{twice}/{gaps}",
        clock(sample.age),
        sample.round,
        standing.phase,
        rate(sample),
        sample.appends.p99_ms,
    )
}

fn rate(sample: &Sample) -> f64 {
    if sample.seconds > 0.0 { sample.ended as f64 / sample.seconds } else { 0.0 }
}

fn bars(rates: &[f64]) -> String {
    let last = &rates[rates.len().saturating_sub(BARS_SHOWN)..];
    let most = last.iter().copied().fold(1.0, f64::max);
    last.iter().map(|rate| BARS[((rate / most * 7.0).round() as usize).min(7)]).collect()
}

/// Seconds as hours, minutes and seconds.
#[must_use]
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Latency, NodeSample, ProcessSample};
    use crate::settings::Profile;

    fn sample() -> Sample {
        let process = ProcessSample { pid: 41, born: 5, rss_bytes: 300 << 20, fds: 77, threads: 9 };
        Sample {
            age: 3725.0,
            round: 12,
            seconds: 5.0,
            ended: 500,
            appends: Latency { count: 9, p50_ms: 4.0, p99_ms: 31.5 },
            faults: vec!["kill".into(), "delay".into()],
            nodes: vec![
                NodeSample { seat: 1, process: Some(process), disk_bytes: 90 << 20 },
                NodeSample { seat: 2, process: None, disk_bytes: 10 << 20 },
            ],
            ..Sample::default()
        }
    }

    fn shown(is_terminal: bool, times: usize) -> String {
        let settings = Settings { profile: Profile::Hour, nodes: 3, seed: 7 };
        let mut out = Vec::new();
        let mut view = View::on(&mut out, is_terminal, settings);
        for _ in 0..times {
            let standing = Standing { phase: "load".into(), broken: (0, 2, 0), ..Standing::default() };
            view.show(&sample(), &standing);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_file_gets_one_line_for_each_sample_and_no_colours() {
        let text = shown(false, 2);
        let line = "1:02:05 round 12 load: 100 op/s, append p99 31.5 ms, rss 300 MiB, disk 100 MiB, faults kill,delay, \
                    lost/dup/gaps 0/2/0\n";
        assert_eq!(text, line.repeat(2));
    }

    #[test]
    fn a_terminal_gets_one_picture_in_place_of_the_last() {
        let (once, twice) = (shown(true, 1), shown(true, 2));
        for part in ["pid 41", "no process", "kill, delay", "100 operations/s", "2 twice"] {
            assert!(once.contains(part), "{part} in {once}");
        }
        let up = format!("\x1b[{}A\x1b[J", once.lines().count());
        assert!(twice[once.len()..].starts_with(&up), "{twice:?}");
    }
}
