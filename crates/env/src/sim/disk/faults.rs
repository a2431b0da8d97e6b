//! What is wrong with a simulated disk: rules that strike at the n-th matching call, and standing conditions.

/// Faults to come. The default has none, so setting it heals the disk (but brings nothing back).
///
/// A rule names its victims by a part of their path, as it is at the time of the call, and counts their calls from
/// the moment the plan is given to the disk, from 1.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    rules: Vec<Rule>,
    capacity: Option<u64>,
    read_only: bool,
    lying_syncs: bool,
    few_files: bool,
}

/// How often a rule strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// At the n-th call only.
    Once,
    /// At the n-th call and at every one after it.
    Forever,
}

#[derive(Clone, Debug)]
struct Rule {
    call: Call,
    path: String,
    /// Calls to come until it strikes, the striking one included.
    left: u64,
    repeat: Repeat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Sync,
    Read,
    Write,
    MisdirectTo(u64),
}

impl FaultPlan {
    /// The `nth` sync fails with EIO: of a file, losing everything un-synced in it, for readers too; or of a
    /// directory, leaving its changes un-synced.
    #[must_use]
    pub fn fail_sync(self, path: &str, nth: u64, repeat: Repeat) -> FaultPlan {
        self.rule(Call::Sync, path, nth, repeat)
    }

    /// The `nth` read fails with EIO.
    #[must_use]
    pub fn fail_read(self, path: &str, nth: u64, repeat: Repeat) -> FaultPlan {
        self.rule(Call::Read, path, nth, repeat)
    }

    /// The `nth` write fails with EIO and writes nothing.
    #[must_use]
    pub fn fail_write(self, path: &str, nth: u64, repeat: Repeat) -> FaultPlan {
        self.rule(Call::Write, path, nth, repeat)
    }

    /// The `nth` write says it worked, but the bytes land at `offset` of the same file.
    #[must_use]
    pub fn misdirect_write(self, path: &str, nth: u64, offset: u64) -> FaultPlan {
        self.rule(Call::MisdirectTo(offset), path, nth, Repeat::Once)
    }

    /// Room for this many bytes of file content, in whole blocks, those already there included; writes that need
    /// more fail with ENOSPC after filling what is left.
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> FaultPlan {
        self.capacity = Some(bytes);
        self
    }

    /// Every change fails with EROFS.
    #[must_use]
    pub fn read_only(mut self) -> FaultPlan {
        self.read_only = true;
        self
    }

    /// Every sync says it worked and makes nothing durable.
    #[must_use]
    pub fn lying_syncs(mut self) -> FaultPlan {
        self.lying_syncs = true;
        self
    }

    /// No file can be opened any more, as by a process that has as many open as it may (EMFILE).
    #[must_use]
    pub fn few_files(mut self) -> FaultPlan {
        self.few_files = true;
        self
    }

    pub(super) fn room(&self) -> Option<u64> {
        self.capacity
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(super) fn lies(&self) -> bool {
        self.lying_syncs
    }

    pub(super) fn has_few_files(&self) -> bool {
        self.few_files
    }

    pub(super) fn sync_fails(&mut self, path: &str) -> bool {
        self.strike(path, |call| call == Call::Sync).is_some()
    }

    pub(super) fn read_fails(&mut self, path: &str) -> bool {
        self.strike(path, |call| call == Call::Read).is_some()
    }

    pub(super) fn write_fails(&mut self, path: &str) -> bool {
        self.strike(path, |call| call == Call::Write).is_some()
    }

    pub(super) fn write_lands_at(&mut self, path: &str) -> Option<u64> {
        match self.strike(path, |call| matches!(call, Call::MisdirectTo(_)))? {
            Call::MisdirectTo(offset) => Some(offset),
            Call::Sync | Call::Read | Call::Write => None,
        }
    }

    fn rule(mut self, call: Call, path: &str, nth: u64, repeat: Repeat) -> FaultPlan {
        assert!(nth >= 1, "a fault on {path} cannot strike at call 0: calls are counted from 1");
        self.rules.push(Rule { call, path: path.to_owned(), left: nth, repeat });
        self
    }

    /// Counts the call against every rule it matches; the first that strikes, if any.
    fn strike(&mut self, path: &str, matches: impl Fn(Call) -> bool) -> Option<Call> {
        let mut struck = None;
        for rule in self.rules.iter_mut().filter(|rule| matches(rule.call) && path.contains(&rule.path)) {
            rule.left -= 1;
            if rule.left == 0 {
                struck = struck.or(Some(rule.call));
                // Due again at the next call; a rule that strikes once goes below.
                rule.left = u64::from(rule.repeat == Repeat::Forever);
            }
        }
        self.rules.retain(|rule| rule.left > 0);
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_strikes_at_its_call_of_its_victims_only() {
        let mut once = FaultPlan::default().fail_sync("a", 2, Repeat::Once);
        let struck: Vec<_> = ["a", "b", "xa", "a"].iter().map(|path| once.sync_fails(path)).collect();
        assert_eq!(struck, [false, false, true, false]);
        let mut forever = FaultPlan::default().fail_read("a", 2, Repeat::Forever);
        assert!(!forever.sync_fails("a"));
        let struck: Vec<_> = (0..4).map(|_| forever.read_fails("a")).collect();
        assert_eq!(struck, [false, true, true, true]);
    }
}
