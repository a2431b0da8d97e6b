//! Faults to plant into a clean history, line by line.

use std::collections::BTreeMap;

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::line::{Body, Process};
use chronos_history::{Expect, Hash, Invariant, Line, Node, Partition, Position, Version};

use crate::model::Dice;

/// One way to break a history.
pub struct Fault {
    pub name: &'static str,
    /// At least one of these must be found broken.
    pub breaks: &'static [Invariant],
    /// Plants it somewhere, and says on which line; none if the history has no place for it.
    pub plant: fn(&mut Vec<Line>, &mut Dice) -> Option<u64>,
}

pub const ALL: &[Fault] = &[
    Fault { name: "a lost ack", breaks: &[Invariant::S1], plant: |lines, dice| lost_ack(lines, dice) },
    Fault {
        name: "a duplicated id",
        breaks: &[Invariant::S6],
        plant: |lines, dice| duplicated_id(lines, dice),
    },
    Fault {
        name: "swapped positions",
        breaks: &[Invariant::S1, Invariant::S2, Invariant::S10],
        plant: |lines, dice| swapped(lines, dice),
    },
    Fault {
        name: "changed content",
        breaks: &[Invariant::S4],
        plant: |lines, dice| changed_content(lines, dice),
    },
    Fault {
        name: "a torn batch",
        breaks: &[Invariant::S1, Invariant::S13],
        plant: |lines, dice| torn_batch(lines, dice),
    },
    Fault {
        name: "a replica that differs",
        breaks: &[Invariant::S15],
        plant: |lines, dice| other_replica(lines, dice),
    },
    Fault { name: "time back", breaks: &[Invariant::S26], plant: |lines, dice| time_back(lines, dice) },
    Fault { name: "a watermark back", breaks: &[Invariant::S11], plant: watermark_back },
    Fault {
        name: "a read that lacks an event",
        breaks: &[Invariant::S3],
        plant: |lines, dice| lacking_read(lines, dice),
    },
    Fault {
        name: "a read of other content",
        breaks: &[Invariant::S2],
        plant: |lines, dice| other_read(lines, dice),
    },
    Fault {
        name: "a read above its watermark",
        breaks: &[Invariant::S11],
        plant: |lines, dice| unmarked_read(lines, dice),
    },
    Fault {
        name: "a wrong version in an ack",
        breaks: &[Invariant::S7, Invariant::S10],
        plant: |lines, dice| wrong_version(lines, dice),
    },
    Fault {
        name: "a wrong version accepted",
        breaks: &[Invariant::S9],
        plant: |lines, dice| unexpected(lines, dice),
    },
    Fault { name: "a risen failure", breaks: &[Invariant::S5], plant: |lines, dice| risen(lines, dice) },
    Fault {
        name: "an acked event not found",
        breaks: &[Invariant::S8],
        plant: |lines, dice| not_found(lines, dice),
    },
    Fault {
        name: "a stale entity read",
        breaks: &[Invariant::S8],
        plant: |lines, dice| stale_entity(lines, dice),
    },
    Fault {
        name: "a past that changes",
        breaks: &[Invariant::S19],
        plant: |lines, dice| changed_past(lines, dice),
    },
];

/// A random one of the lines that pass.
fn pick(lines: &[Line], dice: &mut Dice, passes: impl Fn(&Line) -> bool) -> Option<usize> {
    let fit: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| passes(line)).map(|(at, _)| at).collect();
    let nth = dice.below(fit.len().max(1) as u64) as usize;
    fit.get(nth).copied()
}

fn answer(line: &mut Line) -> Option<&mut Answer> {
    match &mut line.body {
        Body::Outcome { outcome: Outcome::Ok(answer), .. } => Some(answer),
        _ => None,
    }
}

fn call_of(lines: &[Line], outcome: usize) -> Option<(usize, &Call)> {
    let Body::Outcome { op: of, .. } = &lines[outcome].body else { return None };
    lines.iter().enumerate().find_map(|(at, line)| match &line.body {
        Body::Call { op, call, .. } if op == of => Some((at, call)),
        _ => None,
    })
}

fn log_of(lines: &[Line], part: Partition) -> Vec<Logged> {
    let mut log = Vec::new();
    for line in lines {
        if let (Process::Node(Node(1)), Body::Fact(Fact::Log(chunk))) = (&line.process, &line.body)
            && chunk.part == part
        {
            log.extend(chunk.events.iter().copied());
        }
    }
    log
}

