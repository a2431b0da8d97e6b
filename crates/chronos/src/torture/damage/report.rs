//! What a campaign of damage found.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::act::Appends;
use super::truth::Heard;
use super::wound::{Kind, Wound};
use crate::failure::Outcome;
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

/// Everything, act by act.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    seed: u64,
    nodes: usize,
    places: usize,
    /// That were acknowledged.
    pub(super) events: u64,
    pub(super) healed: Vec<Healed>,
    pub(super) replaced: Vec<Replaced>,
    pub(super) majority: Option<Majority>,
}

/// Places of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    places: usize,
    files: usize,
    /// Of which a check offline names the file.
    named: usize,
    /// Of which it says that the partition or the lane cannot be read as a whole.
    with_the_rest: usize,
    /// Of which it says nothing.
    not_noticed: usize,
}

/// What a check offline says of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noticed {
    /// That its file is damaged.
    Named,
    /// That what it belongs to is.
    WithTheRest,
    /// Nothing.
    Not,
}

/// What was done to a directory, and noticed.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Hurt {
    pub(super) wounds: usize,
    kinds: BTreeMap<Kind, Count>,
}

impl Hurt {
    pub(super) fn of(wounds: &[Wound], noticed: &[Noticed]) -> Self {
        let mut kinds: BTreeMap<Kind, Count> = BTreeMap::new();
        let mut files = BTreeSet::new();
        for (wound, noticed) in wounds.iter().zip(noticed) {
            let count = kinds.entry(wound.kind).or_default();
            count.places += 1;
            count.files += usize::from(files.insert((wound.kind, &wound.file)));
            match noticed {
                Noticed::Named => count.named += 1,
                Noticed::WithTheRest => count.with_the_rest += 1,
                Noticed::Not => count.not_noticed += 1,
            }
        }
        Self { wounds: wounds.len(), kinds }
    }

    fn not_noticed(&self) -> usize {
        self.kinds.values().map(|count| count.not_noticed).sum()
    }
}

/// What an offline check of all nodes finds in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Left {
    /// What hurts a partition, or is unfinished.
    pub(super) damages: usize,
    /// Bytes of the log that nobody needs any more, in segments that others still need a part of: they go with these.
    pub(super) scars: usize,
}

/// One node was damaged, and is whole again.
#[derive(Debug, Serialize)]
pub(super) struct Healed {
    pub(super) node: String,
    #[serde(flatten)]
    pub(super) hurt: Hurt,
    /// From the start of its process to its being ready.
    pub(super) start_ms: u64,
    /// From there to its serving everything.
    pub(super) healed_ms: u64,
    /// Partitions that it did not serve for a while.
    pub(super) not_served: usize,
    /// Partitions that it mended only when it was asked to read them.
    pub(super) mended_by_order: usize,
    pub(super) acknowledged: u64,
    pub(super) lost: u64,
    pub(super) duplicates: u64,
    pub(super) gaps: u64,
    pub(super) digests_compared: usize,
    pub(super) digests_different: usize,
    pub(super) online_findings: usize,
    /// What is still not as it was written, on all nodes.
    pub(super) left: Left,
}

impl Healed {
    fn is_clean(&self) -> bool {
        let counts = [self.lost, self.duplicates, self.gaps, self.digests_different as u64];
        let still = [self.hurt.not_noticed(), self.online_findings, self.left.damages];
        counts == [0; 4] && still == [0; 3] && self.hurt.wounds > 0
    }
}

/// A node did not start, and another one has taken its place.
#[derive(Debug, Serialize)]
pub(super) struct Replaced {
    pub(super) node: String,
    pub(super) lost: &'static str,
    pub(super) refusal: String,
    pub(super) names_the_way_out: bool,
    pub(super) replaced_ms: u64,
    /// Lost, double or missing.
    pub(super) lost_events: u64,
    pub(super) digests_different: usize,
    pub(super) left: Left,
}

impl Replaced {
    fn is_clean(&self) -> bool {
        let counts = self.lost_events + (self.digests_different + self.left.damages) as u64;
        self.names_the_way_out && counts == 0
    }
}

/// Most of the nodes were damaged.
#[derive(Debug, Serialize)]
pub(super) struct Majority {
    nodes: Vec<String>,
    hurt: Vec<Hurt>,
    /// Partitions that have a leader all the same, the system partition among them.
    led: usize,
    true_answers: u64,
    errors: u64,
    /// One of the errors.
    example: Option<String>,
    wrong: Vec<String>,
    appends_acknowledged: usize,
    appends_refused: usize,
    append_example: Option<String>,
}

impl Majority {
    pub(super) fn new(
        nodes: Vec<String>,
        hurt: Vec<Hurt>,
        led: usize,
        heard: &Heard,
        appends: &Appends,
    ) -> Self {
        Self {
            nodes,
            hurt,
            led,
            true_answers: heard.true_answers,
            errors: heard.errors,
            example: heard.example.clone(),
            wrong: heard.wrong.iter().cloned().collect(),
            appends_acknowledged: appends.acknowledged,
            appends_refused: appends.refused,
            append_example: appends.example.clone(),
        }
    }

