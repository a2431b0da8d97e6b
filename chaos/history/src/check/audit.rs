//! S25, the audit log, and S21 outside of responses.

use std::collections::BTreeMap;

use crate::call::{Admin, Call};
use crate::fact::{AuditRecord, Scan};
use crate::report::Invariant::{S21, S25};
use crate::report::{At, Tally};
use crate::{Decision, Hash};

#[derive(Default)]
pub(super) struct Audit {
    asked: BTreeMap<Decision, Asked>,
    seq: u64,
    chain: Hash,
}

struct Asked {
    at: At,
    /// Its outcome is known, be it a yes or a no.
    is_decided: bool,
    records: u64,
}

impl Audit {
    pub(super) fn asked(&mut self, at: At, admin: &Admin, report: &mut Tally) {
        let asked = Asked { at, is_decided: false, records: 0 };
        if self.asked.insert(admin.decision, asked).is_some() {
            report.undecided(at, format!("decision {} was asked for twice", admin.decision));
        }
    }

    pub(super) fn ended(&mut self, at: At, call: &Call) {
        if let Call::Admin(admin) = call
            && let Some(asked) = self.asked.get_mut(&admin.decision)
        {
            (asked.at, asked.is_decided) = (at, true);
        }
    }

    pub(super) fn record(&mut self, at: At, record: &AuditRecord, report: &mut Tally) {
        let AuditRecord { seq, decision, prev, hash } = *record;
        let expected = self.seq + 1;
        report.check(S25, at, seq == expected, || format!("audit record {seq} stands where {expected} must"));
        report.check(S25, at, prev == self.chain, || {
            format!(
                "audit record {seq} follows a record with chain {prev}, the one before it has {}",
                self.chain
            )
        });
        (self.seq, self.chain) = (seq, hash);
        let Some(decision) = decision else { return };
        let asked = self.asked.get_mut(&decision);
        report.check(S25, at, asked.is_some(), || {
            format!("audit record {seq} is of decision {decision}, which nobody asked for")
        });
        if let Some(asked) = asked {
            asked.records += 1;
        }
    }

    /// Each decision has one record; one that nobody knows the outcome of has at most one.
    pub(super) fn end(&self, report: &mut Tally) {
        for (decision, asked) in &self.asked {
            let holds = asked.records == 1 || asked.records == 0 && !asked.is_decided;
            report.check(S25, asked.at, holds, || {
                format!("decision {decision} has {} audit records", asked.records)
            });
        }
    }

    pub(super) fn scan(&self, at: At, scan: &Scan, report: &mut Tally) {
        let foreign = scan.canaries.iter().find(|canary| Some(**canary) != scan.tenant);
        report.check(S21, at, foreign.is_none(), || {
            let foreign = foreign.copied().unwrap_or_default();
            format!("{} holds bytes of tenant {foreign}", scan.place)
        });
    }
}