/// Changes the final log of a random partition, on all nodes or on one.
fn change_log(
    lines: &mut [Line],
    dice: &mut Dice,
    nodes: &[u32],
    change: impl Fn(&mut Vec<Logged>, u64) -> bool,
) -> Option<u64> {
    let part = pick(
        lines,
        dice,
        |line| matches!(&line.body, Body::Fact(Fact::Log(chunk)) if chunk.events.len() > 6),
    )?;
    let Body::Fact(Fact::Log(LogChunk { part, .. })) = lines[part].body else { return None };
    let mut log = log_of(lines, part);
    let at = 1 + dice.below(log.len() as u64 - 4);
    if !change(&mut log, at) {
        return None;
    }
    let mut rest: BTreeMap<Node, Vec<Logged>> = nodes.iter().map(|node| (Node(*node), log.clone())).collect();
    for line in lines {
        if let (Process::Node(node), Body::Fact(Fact::Log(chunk))) = (&line.process, &mut line.body)
            && chunk.part == part
            && let Some(events) = rest.get_mut(node)
        {
            chunk.first = if events.is_empty() { Position(log.len() as u64 + 1) } else { Position(1) };
            chunk.events = std::mem::take(events);
        }
    }
    Some(at)
}

const EVERYWHERE: &[u32] = &[1, 2, 3];

fn acked(lines: &[Line], event: &Logged) -> bool {
    (0..lines.len()).any(|at| match (&lines[at].body, call_of(lines, at)) {
        (Body::Outcome { outcome: Outcome::Ok(_), .. }, Some((_, Call::Append(append)))) => {
            append.events.iter().any(|sent| sent.id == event.id)
        }
        _ => false,
    })
}

fn lost_ack(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    let before = lines.to_vec();
    change_log(lines, dice, EVERYWHERE, |log, at| acked(&before, &log.remove(at as usize)))
}

fn duplicated_id(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    change_log(lines, dice, EVERYWHERE, |log, at| {
        log.insert(at as usize + 1, log[at as usize]);
        true
    })
}

fn swapped(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    let before = lines.to_vec();
    change_log(lines, dice, EVERYWHERE, |log, at| {
        let at = at as usize;
        log.swap(at, at + 1);
        acked(&before, &log[at]) || log[at].entity == log[at + 1].entity
    })
}

fn changed_content(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    change_log(lines, dice, EVERYWHERE, |log, at| {
        log[at as usize].hash.0 ^= 1;
        true
    })
}

fn torn_batch(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    change_log(lines, dice, EVERYWHERE, |log, at| {
        let last = (at as usize..log.len() - 1).find(|at| log[*at].at == log[*at - 1].at);
        last.map(|last| log.remove(last)).is_some()
    })
}

fn other_replica(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    change_log(lines, dice, &[2], |log, at| {
        log[at as usize].version.0 += 1;
        true
    })
}

fn time_back(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    change_log(lines, dice, EVERYWHERE, |log, at| {
        log[at as usize].at = 3;
        true
    })
}

fn watermark_back(lines: &mut Vec<Line>, dice: &mut Dice) -> Option<u64> {
    let at = pick(lines, dice, |line| matches!(&line.body, Body::Fact(Fact::Node(state)) if state.wm.0 > 0))?;
    let mut later = lines[at].clone();
    if let Body::Fact(Fact::Node(state)) = &mut later.body {
        state.wm = Position(0);
    }
    lines.insert(at + 1, later);
    for (index, line) in (0..).zip(lines.iter_mut()) {
        line.index = index;
    }
    Some(at as u64 + 1)
}

fn some_read(lines: &[Line], dice: &mut Dice) -> Option<usize> {
    pick(
        lines,
        dice,
        |line| matches!(&line.body, Body::Outcome { outcome: Outcome::Ok(Answer::Read(range)), .. } if range.count > 0),
    )
}

fn change_read(lines: &mut [Line], dice: &mut Dice, change: impl Fn(&mut Range)) -> Option<u64> {
    let at = some_read(lines, dice)?;
    if let Some(Answer::Read(range)) = answer(&mut lines[at]) {
        change(range);
    }
    Some(at as u64)
}

fn lacking_read(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    change_read(lines, dice, |range| range.count -= 1)
}

fn other_read(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    change_read(lines, dice, |range| range.hash = Hash(range.hash.0 ^ 1))
}

fn unmarked_read(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    change_read(lines, dice, |range| range.wm = Position(range.last.0 - 1))
}

