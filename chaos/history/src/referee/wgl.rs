//! todc-utils, on appends and strong reads of whole partitions.
//!
//! The object is a log of which only its length and the hash of everything in it count. An append says at which
//! position it begins; a read says the length and the hash it saw.
//!
//! The search takes time that grows with the square of the operations, so the history of a partition is cut into
//! segments. A cut at any moment loses nothing. Let L be the greatest length that operations which had returned by then
//! prove. An operation under way that itself proves no more than L took effect before, or may as well have: it ends
//! there. One that proves more may as well have taken effect later, since nobody has seen it: it begins there. Whatever
//! is sent later and lies at or below L fails in the next segment, whose object begins as the final log was at L.
//!
//! So an append of unknown outcome ends at the first cut after somebody saw its events.

use std::collections::BTreeMap;

use todc_utils::{Action, History, Specification, WGLChecker};

use super::Opinion;
use super::resolved::Resolved;
use crate::answer::{Answer, Appended, Outcome};
use crate::call::{Call, Mode};
use crate::fact::Logged;
use crate::line::{Body, Line};
use crate::{Append, Event, Hash, Op, Partition, Position, RangeHash, Tenant, Version, Word};

/// Operations that return in one segment.
const SEGMENT_OPERATIONS: usize = 1_000;

/// Whether appends to and strong reads of each partition are linearizable, by todc-utils.
pub fn linearizable(lines: &[Line]) -> Opinion {
    let resolved = Resolved::new(lines);
    let mut judged = 0;
    for (part, spans) in spans(lines, &resolved) {
        let log = resolved.logs.get(&part).map_or(&[][..], Vec::as_slice);
        let mut begin = (0, RangeHash::EMPTY.get());
        for segment in segments(spans) {
            judged += segment.len() as u64;
            if !holds(&segment, begin) {
                let (first, last) = (segment[0].call, segment[segment.len() - 1].call);
                return Opinion::Invalid(format!(
                    "partition {part}: the operations sent in lines {first} to {last}"
                ));
            }
            begin = rest(&segment, begin, log);
        }
    }
    Opinion::Valid(judged)
}

/// An operation between its call and its return, as indexes of lines.
struct Span {
    call: u64,
    end: u64,
    step: Step,
}

/// What an operation does to the log, given what it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Begins a segment.
    Begin(State),
    /// Adds these words after this length.
    Append { after: u64, words: Vec<Word> },
    /// Sees this.
    Read(State),
    /// Sees at least this length: a duplicate's answer.
    Least(u64),
}

/// Length and hash of everything.
type State = (u64, Hash);

struct LogObject;

impl Specification for LogObject {
    type State = (u64, RangeHash);
    type Operation = Step;

    fn init() -> (u64, RangeHash) {
        (0, RangeHash::EMPTY)
    }

    fn apply(step: &Step, (length, hash): &(u64, RangeHash)) -> (bool, (u64, RangeHash)) {
        match step {
            Step::Begin((length, hash)) => (true, (*length, RangeHash::known(*hash))),
            Step::Append { after, words } => {
                let mut longer = *hash;
                words.iter().for_each(|word| longer.push(*word));
                (after == length, (length + words.len() as u64, longer))
            }
            Step::Read(seen) => (*seen == (*length, hash.get()), (*length, *hash)),
            Step::Least(least) => (least <= length, (*length, *hash)),
        }
    }
}

fn spans(lines: &[Line], resolved: &Resolved) -> BTreeMap<Partition, Vec<Span>> {
    let mut open: BTreeMap<Op, (u64, Partition, &Call, Tenant)> = BTreeMap::new();
    let mut spans: BTreeMap<Partition, Vec<Span>> =
        resolved.logs.keys().map(|part| (*part, Vec::new())).collect();
    let mut attempts = Vec::new();
    for line in lines {
        match &line.body {
            Body::Call { op, scope, call } => {
                let Some(part) = scope.part.filter(|_| scope.fork.0 == 0 && concerns(call)) else { continue };
                if matches!(call, Call::Append(_)) || scope.tenant.is_none() {
                    open.insert(*op, (line.index, part, call, scope.tenant.unwrap_or_default()));
                }
            }
            Body::Outcome { op, outcome: Outcome::Ok(answer), .. } => {
                let Some((call, part, asked, tenant)) = open.remove(op) else { continue };
                let step = step(asked, answer, tenant);
                if let (Call::Append(append), Some(Step::Least(_))) = (asked, &step) {
                    attempts.push(Attempt { call, end: line.index, part, append, tenant });
                }
                spans.entry(part).or_default().extend(step.map(|step| Span { call, end: line.index, step }));
            }
            Body::Outcome { op, outcome: Outcome::Fail(_), .. } => {
                open.remove(op);
            }
            _ => {}
        }
    }
    attempts.extend(open.into_values().filter_map(|(call, part, asked, tenant)| {
        let Call::Append(append) = asked else { return None };
        Some(Attempt { call, end: u64::MAX, part, append, tenant })
    }));
    add_found(&attempts, resolved, &mut spans);
    spans
}

/// Appends, and strong reads of everything.
fn concerns(call: &Call) -> bool {
    match call {
        Call::Append(_) => true,
        Call::Read(read) => read.mode == Mode::Strong && read.from == Position(1),
        _ => false,
    }
}

