//! The page.

use std::fmt::Write as _;

use super::plot::{Plot, Scale, Series, text};
use super::shade::shades;
use crate::disk;
use crate::drift::Judgement;
use crate::ledger::{Ledger, Round, Why};
use crate::results::Results;
use crate::sample::{NodeSample, ProcessSample, Sample};
use crate::view::clock;

/// Between two samples there is at most so many times their length, or the soak was away.
const HOLE: f64 = 3.5;
const MIB: f64 = (1 << 20) as f64;

/// The whole report.
pub(super) fn page(ledger: &Ledger, samples: &[Sample], results: &Results) -> String {
    let settings = &results.settings;
    let title = format!("Soak {}, {} nodes, seed {}", settings.profile, settings.nodes, settings.seed);
    let mut html = String::new();
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\n<style>\n{}</style></head>\n<body><main>\n",
        include_str!("style.css")
    );
    html += &head(&title, results);
    html += &tiles(results);
    html += &plots(ledger, samples);
    html += &drifts(results);
    html += &rounds(ledger);
    html += &faults(results);
    html += &foot(results);
    html + "</main></body></html>\n"
}

fn head(title: &str, results: &Results) -> String {
    let open = results.drifts.iter().filter(|drift| drift.judgement == Judgement::Open).count();
    let limits = match open {
        0 => "and every limit".to_owned(),
        some => {
            format!("and no limit broken ({some} of {} could not be told in this time)", results.drifts.len())
        }
    };
    let (class, verdict) = match (&results.failure, results.ok, results.ended) {
        (Some(why), ..) => ("bad", format!("Not clean: {why}")),
        (None, false, _) => ("open", "No round has been judged yet".to_owned()),
        (None, true, Some(Why::Complete)) => ("good", format!("Clean: every promise was kept, {limits}")),
        (None, true, _) => ("good", "Clean so far".to_owned()),
    };
    let to = results.to.as_deref().unwrap_or("now");
    format!(
        "<header><h1>{}</h1><p class=\"verdict {class}\">{}</p><p class=\"quiet\">{} to {} · build {} · {}</p></header>\n",
        text(title),
        text(&verdict),
        text(&results.from),
        text(to),
        text(&results.commits.join(", ")),
        text(&results.machines.join("; "))
    )
}

fn tiles(results: &Results) -> String {
    let sums = results.under_load_seconds;
    let tile = |name: &str, value: String, note: &str| {
        format!("<div><b>{}</b><span>{name}</span><i>{note}</i></div>", text(&value))
    };
    let episodes: u64 = results.faults.values().sum();
    let all = [
        tile("longest uninterrupted", clock(sums.longest_uninterrupted), "real time under load"),
        tile("sum", clock(sums.sum), "of all starts"),
        tile("sum on one data directory", clock(sums.sum_on_one_data_directory), "the same disks all along"),
        tile(
            "operations",
            thousands(results.operations),
            &format!("{:.0} in a second", results.operations_per_second),
        ),
        tile(
            "events acknowledged",
            thousands(results.acked),
            &format!("{} read again", thousands(results.reread_events)),
        ),
        tile(
            "lost · twice · gaps",
            format!("{} · {} · {}", results.lost, results.duplicates, results.gaps),
            "S1 · S2, S6 · S3, S10",
        ),
        tile("episodes of faults", thousands(episodes), &format!("of {} kinds", results.faults.len())),
        tile("tests of invariants", thousands(results.checked), &format!("in {} rounds", results.rounds)),
    ];
    format!("<section class=\"tiles\">{}</section>\n", all.concat())
}

