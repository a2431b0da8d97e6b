//! Where a node may be made to die in this crate, in the order a write passes them.

pub(crate) const BEFORE_WRITE: &str = "wal.unit.before_write";
pub(crate) const AFTER_WRITE: &str = "wal.unit.after_write";
pub(crate) const AFTER_SYNC: &str = "wal.unit.after_sync";
pub(crate) const AFTER_MARK: &str = "wal.unit.after_mark";
pub(crate) const MARK_SYNCED: &str = "wal.mark.after_sync";
pub(crate) const SEGMENT_CREATED: &str = "wal.segment.after_create";
pub(crate) const SEGMENT_ZEROED: &str = "wal.segment.after_zero";
pub(crate) const SEGMENT_HEADED: &str = "wal.segment.after_header";
pub(crate) const SEGMENT_RENAMED: &str = "wal.segment.after_rename";
pub(crate) const SEGMENT_NAMED: &str = "wal.segment.after_dir_sync";
pub(crate) const SEGMENT_NOTED: &str = "wal.segment.after_note";
pub(crate) const RECYCLE_BEFORE: &str = "wal.recycle.before_rename";
pub(crate) const RECYCLE_RENAMED: &str = "wal.recycle.after_rename";
pub(crate) const RECYCLE_REMOVED: &str = "wal.recycle.after_remove";
pub(crate) const CUT_BEFORE: &str = "wal.cut.before";
pub(crate) const CUT_AFTER: &str = "wal.cut.after";
pub(crate) const LANE_MADE: &str = "wal.lanes.after_make";
pub(crate) const LANE_MARKED: &str = "wal.lanes.after_mark";
pub(crate) const ROSTER_WRITTEN: &str = "wal.lanes.after_write";

/// Every name this crate passes to [`chronos_env::CrashPoints::hit`].
pub const CRASH_POINTS: &[&str] = &[
    BEFORE_WRITE,
    AFTER_WRITE,
    AFTER_SYNC,
    AFTER_MARK,
    MARK_SYNCED,
    SEGMENT_CREATED,
    SEGMENT_ZEROED,
    SEGMENT_HEADED,
    SEGMENT_RENAMED,
    SEGMENT_NAMED,
    SEGMENT_NOTED,
    RECYCLE_BEFORE,
    RECYCLE_RENAMED,
    RECYCLE_REMOVED,
    CUT_BEFORE,
    CUT_AFTER,
    LANE_MADE,
    LANE_MARKED,
    ROSTER_WRITTEN,
];
