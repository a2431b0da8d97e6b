//! What nodes do with what they have on disk, when they are asked.

use std::collections::BTreeMap;

use chronos_client::cluster::{Compacted, NodeId, Repaired, ScrubBegun, Verdict, VerifiedReplica};
use chronos_client::{ClusterAdmin, PartitionId, Replicas};

use crate::failure::{Exit, Failure, Outcome};
use crate::operator::page::{Page, Tone, is_painted};
use crate::operator::said::Said;
use crate::operator::{failed, json, name, partition, units};
use crate::output::{Format, Out};
use crate::table::grouped;

pub(super) async fn compact(
    admin: &ClusterAdmin,
    partitions: Vec<PartitionId>,
    wait: bool,
    format: Format,
) -> Outcome {
    let mut teller = Teller::new(format);
    let mut left = partitions;
    loop {
        let answers = admin.compact(&left, wait).await.map_err(failed)?;
        let (late, done): (Vec<_>, Vec<_>) = answers.into_iter().partition(|one| wait && is_late(one));
        for one in &done {
            teller.tell(one.outcome.position.is_ok(), json::compacted(one), || compacted(one, wait))?;
        }
        left = late.iter().map(|one| one.outcome.partition).collect();
        if left.is_empty() {
            return teller.finish();
        }
    }
}

/// Whether it takes longer than one call may.
fn is_late(one: &Compacted) -> bool {
    one.outcome.position.as_ref().is_err_and(|failure| failure.reason == "DEADLINE_EXCEEDED")
}

fn compacted(one: &Compacted, wait: bool) -> Page {
    let (id, who) =
        (name(one.outcome.partition), one.node.map_or_else(String::new, |node| format!(" on {node}")));
    let done = if wait { "compacted" } else { "asked for" };
    match &one.outcome.position {
        Ok(position) => line(Tone::Plain, format!("{id:>6}  {done} up to {}{who}", grouped(position.get()))),
        Err(failure) => line(Tone::Bad, format!("{id:>6}  FAILED{who}: {failure}")),
    }
}

pub(super) async fn scrub(admin: &ClusterAdmin, which: &Replicas, format: Format) -> Outcome {
    let mut teller = Teller::new(format);
    for one in &admin.scrub(which).await.map_err(failed)? {
        teller.tell(one.partitions.is_ok(), json::scrub(one), || scrubs(one))?;
    }
    teller.finish()
}

fn scrubs(one: &ScrubBegun) -> Page {
    match &one.partitions {
        Ok(partitions) => line(Tone::Plain, format!("{}  reads {partitions} partitions", one.node)),
        Err(failure) => line(Tone::Bad, format!("{}  does not: {failure}", one.node)),
    }
}

pub(super) async fn verify(admin: &ClusterAdmin, which: &Replicas, format: Format) -> Outcome {
    let (mut teller, mut answers) = (Teller::new(format), admin.verify(which).await.map_err(failed)?);
    let (mut seen, mut said) = (Looked::default(), Said::default());
    while let Some(one) = answers.next().await.map_err(failed)? {
        let is_whole = seen.take(&one);
        teller.tell(is_whole, json::verified(&one), || verified(&one, &mut said))?;
    }
    if seen.is_nothing() {
        let text = "no replica was looked at: the nodes that are meant hold none that is meant; who holds which is told by \
                    `chronos partition list`";
        return Err(Failure::new(Exit::NotFound, text));
    }
    teller.sum_up(|| seen.summed_up())?;
    teller.finish()
}

/// What became of the replicas that were to be verified.
#[derive(Default)]
struct Looked {
    whole: u64,
    damaged: u64,
    /// Nobody could look at them: their node is away, or does not serve them now. How many of which node.
    unseen: BTreeMap<NodeId, u64>,
}

impl Looked {
    /// Counts one; whether it is whole.
    fn take(&mut self, one: &VerifiedReplica) -> bool {
        let count = match &one.outcome.outcome {
            Ok(seen) if seen.findings.is_empty() => &mut self.whole,
            Ok(_) => &mut self.damaged,
            Err(failure) if failure.reason == "CORRUPT" => &mut self.damaged,
            Err(_) => self.unseen.entry(one.node).or_default(),
        };
        *count += 1;
        one.outcome.outcome.as_ref().is_ok_and(|seen| seen.findings.is_empty())
    }