fn plots(ledger: &Ledger, samples: &[Sample]) -> String {
    if samples.is_empty() {
        return "<p class=\"quiet\">There are no samples.</p>\n".to_owned();
    }
    let shades = shades(samples);
    let until = samples.last().map_or(0.0, |last| last.age);
    let typical = crate::sample::median(samples.iter().map(|sample| sample.seconds).collect()).unwrap_or(1.0);
    let plot = |title, unit, scale, series| {
        Plot { title, unit, scale, series, shades: &shades, until, hole: typical * HOLE }.html()
    };
    let loaded = || samples.iter().filter(|sample| sample.under_load);
    let line = |name: &str, colour, of: &dyn Fn(&Sample) -> Option<f64>| Series {
        name: name.to_owned(),
        colour,
        is_dashed: false,
        points: loaded().filter_map(|sample| Some((sample.age, of(sample)?))).collect(),
    };
    let in_a_second = |count: u64, sample: &Sample| Some(count as f64 / sample.seconds.max(1e-3));
    let if_any = |count: u64, value: f64| (count > 0).then_some(value);
    let mut html = String::from("<section><h2>Over time</h2><p class=\"quiet\">Behind the lines: ");
    html += "<span class=\"key fault\">faults went on</span><span class=\"key judging\">what was stored was read and judged</span></p>\n";
    html += &plot(
        "Throughput",
        "operations in a second",
        Scale::Linear,
        vec![
            line("ended", 1, &|sample| in_a_second(sample.ended, sample)),
            line("not done, or unknown", 4, &|sample| in_a_second(sample.not_done, sample)),
        ],
    );
    html += &plot(
        "Appends",
        "milliseconds",
        Scale::Log,
        vec![
            line("p99", 2, &|sample| if_any(sample.appends.count, sample.appends.p99_ms)),
            line("p50", 1, &|sample| if_any(sample.appends.count, sample.appends.p50_ms)),
        ],
    );
    html += &plot(
        "Reads",
        "milliseconds",
        Scale::Log,
        vec![
            line("p99", 2, &|sample| if_any(sample.reads.count, sample.reads.p99_ms)),
            line("p50", 1, &|sample| if_any(sample.reads.count, sample.reads.p50_ms)),
        ],
    );
    let of_process =
        |of: fn(&ProcessSample) -> f64| per_node(samples, &|node: &NodeSample| node.process.as_ref().map(of));
    html += &plot("Memory", "MiB in memory", Scale::Linear, of_process(|is| is.rss_bytes as f64 / MIB));
    html += &plot("Descriptors", "open files and connections", Scale::Linear, of_process(|is| is.fds as f64));
    html += &plot("Threads", "of each process", Scale::Linear, of_process(|is| is.threads as f64));
    let mut disks =
        per_node(samples, &|node: &NodeSample| if_any(node.disk_bytes, node.disk_bytes as f64 / MIB));
    disks.push(model(ledger, samples));
    html += &plot("Disk", "MiB", Scale::Linear, disks);
    html + "</section>\n"
}

fn per_node(samples: &[Sample], of: &dyn Fn(&NodeSample) -> Option<f64>) -> Vec<Series> {
    let seats = samples.last().map(|last| last.nodes.iter().map(|node| node.seat).collect::<Vec<_>>());
    let series = |seat: u32| {
        let value = |sample: &Sample| sample.nodes.iter().find(|node| node.seat == seat).and_then(of);
        let points = samples.iter().filter_map(|sample| Some((sample.age, value(sample)?))).collect();
        Series { name: format!("node {seat}"), colour: seat as usize, is_dashed: false, points }
    };
    seats.unwrap_or_default().into_iter().map(series).collect()
}

/// What one node should have at the end of each round.
fn model(ledger: &Ledger, samples: &[Sample]) -> Series {
    let (mut events, mut bytes) = (0, 0);
    let mut points = Vec::new();
    for round in ledger.rounds() {
        events += round.acked;
        bytes += round.bytes;
        let end = samples.iter().rev().find(|sample| sample.round == round.round);
        let nodes = ledger.settings.nodes;
        let each = disk::model(nodes, events, bytes) as f64 / f64::from(nodes) / MIB;
        points.extend(end.map(|end| (end.age, each)));
    }
    // One point is no line.
    if let [only] = points.as_slice() {
        points = vec![(0.0, only.1), *only];
    }
    let last = points.windows(2).map(|two| two[1].0 - two[0].0).fold(0.0, f64::max);
    let points = filled(&points, last);
    Series { name: "each, by the model".into(), colour: 6, is_dashed: true, points }
}

/// Points on the line between points that are far apart, so that it is not taken to have holes.
fn filled(points: &[(f64, f64)], longest: f64) -> Vec<(f64, f64)> {
    let steps = (longest.ceil() as u32).clamp(1, 600);
    let between = |two: &[(f64, f64)]| {
        let ((t, v), (u, w)) = (two[0], two[1]);
        let at = move |i: u32| f64::from(i) / f64::from(steps);
        (0..steps).map(move |i| (t + (u - t) * at(i), v + (w - v) * at(i))).collect::<Vec<_>>()
    };
    points.windows(2).flat_map(between).chain(points.last().copied()).collect()
}

