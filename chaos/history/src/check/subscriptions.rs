//! S14: a walk along the final log.
//!
//! On one connection each delivery begins where the one before ended, so there is no gap and no duplicate; a new
//! connection may go back, not ahead. That everything in between was received, and nothing else, is in number and hash.

use super::judge::{Judge, Open};
use crate::answer::Delivery;
use crate::call::{Call, Subscribe};
use crate::report::At;
use crate::report::Invariant::{S2, S14, S22};

/// How far a subscription has come.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    conn: u32,
    covered: u64,
}

impl Progress {
    pub(super) fn new(call: &Call) -> Progress {
        let first = if let Call::Sub(subscribe) = call { subscribe.from.0 } else { 0 };
        Progress { conn: 0, covered: first.saturating_sub(1) }
    }
}

impl Judge<'_> {
    pub(super) fn delivered(
        &mut self,
        at: At,
        open: &mut Open<'_>,
        subscribe: &Subscribe,
        delivery: &Delivery,
    ) {
        let Some(log) = self.log_of(at, open) else { return };
        let Progress { conn, covered } = open.progress;
        let (after, to) = (delivery.from.0.saturating_sub(1), delivery.to.0);
        let joins =
            if delivery.conn == conn { after == covered } else { delivery.conn > conn && after <= covered };
        self.report.check(S14, at, joins, || {
            let from = delivery.from;
            format!("connection {} goes on at {from}, connection {conn} had come to {covered}", delivery.conn)
        });
        open.progress = Progress { conn: delivery.conn, covered: to.max(after) };
        let ceiling = self.ceiling(log, to);
        let known = self.report.check(S14, at, to <= ceiling.max(after), || {
            format!(
                "delivered up to {to}, yet only up to {ceiling} everything had been sent or will be there"
            )
        });
        if !known || !joins {
            return;
        }
        let (count, hash) = self.shown((log, open.scope.tenant), &subscribe.filter, after, to);
        self.report.check(S22, at, delivery.bad == 0, || {
            format!("{} events were delivered with bytes that belie their checksum", delivery.bad)
        });
        let whole = self.report.check(S14, at, delivery.count == count, || {
            let marker = if delivery.marker { ", and the subscriber was told it had caught up" } else { "" };
            format!("{} events were delivered up to {to} where there are {count}{marker}", delivery.count)
        });
        if whole {
            self.report.check(S2, at, delivery.hash == hash, || {
                format!("delivered up to {to} with hash {}, the final log has {hash} there", delivery.hash)
            });
        }
    }
}