fn some_ack(lines: &[Line], dice: &mut Dice, passes: impl Fn(usize, &Appended) -> bool) -> Option<usize> {
    let at = |line: &Line| line.index as usize;
    pick(lines, dice, |line| match &line.body {
        Body::Outcome { outcome: Outcome::Ok(Answer::Append(appended)), .. } => passes(at(line), appended),
        _ => false,
    })
}

fn wrong_version(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    let at = some_ack(lines, dice, |_, _| true)?;
    if let Some(Answer::Append(appended)) = answer(&mut lines[at]) {
        appended.revs[0].0 += 1;
    }
    Some(at as u64)
}

fn unexpected(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    let expects = |at| match call_of(lines, at) {
        Some((_, Call::Append(append))) => matches!(append.expects[..], [(_, Expect::Rev(_))]),
        _ => false,
    };
    let at = some_ack(lines, dice, |at, appended| !appended.dedup && expects(at))?;
    let (call, _) = call_of(lines, at)?;
    if let Body::Call { call: Call::Append(append), .. } = &mut lines[call].body {
        append.expects[0].1 = Expect::Rev(Version(1_000_000));
    }
    Some(at as u64)
}

/// An acknowledged append that nobody else sent turns into a definite failure.
fn risen(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    let sent_once = |at| {
        let Some((_, Call::Append(append))) = call_of(lines, at) else { return false };
        let sends = |line: &&Line| matches!(&line.body, Body::Call { call: Call::Append(other), .. } if other == append);
        lines.iter().filter(sends).count() == 1 && !append.fence
    };
    let at = some_ack(lines, dice, |at, _| sent_once(at))?;
    if let Body::Outcome { outcome, .. } = &mut lines[at].body {
        *outcome = Outcome::Fail(Refusal { reason: Reason::Other("quota".into()), rev: None });
    }
    Some(at as u64)
}

/// The positions acknowledged before a line.
fn acked_before(lines: &[Line], line: usize) -> Vec<(Partition, u64)> {
    let mut acked = Vec::new();
    for at in 0..line {
        if let Body::Outcome { op: of, outcome: Outcome::Ok(Answer::Append(appended)), .. } = &lines[at].body
        {
            let scope = lines.iter().find_map(|line| match &line.body {
                Body::Call { op, scope, .. } if op == of => scope.part,
                _ => None,
            });
            acked.extend(scope.map(|part| (part, appended.last.0)));
        }
    }
    acked
}

fn not_found(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    let at = pick(lines, dice, |line| {
        let Body::Outcome { outcome: Outcome::Ok(Answer::Get(Some(found))), .. } = &line.body else {
            return false;
        };
        let Some((call, _)) = call_of(lines, line.index as usize) else { return false };
        acked_before(lines, call).iter().any(|(part, last)| *part == found.part && *last >= found.at.0)
    })?;
    *answer(&mut lines[at])? = Answer::Get(None);
    Some(at as u64)
}

fn stale_entity(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    let at = pick(lines, dice, |line| {
        let Body::Outcome { outcome: Outcome::Ok(Answer::Entity(range)), .. } = &line.body else {
            return false;
        };
        let Some((call, Call::Entity(read))) = call_of(lines, line.index as usize) else { return false };
        let part = Partition((read.stream.0 / 100) as u32);
        let position = log_of(lines, part).iter().position(|event| event.entity == read.stream);
        let Some(position) = position else { return false };
        let acked = acked_before(lines, call);
        read.mode == Mode::Strong
            && range.rev.0 > 0
            && acked.iter().any(|(of, last)| *of == part && *last > position as u64)
    })?;
    if let Some(Answer::Entity(range)) = answer(&mut lines[at]) {
        (range.rev, range.last, range.count, range.hash) = (Version(0), Version(0), 0, Hash(0));
    }
    Some(at as u64)
}

/// A read as of a position has an earlier head.
fn changed_past(lines: &mut [Line], dice: &mut Dice) -> Option<u64> {
    let at = pick(lines, dice, |line| {
        let Body::Outcome { outcome: Outcome::Ok(Answer::Read(range)), .. } = &line.body else {
            return false;
        };
        let Some((_, Call::Read(read))) = call_of(lines, line.index as usize) else { return false };
        matches!(read.mode, Mode::AsOf(Then::Pos(_))) && range.count > 0 && range.from == Position(1)
    })?;
    if let Some(Answer::Read(range)) = answer(&mut lines[at]) {
        (range.last, range.tail, range.count, range.hash) = (Position(0), Position(0), 0, Hash(0));
    }
    Some(at as u64)
}