fn drifts(results: &Results) -> String {
    let mut rows = String::new();
    for drift in &results.drifts {
        let class = match drift.judgement {
            Judgement::Within => "good",
            Judgement::Beyond => "bad",
            Judgement::Open => "open",
        };
        let found = drift.found.map_or_else(|| "–".to_owned(), |found| format!("{found:.3}"));
        let interval =
            drift.interval.map_or_else(|| "–".to_owned(), |(low, high)| format!("{low:.3} to {high:.3}"));
        let needed =
            drift.hours_needed.map_or(String::new(), |hours| format!("some {hours:.1} h would tell"));
        let _ = writeln!(
            rows,
            "<tr><td>{}<td class=\"n\">{found}<td class=\"n\">{interval}<td class=\"n\">{}<td>{}<td class=\"{class}\">{}<td>{needed}",
            text(&drift.what),
            drift.limit,
            text(&drift.unit),
            drift.judgement
        );
    }
    format!(
        "<section><h2>Drift</h2><p class=\"quiet\">Slopes by Theil and Sen over the time after warm-up, within one life of a process, \
         with the interval that holds the true one in 99 of 100 cases. Beyond: the whole interval is. Open: this run was too \
         short to tell.</p><div class=\"wide\"><table><thead><tr><th>what<th>found<th>99 %<th>limit<th>unit<th>is<th></thead>\n{rows}</table></div>\
         <p class=\"quiet\">Disk: {:.1} MiB on all nodes, {:.1} MiB by the model ({}).</p></section>\n",
        results.disk.bytes as f64 / MIB,
        results.disk.model_bytes as f64 / MIB,
        text(&disk::told())
    )
}

fn rounds(ledger: &Ledger) -> String {
    let mut rows = String::new();
    for round in ledger.rounds() {
        rows += &row(round);
    }
    format!(
        "<section><h2>Verdicts</h2><div class=\"wide\"><table><thead><tr><th>round<th>under load<th>operations<th>acknowledged<th>episodes\
         <th>in a second<th>append p99<th>disk<th>verdict</thead>\n{rows}</table></div></section>\n"
    )
}

fn row(round: &Round) -> String {
    let class = if round.verdict.is_clean() { "good" } else { "bad" };
    let kinds: Vec<String> = round.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let cut = if round.was_cut { " (cut off, judged when it went on)" } else { "" };
    let told: String = round.verdict.told.iter().map(|what| format!("<br>{}", text(what))).collect();
    format!(
        "<tr><td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\" title=\"{}\">{}<td class=\"n\">{:.0}\
         <td class=\"n\">{:.1} ms<td class=\"n\">{} MiB<td class=\"{class}\">{}{cut}{told}\n",
        round.round,
        clock(round.seconds),
        thousands(round.operations),
        thousands(round.acked),
        text(&kinds.join(", ")),
        round.faults.values().sum::<u64>(),
        round.samples.operations_per_second,
        round.samples.append_p99_ms,
        round.samples.disk_bytes >> 20,
        text(&round.verdict.to_string())
    )
}

fn faults(results: &Results) -> String {
    let most = results.faults.values().copied().max().unwrap_or(1).max(1);
    let bar = |(kind, count): (&String, &u64)| {
        let width = 100.0 * *count as f64 / most as f64;
        format!("<li><span>{}</span><i style=\"width:{width:.1}%\"></i><b>{count}</b></li>", text(kind))
    };
    let bars: String = results.faults.iter().map(bar).collect();
    let missing = |(kind, why): (&String, &String)| format!("<li><b>{}</b>: {}</li>", text(kind), text(why));
    let not_run: String = results.not_run.iter().map(missing).collect();
    let not_run = if not_run.is_empty() {
        String::new()
    } else {
        format!("<h3>Not run, because this machine cannot</h3><ul class=\"plain\">{not_run}</ul>")
    };
    format!("<section><h2>Faults</h2><ul class=\"bars\">{bars}</ul>{not_run}</section>\n")
}

fn foot(results: &Results) -> String {
    let deaths = results.deaths;
    format!(
        "<footer class=\"quiet\">All times are real. Processes that ended although nobody ended them: {deaths} (a node that \
         cannot write ends itself). A round counts when its verdict is clean.</footer>\n"
    )
}

/// With a thin space between every three digits.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}