    fn summed_up(&self) -> Page {
        let Looked { whole, damaged, unseen } = self;
        let (looked, unknown) = (whole + damaged, unseen.values().sum::<u64>());
        let mut text = match (damaged, unknown) {
            (0, 0) => format!("{} looked at, all of them whole", replicas(looked)),
            (0, _) => format!("{whole} of {} looked at and whole", replicas(looked + unknown)),
            _ => format!(
                "{} looked at, {damaged} not whole: have them made so with `chronos repair`",
                replicas(looked)
            ),
        };
        if unknown > 0 {
            let each: Vec<_> = unseen.iter().map(|(node, count)| format!("{count} on {node}")).collect();
            text += &format!("; not looked at, so that nothing is known of them: {}", each.join(", "));
        }
        line(if damaged + unknown == 0 { Tone::Good } else { Tone::Bad }, text)
    }

    /// There was none.
    fn is_nothing(&self) -> bool {
        self.whole + self.damaged == 0 && self.unseen.is_empty()
    }
}

fn verified(one: &VerifiedReplica, said: &mut Said) -> Page {
    let (id, node) = (name(one.outcome.partition), one.node);
    let seen = match &one.outcome.outcome {
        Ok(seen) => seen,
        Err(failure) => {
            let why = said.why(node, failure);
            return line(Tone::Bad, format!("{id:>6}  {node}  not looked at: {why}"));
        }
    };
    let read = format!(
        "{} events in {} parts, {} entries of the log, {} read",
        grouped(seen.events),
        seen.parts,
        grouped(seen.log_entries),
        units::bytes(seen.bytes)
    );
    let (tone, verdict) =
        if seen.findings.is_empty() { (Tone::Plain, "whole") } else { (Tone::Bad, "DAMAGED") };
    let mut page = line(tone, format!("{id:>6}  {node}  {verdict:<7}  {read}"));
    for finding in &seen.findings {
        page.line(Tone::Bad, format!("        {finding}"));
    }
    page
}

pub(super) async fn digest(admin: &ClusterAdmin, partitions: &[PartitionId], format: Format) -> Outcome {
    let mut answers = admin.compare(partitions).await.map_err(failed)?;
    let (mut teller, mut said) = (Teller::new(format), Said::default());
    while let Some(one) = answers.next().await.map_err(failed)? {
        let is_equal = one.verdict == Verdict::Equal;
        teller.tell(is_equal, json::comparison(&one), || partition::comparison(&one, &mut said))?;
    }
    teller.finish()
}

pub(in crate::commands) async fn repair(admin: &ClusterAdmin, which: &Replicas, format: Format) -> Outcome {
    let mut answers = admin.repair(which).await.map_err(failed)?;
    let (mut teller, mut said) = (Teller::new(format), Said::default());
    let (mut whole, mut mended, mut broken) = (0, 0, 0);
    // Of all replicas of a cluster those are worth a line that were not whole; of those that were named, each.
    let is_each_told = !which.partitions.is_empty();
    while let Some(one) = answers.next().await.map_err(failed)? {
        match &one.did {
            Ok(did) if did.is_empty() => whole += 1,
            Ok(_) => mended += 1,
            Err(_) => broken += 1,
        }
        let is_told = is_each_told || one.did.as_ref().map_or(true, |did| !did.is_empty());
        let page = || if is_told { repaired(&one, &mut said) } else { Page::default() };
        teller.tell(one.did.is_ok(), json::repaired(&one), page)?;
    }
    teller.sum_up(|| {
        let tone = if broken > 0 { Tone::Bad } else { Tone::Good };
        let all = replicas(whole + mended + broken);
        line(tone, format!("{all} looked at: {whole} whole, {mended} made whole, {broken} not whole"))
    })?;
    teller.finish()
}

fn repaired(one: &Repaired, said: &mut Said) -> Page {
    let (id, node) = (name(one.partition), one.node);
    match &one.did {
        Ok(did) if did.is_empty() => line(Tone::Plain, format!("{id:>6}  {node}  was whole")),
        Ok(did) => {
            let mut page = line(Tone::Good, format!("{id:>6}  {node}  made whole"));
            for step in did {
                page.line(Tone::Plain, format!("        {step}"));
            }
            page
        }
        Err(failure) => line(Tone::Bad, format!("{id:>6}  {node}  NOT WHOLE: {}", said.why(node, failure))),
    }
}

fn replicas(count: u64) -> String {
    if count == 1 { "1 replica".to_owned() } else { format!("{count} replicas") }
}

fn line(tone: Tone, text: String) -> Page {
    let mut page = Page::default();
    page.line(tone, text);
    page
}

/// Prints answers as they come, and remembers whether all were as wanted.
struct Teller {
    out: Out,
    is_good: bool,
}

impl Teller {
    fn new(format: Format) -> Self {
        Self { out: Out::new(format), is_good: true }
    }

