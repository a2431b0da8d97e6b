//! Judging a history in one pass, with the final logs as oracle.
//!
//! # Why no search is needed
//!
//! Checking linearizability is hard in general because nobody knows the order in which operations took effect. Here
//! every append says where its events lie and every read how far it saw, and the final log says what is at each
//! position. That fixes the only order there can be:
//!
//! **Claim.** Let each operation on one partition have a *point*: an append the position of its last event, a strong
//! read (or an append that was answered as a duplicate) the tail it saw. A history in which every operation has a
//! point is linearizable as an append/read object with the final log as its last state if and only if
//!
//! 1. *prefix*: each append's positions hold its events in the final log, and each read saw exactly the final log up to
//!    its tail; and
//! 2. *floor*: no append lies at or below the point of an operation that had returned before it was sent, and no read's
//!    tail lies below such a point.
//!
//! **Proof.** *If.* Order operations by point, appends before reads of the same point, reads of the same point by the
//! time they were sent. Appends are ordered by position, so running them in this order builds the final log, and
//! each read comes right after the append whose last event is its tail (no tail splits a batch: S13), so by *prefix*
//! it returns what it must. Real time is kept: if X returned before Y was sent, *floor* says point(X) < point(Y) when Y is
//! an append and point(X) ≤ point(Y) when Y is a read; with equal points, X is an append, which comes first, or a read
//! that was sent earlier. *Only if.* In any legal order, appends stand in the order of their positions, since each
//! returned its own; and a read stands after the append that wrote its tail and before the next. If X returned before Y
//! was sent, X stands before Y, hence Y's point is not below X's, and above it when Y is an append: *floor*. A read
//! returns the state that the appends before it built, which is a prefix of the final log: *prefix*. ∎
//!
//! Operations whose outcome is unknown need no branches: the log was fenced, so either their events are in it, which
//! gives them a point and an interval that never ends, or they are absent for ever and took no effect.
//!
//! For appends, *floor* is judged from its other side, which needs no return of the append: when an operation returns,
//! every event up to its point must have been sent. The highest position for which that is so is the *ceiling*. An append
//! sent later that lies at or below the point is exactly one that the ceiling missed. (A retry that claims to have
//! written what lay there before it was sent is compared with the floor.)
//!
//! Floor and ceiling of each partition are one number each, which only rise; prefixes are compared by hashes of the final log's
//! prefixes. So the whole is linear in the history. (What is not: `fail_if` looks at each event between `after` and the
//! append, and each distinct filter scans its log once.)

mod appends;
mod audit;
mod ending;
mod expectations;
mod filters;
mod forks;
mod judge;
mod log;
mod map;
mod oracle;
mod past;
mod ranges;
mod reads;
mod replicas;
mod sequence;
mod storage;
mod subscriptions;
mod unserved;

use std::path::Path;

use crate::line::Line;
use crate::read::{ReadError, read};
use crate::report::Report;

/// Judges the history in these files: all files of one history, in any order, plain or gzip'ed. One pass in memory, in
/// the order of time; that this decides linearizability is proven at the head of this file.
///
/// # Errors
/// The files are no complete sequence of lines of this format. A history that is, but breaks a promise or leaves
/// something undecided, is a [`Report`] that is not clean.
pub fn check(paths: &[impl AsRef<Path>]) -> Result<Report, ReadError> {
    Ok(check_lines(&read(paths)?))
}

/// Judges a history that has been read: all its lines, in order.
pub fn check_lines(lines: &[Line]) -> Report {
    judge::judge(lines)
}
