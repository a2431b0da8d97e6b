//! The report of a small run that was recorded: what is in it is what was recorded.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

use chronos_stress::ledger::{self, Ledger};
use chronos_stress::report;
use chronos_stress::sample::{self, Sample};
use serde_json::Value;

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

struct Written {
    ledger: Ledger,
    samples: Vec<Sample>,
    html: String,
    json: Value,
}

fn written() -> Written {
    let dir = tempfile::tempdir().unwrap();
    for file in [ledger::FILE, sample::FILE] {
        fs::copy(recorded().join(file), dir.path().join(file)).unwrap();
    }
    let (_, html) = report::write(dir.path(), &[]).unwrap();
    Written {
        ledger: Ledger::read(dir.path()).unwrap(),
        samples: sample::read(dir.path()).unwrap(),
        html: fs::read_to_string(html).unwrap(),
        json: serde_json::from_str(&fs::read_to_string(dir.path().join(report::JSON)).unwrap()).unwrap(),
    }
}

fn count(html: &str, what: &str) -> usize {
    html.matches(what).count()
}

#[test]
fn the_page_needs_nothing_but_itself_and_is_light_and_dark() {
    let Written { html, .. } = written();
    for foreign in ["<script", "<link", "http://", "https://", "url(", "@import"] {
        assert_eq!(count(&html, foreign), 0, "{foreign}");
    }
    assert!(html.contains("prefers-color-scheme: dark"));
    for element in ["figure", "svg", "table", "section", "main"] {
        assert_eq!(count(&html, &format!("<{element}")), count(&html, &format!("</{element}>")), "{element}");
    }
}

#[test]
fn every_round_has_its_verdict_in_the_page() {
    let Written { html, ledger, .. } = written();
    assert!(ledger.rounds().count() >= 1);
    for round in ledger.rounds() {
        let verdict = round.verdict.to_string().replace('&', "&amp;");
        assert!(html.contains(&verdict), "{verdict}");
        let kinds: Vec<String> = round.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        assert!(html.contains(&kinds.join(", ")), "{kinds:?}");
    }
}

#[test]
fn every_figure_has_a_line_for_each_thing_it_shows() {
    let Written { html, samples, .. } = written();
    let nodes = samples.last().unwrap().nodes.len();
    // Throughput, appends and reads have two lines; memory, descriptors, threads and disk one for each node; and the model.
    assert_eq!(count(&html, "<figure>"), 7);
    assert_eq!(count(&html, "<path class=\"line"), 3 * 2 + 4 * nodes + 1);
    assert_eq!(count(&html, "d=\"\""), 0, "no line is empty");
    let figure = html.split("<b>Memory</b>").nth(1).unwrap();
    let path = figure.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
    let points = samples.iter().filter(|sample| sample.nodes[0].process.is_some()).count();
    assert_eq!(path.matches(['M', 'L']).count(), points, "a point for each sample of node 1");
}

#[test]
fn faults_are_shaded_when_they_went_on() {
    let Written { html, samples, .. } = written();
    let with_faults = samples.iter().filter(|sample| !sample.faults.is_empty()).count();
    assert!(with_faults > 0);
    let shades = count(&html, "<rect class=\"fault\"");
    assert!(shades >= 7 && shades.is_multiple_of(7), "{shades}: the same in every figure");
    let kind = samples.iter().find_map(|sample| sample.faults.first()).unwrap();
    assert!(html.contains(&format!(": {kind}")), "{kind}");
}

#[test]
fn the_three_sums_and_the_drifts_are_in_both() {
    let Written { html, ledger, json, .. } = written();
    let sum: f64 = ledger.rounds().map(|round| round.seconds).sum();
    for name in ["longest_uninterrupted", "sum", "sum_on_one_data_directory"] {
        assert_eq!(json["under_load_seconds"][name].as_f64().unwrap(), sum, "{name}");
        assert!(html.contains(&name.replace('_', " ")), "{name}");
    }
    assert!(html.contains(&chronos_stress::view::clock(sum)));
    let drifts = json["drifts"].as_array().unwrap();
    assert_eq!(drifts.len(), 3 * 3 + 4 + 1);
    for drift in drifts {
        assert!(html.contains(drift["what"].as_str().unwrap()), "{drift}");
        assert!(drift["limit"].is_number() && drift["judgement"].is_string(), "{drift}");
    }
    let faults: u64 = ledger.rounds().flat_map(|round| round.faults.values()).sum();
    let counted: u64 =
        json["faults"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(faults, counted);
    assert_eq!(
        (json["lost"].as_u64(), json["duplicates"].as_u64(), json["gaps"].as_u64()),
        (Some(0), Some(0), Some(0))
    );
    assert_eq!(json["ok"], true);
}

#[test]
fn soaks_elsewhere_count_in_the_sum_only() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&one, &other] {
        fs::copy(recorded().join(ledger::FILE), dir.path().join(ledger::FILE)).unwrap();
    }
    let alone = report::write(one.path(), &[]).unwrap().0.under_load_seconds;
    let both = report::write(one.path(), &[other.path().to_owned()]).unwrap().0.under_load_seconds;
    assert_eq!(both.sum, 2.0 * alone.sum);
    assert_eq!(both.sum_on_one_data_directory, alone.sum);
    assert_eq!(both.longest_uninterrupted, alone.longest_uninterrupted);
}