    fn tell(&mut self, is_good: bool, object: serde_json::Value, page: impl FnOnce() -> Page) -> Outcome {
        self.is_good &= is_good;
        match self.out.format {
            Format::Json => self.out.object(&object)?,
            Format::Table => {
                for line in page().lines(is_painted()) {
                    self.out.line(line)?;
                }
            }
        }
        self.out.flush()
    }

    /// What all of it came to, for people.
    fn sum_up(&mut self, page: impl FnOnce() -> Page) -> Outcome {
        if let Format::Table = self.out.format {
            for line in page().lines(is_painted()) {
                self.out.line(line)?;
            }
        }
        Ok(())
    }

    /// Exit code 1 when something was not: it was told in its place.
    fn finish(self) -> Outcome {
        self.out.finish()?;
        if self.is_good { Ok(()) } else { Err(Failure::already_told(Exit::Failed)) }
    }
}

#[cfg(test)]
mod tests {
    use chronos_client::{Class, Failure as Refusal, Verified, VerifiedPartition};

    use super::*;

    #[test]
    fn what_was_found_and_what_was_done_stands_below_its_replica() {
        let partition = PartitionId::new(7).unwrap();
        let findings = vec!["parts/7/12.parquet at byte 8: not as it was written".to_owned()];
        let seen = Verified { parts: 2, events: 1000, log_entries: 20, bytes: 2048, findings };
        let outcome = VerifiedPartition { partition, outcome: Ok(seen) };
        let shown =
            verified(&VerifiedReplica { node: NodeId::new(2), outcome }, &mut Said::default()).plain();
        let expected = "     7  n2  DAMAGED  1,000 events in 2 parts, 20 entries of the log, 2.0 KiB read
        parts/7/12.parquet at byte 8: not as it was written
";
        assert_eq!(shown, expected);
        let did =
            |did| repaired(&Repaired { node: NodeId::new(2), partition, did }, &mut Said::default()).plain();
        assert_eq!(did(Ok(vec![])), "     7  n2  was whole\n");
        assert_eq!(
            did(Ok(vec!["fetched 1 part".to_owned()])),
            "     7  n2  made whole\n        fetched 1 part\n"
        );
        let refusal = Refusal::new(Class::Failed, "UNAVAILABLE", "no other replica answers");
        assert_eq!(did(Err(refusal)), "     7  n2  NOT WHOLE: UNAVAILABLE: no other replica answers\n");
    }

    #[test]
    fn what_was_not_looked_at_is_not_said_to_be_whole() {
        let replica = |node, outcome| {
            let partition = PartitionId::new(7).unwrap();
            VerifiedReplica { node: NodeId::new(node), outcome: VerifiedPartition { partition, outcome } }
        };
        let seen = |findings| Verified { parts: 0, events: 0, log_entries: 0, bytes: 0, findings };
        let whole = |node| replica(node, Ok(seen(Vec::new())));
        let damaged = |node| replica(node, Ok(seen(vec!["a byte has changed".to_owned()])));
        let down = |node| replica(node, Err(Refusal::new(Class::Failed, "UNAVAILABLE", "it is down")));
        let summed_up = |all: &[VerifiedReplica]| {
            let mut looked = Looked::default();
            all.iter().for_each(|one| {
                looked.take(one);
            });
            looked.summed_up().plain()
        };
        assert_eq!(summed_up(&[whole(1), whole(2)]), "2 replicas looked at, all of them whole\n");
        assert_eq!(
            summed_up(&[whole(1), down(2), down(3), down(3)]),
            "1 of 4 replicas looked at and whole; not looked at, so that nothing is known of them: 1 on n2, 2 on n3\n"
        );
        assert_eq!(
            summed_up(&[down(3)]),
            "0 of 1 replica looked at and whole; not looked at, so that nothing is known of them: 1 on n3\n"
        );
        assert_eq!(
            summed_up(&[damaged(1), down(3)]),
            "1 replica looked at, 1 not whole: have them made so with `chronos repair`; not looked at, so that nothing is \
             known of them: 1 on n3\n"
        );
        let mut said = Said::default();
        assert_eq!(
            verified(&down(3), &mut said).plain(),
            "     7  n3  not looked at: UNAVAILABLE: it is down\n"
        );
        assert_eq!(verified(&down(3), &mut said).plain(), "     7  n3  not looked at: as said above\n");
        assert_eq!(
            verified(&down(2), &mut said).plain(),
            "     7  n2  not looked at: UNAVAILABLE: it is down\n"
        );
    }
}
