//! Folds that were under way, kept in memory to begin the next one with.
//!
//! ```text
//! versions   1 ······ 256 ······ 512 ······ 768 ··· head
//! kept                 ▲          ▲          ▲
//! as of 700                       └─ fold 513..=700
//! ```
//!
//! Invariants: the bytes of all checkpoints stay within the bound, the least recently used going first; a checkpoint is
//! exactly the fold of the versions up to its own under the truncation it names. Values are kept as JSON text, whose
//! size is known and which reads back as what it was.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chronos_domain::limits::STATE_CHECKPOINT_VERSIONS;
use chronos_domain::{EntityId, ForkId, TenantId, Version};

use super::Reducer;
use super::fold::Fold;

/// Which folds can begin with each other's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) tenant: TenantId,
    pub(super) fork: ForkId,
    pub(super) entity: EntityId,
    pub(super) reducer: Reducer,
}

/// All checkpoints of a node.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    checkpoints: BTreeMap<(Line, Version), Checkpoint>,
    /// The checkpoints by when they were last used.
    used: BTreeMap<u64, (Line, Version)>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Checkpoint {
    value: Box<[u8]>,
    events: u64,
    truncated_before: Version,
    used: u64,
}

/// What a checkpoint takes besides its value and names: its nodes in both trees, generously.
const OVERHEAD_BYTES: usize = 384;
/// A checkpoint that takes more than this part of all room is not kept: it would displace too many others.
const SHARE: usize = 8;

impl Checkpoints {
    /// None yet, and never more than `bytes_max` bytes of them.
    pub(crate) const fn new(bytes_max: usize) -> Self {
        let kept = Kept { checkpoints: BTreeMap::new(), used: BTreeMap::new(), uses: 0, bytes: 0 };
        Self { bytes_max, kept: Mutex::new(kept) }
    }

    /// The last fold of the line that goes no further than `version`.
    pub(super) fn last(&self, line: &Line, version: Version) -> Option<Fold> {
        let mut kept = self.lock();
        let range = (line.clone(), Version::ZERO)..=(line.clone(), version);
        let (place, checkpoint) = kept.checkpoints.range(range).next_back()?;
        let fold = Fold {
            reducer: line.reducer,
            version: place.1,
            events: checkpoint.events,
            listed_bytes: 0,
            value: serde_json::from_slice(&checkpoint.value).expect("it was written from a value"),
            truncated_before: Some(checkpoint.truncated_before),
        };
        let place = place.clone();
        kept.touch(place);
        Some(fold)
    }