    fn is_clean(&self) -> bool {
        self.wrong.is_empty() && self.true_answers > 0 && self.hurt.iter().all(|hurt| hurt.not_noticed() == 0)
    }
}

impl Report {
    pub(super) fn new(seed: u64, nodes: usize, places: usize) -> Self {
        Self { seed, nodes, places, events: 0, healed: Vec::new(), replaced: Vec::new(), majority: None }
    }

    /// Whether everything was noticed, everything that can be mended was, and nothing was made up.
    pub(crate) fn is_clean(&self) -> bool {
        self.healed.iter().all(Healed::is_clean)
            && self.replaced.iter().all(Replaced::is_clean)
            && self.majority.as_ref().is_none_or(Majority::is_clean)
    }

    pub(crate) fn print(&self, format: Format) -> Outcome {
        let mut out = Out::new(format);
        match format {
            Format::Json => out.object(self)?,
            Format::Table => {
                out.line(format!("seed {}, {} events acknowledged", self.seed, grouped(self.events)))?;
                for healed in &self.healed {
                    out.line("")?;
                    out.table(&kinds(&format!("{}, ALONE", healed.node), [&healed.hurt]))?;
                    out.table(&healed.table())?;
                }
                for replaced in &self.replaced {
                    out.line("")?;
                    out.table(&replaced.table())?;
                }
                if let Some(majority) = &self.majority {
                    out.line("")?;
                    out.table(&kinds(&majority.nodes.join(" AND "), &majority.hurt))?;
                    out.table(&majority.table())?;
                }
                out.line(if self.is_clean() {
                    "everything was noticed, what can be mended was, and nothing was made up"
                } else {
                    "NOT EVERY PROMISE WAS KEPT"
                })?;
            }
        }
        out.finish()
    }
}

fn kinds<'a>(whose: &str, hurt: impl IntoIterator<Item = &'a Hurt>) -> Table {
    let mut sum: BTreeMap<Kind, Count> = BTreeMap::new();
    for (kind, count) in hurt.into_iter().flat_map(|hurt| &hurt.kinds) {
        let of = sum.entry(*kind).or_default();
        of.places += count.places;
        of.files += count.files;
        of.named += count.named;
        of.with_the_rest += count.with_the_rest;
        of.not_noticed += count.not_noticed;
    }
    let columns = [
        ("DAMAGED", Align::Left),
        ("PLACES", Align::Right),
        ("FILES", Align::Right),
        ("NAMED", Align::Right),
        ("WITH THE REST", Align::Right),
        ("NOT NOTICED", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for (kind, count) in &sum {
        let cells = [count.places, count.files, count.named, count.with_the_rest, count.not_noticed];
        let cells = cells.map(|count| grouped(count as u64));
        table.row([kind.words().to_owned()].into_iter().chain(cells));
    }
    let all = |figure: fn(&Count) -> usize| grouped(sum.values().map(figure).sum::<usize>() as u64);
    table.row([
        whose.to_owned(),
        all(|count| count.places),
        all(|count| count.files),
        all(|count| count.named),
        all(|count| count.with_the_rest),
        all(|count| count.not_noticed),
    ]);
    table
}

fn rows(rows: impl IntoIterator<Item = (&'static str, String)>) -> Table {
    let mut table = Table::new(&[("", Align::Left), ("", Align::Right)]);
    rows.into_iter().for_each(|(name, value)| table.row([name.to_owned(), value]));
    table
}

impl Healed {
    fn table(&self) -> Table {
        let digests = format!("{} of {}", self.digests_different, self.digests_compared);
        rows([
            ("started in", format!("{} ms", grouped(self.start_ms))),
            ("whole by itself after", format!("{} ms", grouped(self.healed_ms))),
            ("partitions not served meanwhile", self.not_served.to_string()),
            ("partitions mended when it was asked to read them", self.mended_by_order.to_string()),
            ("events acknowledged", grouped(self.acknowledged)),
            ("lost, duplicates, gaps", format!("{}, {}, {}", self.lost, self.duplicates, self.gaps)),
            ("digests that differ", digests),
            (
                "damage left, found online and offline",
                format!("{}, {}", self.online_findings, self.left.damages),
            ),
            ("scars: damaged bytes of the log that nobody needs", self.left.scars.to_string()),
        ])
    }
}

impl Replaced {
    fn table(&self) -> Table {
        let way = if self.names_the_way_out { "yes" } else { "NO" };
        rows([
            ("lost", format!("{} of {}", self.lost, self.node)),
            ("the refusal says what to do", way.to_owned()),
            ("an empty directory has taken its place after", format!("{} ms", grouped(self.replaced_ms))),
            ("events lost, double or missing", grouped(self.lost_events)),
            ("digests that differ", self.digests_different.to_string()),
            ("damage left", self.left.damages.to_string()),
        ])
    }
}

impl Majority {
    fn table(&self) -> Table {
        rows([
            ("partitions that have a leader all the same", format!("{} of 33", self.led)),
            ("answers that were the truth", grouped(self.true_answers)),
            ("answers that were errors", grouped(self.errors)),
            ("answers that missed or made up something", grouped(self.wrong.len() as u64)),
            ("appends acknowledged", self.appends_acknowledged.to_string()),
            ("appends answered with an error", self.appends_refused.to_string()),
        ])
    }
}