fn step(call: &Call, answer: &Answer, tenant: Tenant) -> Option<Step> {
    match (call, answer) {
        (Call::Append(_), Answer::Append(Appended { dedup: true, last, .. })) => Some(Step::Least(last.0)),
        (Call::Append(append), Answer::Append(appended)) => {
            let version = |nth| appended.version(nth).unwrap_or(Version(0));
            let word = |(nth, event): (usize, &Event)| {
                Word::new(event.id, event.entity, version(nth), tenant, event.hash)
            };
            let words = append.events.iter().enumerate().map(word).collect();
            Some(Step::Append { after: appended.first.0.wrapping_sub(1), words })
        }
        (Call::Read(_), Answer::Read(range)) if range.last == range.tail => {
            Some(Step::Read((range.tail.0, range.hash)))
        }
        _ => None,
    }
}

/// An append of which no answer says that it was the one that took effect: nobody answered, or the answer is a
/// duplicate's.
struct Attempt<'a> {
    call: u64,
    end: u64,
    part: Partition,
    append: &'a Append,
    tenant: Tenant,
}

/// Adds what took effect by an attempt that was not told so: what the final log has and no answer accounts for. It did
/// between the first call of them and the first answer, which may be of one and the same operation that the client's
/// library sent twice.
fn add_found(attempts: &[Attempt<'_>], resolved: &Resolved, spans: &mut BTreeMap<Partition, Vec<Span>>) {
    let mut found: BTreeMap<(Partition, u64), Span> = BTreeMap::new();
    for attempt in attempts {
        let Some((after, words)) = attempt.place(resolved) else { continue };
        let Attempt { call, end, part, .. } = *attempt;
        let span =
            found.entry((part, after)).or_insert(Span { call, end, step: Step::Append { after, words } });
        (span.call, span.end) = (span.call.min(call), span.end.min(end));
    }
    let after_of = |span: &Span| if let Step::Append { after, .. } = span.step { Some(after) } else { None };
    for ((part, after), span) in found {
        let known = spans.entry(part).or_default();
        if !known.iter().any(|span| after_of(span) == Some(after)) {
            known.push(span);
        }
    }
}

impl Attempt<'_> {
    /// Where in the final log it is, and what it put there.
    fn place(&self, resolved: &Resolved) -> Option<(u64, Vec<Word>)> {
        let log = resolved.logs.get(&self.part)?;
        let first = self.append.events.first()?;
        let at = log.iter().position(|logged| logged.id == first.id && logged.tenant == self.tenant)?;
        Some((at as u64, log[at..].iter().take(self.append.events.len()).map(word).collect()))
    }
}

fn word(event: &Logged) -> Word {
    Word::new(event.id, event.entity, event.version, event.tenant, event.hash)
}

impl Step {
    /// The length that whoever returned with this has proven.
    fn proves(&self) -> u64 {
        match self {
            Step::Begin((length, _)) | Step::Read((length, _)) | Step::Least(length) => *length,
            Step::Append { after, words } => after + words.len() as u64,
        }
    }
}

/// Cuts the operations of a partition.
fn segments(mut spans: Vec<Span>) -> Vec<Vec<Span>> {
    spans.sort_by_key(|span| span.call);
    let returned = spans.iter().filter(|span| span.end != u64::MAX);
    let mut returned: Vec<(u64, u64)> = returned.map(|span| (span.end, span.step.proves())).collect();
    returned.sort_unstable();
    let (mut segments, mut under_way, mut proven) = (Vec::new(), Vec::new(), 0);
    let mut spans = spans.into_iter().peekable();
    for chunk in returned.chunks(SEGMENT_OPERATIONS) {
        let cut = chunk[chunk.len() - 1].0;
        proven = chunk.iter().map(|(_, proves)| *proves).fold(proven, u64::max);
        while let Some(span) = spans.next_if(|span| span.call < cut) {
            under_way.push(span);
        }
        let (done, rest) = under_way.into_iter().partition(|span: &Span| span.step.proves() <= proven);
        let done: Vec<Span> = done;
        segments.push(done.into_iter().map(|span| Span { end: span.end.min(cut), ..span }).collect());
        under_way = rest;
        under_way.iter_mut().for_each(|span| span.call = cut);
    }
    under_way.extend(spans);
    segments.push(under_way);
    segments.retain(|segment| !segment.is_empty());
    segments
}

/// Asks about one segment.
fn holds(segment: &[Span], begin: State) -> bool {
    let mut moments: Vec<(u64, usize, bool)> = Vec::new();
    for (process, span) in (1..).zip(segment) {
        moments.push((span.call, process, true));
        moments.push((span.end, process, false));
    }
    // What a cut lets begin or end on one line is all under way together, in whichever order.
    moments.sort_unstable();
    let begin = Step::Begin(begin);
    let mut actions = vec![(0, Action::Call(begin.clone())), (0, Action::Response(begin))];
    actions.extend(moments.into_iter().map(|(_, process, is_call)| {
        let step = segment[process - 1].step.clone();
        (process, if is_call { Action::Call(step) } else { Action::Response(step) })
    }));
    WGLChecker::<LogObject>::is_linearizable(History::from_actions(actions))
}

/// The log when a segment that holds has come to rest: what its operations prove.
fn rest(segment: &[Span], begin: State, log: &[Logged]) -> State {
    let proven = segment.iter().map(|span| span.step.proves()).max().unwrap_or(0);
    let (mut length, mut hash) = (begin.0, RangeHash::known(begin.1));
    for event in log.iter().take(proven as usize).skip(begin.0 as usize) {
        hash.push(word(event));
        length += 1;
    }
    (length, hash.get())
}