    /// Keeps the fold when it stands where checkpoints are kept. A list is not: it is as long as what it would save.
    pub(super) fn offer(&self, line: Option<&Line>, fold: &Fold) {
        let Some(line) = line else { return };
        let due = fold.version.get().is_multiple_of(STATE_CHECKPOINT_VERSIONS);
        let Some(truncated_before) = fold.truncated_before.filter(|_| due) else { return };
        if fold.reducer == Reducer::List {
            return;
        }
        let value = serde_json::to_vec(&fold.value).expect("a value is JSON").into_boxed_slice();
        if cost(line, &value) > self.bytes_max / SHARE {
            return;
        }
        let checkpoint = Checkpoint { value, events: fold.events, truncated_before, used: 0 };
        let mut kept = self.lock();
        kept.keep((line.clone(), fold.version), checkpoint);
        while kept.bytes > self.bytes_max {
            kept.drop_oldest();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Every change is made whole before anything can panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, place: (Line, Version), checkpoint: Checkpoint) {
        self.bytes += cost(&place.0, &checkpoint.value);
        if let Some(before) = self.checkpoints.insert(place.clone(), checkpoint) {
            self.used.remove(&before.used);
            self.bytes -= cost(&place.0, &before.value);
        }
        self.touch(place);
    }

    fn touch(&mut self, place: (Line, Version)) {
        let checkpoint = self.checkpoints.get_mut(&place).expect("it was just found");
        self.uses += 1;
        self.used.remove(&checkpoint.used);
        checkpoint.used = self.uses;
        self.used.insert(self.uses, place);
    }

    fn drop_oldest(&mut self) {
        let Some((_, place)) = self.used.pop_first() else { return };
        if let Some(checkpoint) = self.checkpoints.remove(&place) {
            self.bytes -= cost(&place.0, &checkpoint.value);
        }
    }
}

fn cost(line: &Line, value: &[u8]) -> usize {
    OVERHEAD_BYTES + line.tenant.as_str().len() + line.entity.as_str().len() + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(entity: &str) -> Line {
        Line {
            tenant: TenantId::default_tenant(),
            fork: ForkId::MAIN,
            entity: EntityId::parse(entity).unwrap(),
            reducer: Reducer::Merge,
        }
    }

    fn fold(version: u64, value: &str) -> Fold {
        Fold {
            version: Version::new(version),
            events: version,
            value: value.into(),
            truncated_before: Some(Version::ZERO),
            ..Fold::new(Reducer::Merge)
        }
    }

    #[test]
    fn a_fold_begins_at_the_last_checkpoint_of_its_own_line_and_past() {
        let checkpoints = Checkpoints::new(1 << 20);
        for version in 1..=1024 {
            checkpoints.offer(Some(&line("b")), &fold(version, "b"));
        }
        checkpoints.offer(Some(&line("a")), &fold(1024, "a"));
        let last = |entity: &str, version| {
            checkpoints.last(&line(entity), Version::new(version)).map(|fold| fold.version.get())
        };
        assert_eq!(last("b", 255), None);
        assert_eq!(last("b", 256), Some(256));
        assert_eq!(last("b", 1023), Some(768));
        assert_eq!(last("b", u64::MAX), Some(1024));
        assert_eq!(last("a", 1023), None);
        assert_eq!(last("c", u64::MAX), None);
        assert_eq!(checkpoints.last(&line("b"), Version::new(600)), Some(fold(512, "b")));
        assert_eq!(checkpoints.last(&Line { reducer: Reducer::Last, ..line("b") }, Version::MAX), None);
    }

    #[test]
    fn the_least_recently_used_goes_first_and_the_bytes_stay_within_their_bound() {
        let each = cost(&line("a"), b"\"x\"");
        let checkpoints = Checkpoints::new(each * 10);
        for version in 1..=10 {
            checkpoints.offer(Some(&line("a")), &fold(version * 256, "x"));
        }
        assert_eq!(checkpoints.lock().bytes, each * 10);
        assert!(checkpoints.last(&line("a"), Version::new(256)).is_some());
        checkpoints.offer(Some(&line("b")), &fold(256, "x"));
        // The second is gone: the first had been asked for.
        let found = |version| checkpoints.last(&line("a"), Version::new(version)).map(|f| f.version.get());
        assert_eq!(found(512), Some(256));
        assert_eq!(found(768), Some(768));
        let kept = checkpoints.lock();
        assert_eq!(kept.bytes, each * 10);
        assert_eq!(kept.checkpoints.len(), kept.used.len());
    }

    #[test]
    fn keeping_the_same_checkpoint_again_takes_no_more_room() {
        let checkpoints = Checkpoints::new(1 << 20);
        checkpoints.offer(Some(&line("a")), &fold(256, "some"));
        checkpoints.offer(Some(&line("a")), &fold(256, "x"));
        let kept = checkpoints.lock();
        assert_eq!(kept.bytes, cost(&line("a"), b"\"x\""));
        assert_eq!((kept.checkpoints.len(), kept.used.len()), (1, 1));
    }

    #[test]
    fn what_is_too_big_or_not_due_is_not_kept() {
        let checkpoints = Checkpoints::new(16 << 10);
        checkpoints.offer(Some(&line("a")), &fold(256, &"x".repeat(4096)));
        checkpoints.offer(Some(&line("a")), &fold(257, "x"));
        checkpoints.offer(None, &fold(256, "x"));
        checkpoints.offer(Some(&line("a")), &Fold { truncated_before: None, ..fold(256, "x") });
        checkpoints.offer(Some(&line("a")), &Fold { reducer: Reducer::List, ..fold(256, "x") });
        assert_eq!(checkpoints.lock().bytes, 0);
    }
}
