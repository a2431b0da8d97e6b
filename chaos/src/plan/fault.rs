//! The faults there are.

use serde::{Deserialize, Serialize};

/// Whom a fault strikes. Who that is shows when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Victim {
    /// This node, from 1.
    Node(u32),
    /// Whoever leads this partition.
    Leader(u8),
    /// Somebody who does not lead this partition.
    Follower(u8),
    /// More than half of the nodes.
    Majority,
    /// All nodes.
    All,
}

/// Which way nothing passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Neither.
    Both,
    /// To the victim: it speaks, and hears nobody.
    In,
    /// From the victim: it hears, and nobody hears it.
    Out,
}

/// Something that goes wrong. Where it says so, only a copy that another node has saves what is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// The process dies at once; what it wrote is in the page cache.
    Kill {
        /// Whom.
        victim: Victim,
    },
    /// The power goes: what was not synced is lost, in any order and in part.
    PowerCut {
        /// Whom.
        victim: Victim,
    },
    /// The power goes at a place in the code that has a name.
    Crash {
        /// Whom.
        victim: Victim,
        /// Which place.
        point: String,
        /// At which pass, from 1.
        nth: u64,
    },
    /// The process dies at a place in the code that has a name; what it wrote is in the page cache.
    KillAt {
        /// Whom.
        victim: Victim,
        /// Which place.
        point: String,
        /// At which pass, from 1.
        nth: u64,
    },
    /// The process stands still.
    Pause {
        /// Whom.
        victim: Victim,
    },
    /// The process dies again and again, shortly after each start.
    RestartLoop {
        /// Whom.
        victim: Victim,
    },
    /// One node after the other is stopped in order and started again.
    RollingRestart,
    /// Nothing passes between the victim and the other nodes.
    Isolate {
        /// Whom.
        victim: Victim,
        /// Which way.
        direction: Direction,
    },
    /// The nodes fall into two halves, and only the victim hears both.
    Bridge {
        /// Whom.
        victim: Victim,
    },
    /// Nodes are cut off one by one, and heard again one by one in another order.
    Swizzle,
    /// Whoever the victim calls at the address of another node, a third one answers.
    Misled {
        /// Whom.
        victim: Victim,
    },
    /// Clients reach only the victim.
    OnlyWayIn {
        /// Whom.
        victim: Victim,
    },
    /// What is sent to and by the victim takes long.
    Delay {
        /// Whom.
        victim: Victim,
        /// At least so many milliseconds.
        min_ms: u64,
        /// At most.
        max_ms: u64,
    },
    /// Little passes to and from the victim.
    Trickle {
        /// Whom.
        victim: Victim,
        /// Bytes in a second.
        bytes_per_second: u64,
    },
    /// Connections to the victim go silent for ever, and nobody is told.
    Wedge {
        /// Whom.
        victim: Victim,
    },
    /// Connections to the victim are reset again and again.
    Resets {
        /// Whom.
        victim: Victim,
    },
    /// The link to the victim comes and goes.
    Flapping {
        /// Whom.
        victim: Victim,
    },
    /// A sync fails, and what it was to make durable is gone.
    SyncFails {
        /// Whom.
        victim: Victim,
    },
    /// A write fails.
    WriteFails {
        /// Whom.
        victim: Victim,
    },
    /// A read fails.
    ReadFails {
        /// Whom.
        victim: Victim,
    },
    /// There is hardly any room left on the disk.
    Full {
        /// Whom.
        victim: Victim,
    },
    /// Nothing on the disk can be changed.
    ReadOnly {
        /// Whom.
        victim: Victim,
    },
    /// Syncs take long.
    SlowDisk {
        /// Whom.
        victim: Victim,
        /// So many milliseconds each.
        sync_ms: u64,
    },
    /// Syncs say that they worked and make nothing durable; then the power goes. Only copies save what is there.
    LyingDisk {
        /// Whom.
        victim: Victim,
    },
    /// The disk is set back to what it held a while ago. Only copies save what came since.
    Rollback {
        /// Whom.
        victim: Victim,
    },
    /// Bits flip in files. Only copies save what is there.
    Rot {
        /// Whom.
        victim: Victim,
        /// How many.
        bits: u32,
    },
    /// The same bytes rot wherever they are, so that no good copy of them is left: those of one place of one node, and on
    /// every other victim those that are like them, or else some at the same place.
    Blight {
        /// Whom: mostly all.
        victim: Victim,
        /// Whether the processes are down meanwhile, and meet it when they start.
        while_down: bool,
    },
    /// A write lands elsewhere in its file. Only copies save what is there.
    Misdirect {
        /// Whom.
        victim: Victim,
    },
    /// A file is cut short, removed, or exchanged with another one, while the process is down. Only copies save what is
    /// there.
    Mangle {
        /// Whom.
        victim: Victim,
    },
    /// The disk is empty when the process starts again. Only copies save what is there.
    Wipe {
        /// Whom.
        victim: Victim,
    },
    /// The wall clock jumps.
    ClockStep {
        /// Whom.
        victim: Victim,
        /// By so many milliseconds, forwards or back.
        by_ms: i64,
    },
    /// The wall clock runs too fast or too slow.
    ClockDrift {
        /// Whom.
        victim: Victim,
        /// By so many millionths.
        ppm: i64,
    },
    /// The wall clock stands still.
    ClockStop {
        /// Whom.
        victim: Victim,
    },
    /// Packets between the victim and the other nodes are lost.
    Loss {
        /// Whom.
        victim: Victim,
        /// How many of 1,000.
        per_mille: u16,
    },
    /// Packets between the victim and the other nodes arrive twice.
    Duplicate {
        /// Whom.
        victim: Victim,
        /// How many of 1,000.
        per_mille: u16,
        /// How much later the second one comes at most, in milliseconds.
        lag_ms: u64,
    },
    /// Packets between the victim and the other nodes are overtaken.
    Reorder {
        /// Whom.
        victim: Victim,
        /// How many of 1,000.
        per_mille: u16,
        /// How long one is held back, in milliseconds.
        lag_ms: u64,
    },
    /// Packets between the victim and the other nodes carry a wrong bit that no checksum of the network tells.
    Corrupt {
        /// Whom.
        victim: Victim,
        /// How many of 1,000.
        per_mille: u16,
    },
    /// The victim gets hardly more memory than it has, and is killed when it needs more.
    OutOfMemory {
        /// Whom.
        victim: Victim,
    },
    /// The victim can open no file and no connection more.
    FewFiles {
        /// Whom.
        victim: Victim,
    },
    /// All that runs on the victim's machine stands still, its kernel excepted.
    Freeze {
        /// Whom.
        victim: Victim,
    },
    /// The victim's disk reads and writes slowly.
    Throttle {
        /// Whom.
        victim: Victim,
        /// So many bytes in a second each way.
        bytes_per_second: u64,
    },
    /// Leaders change again and again.
    Churn,
    /// The victim comes to lead as many partitions as it can, and dies.
    Gather {
        /// Whom.
        victim: Victim,
    },
    /// The victim stands still in the midst of handing over what it leads.
    PauseInTransfer {
        /// Whom.
        victim: Victim,
    },
    /// A partition is compacted by hand.
    Compact,
    /// Everything on the victim's disk is read again.
    Scrub {
        /// Whom.
        victim: Victim,
    },
    /// The victim gives away what it holds, and takes it back.
    Drain {
        /// Whom.
        victim: Victim,
    },
}

impl Fault {
    /// Whom it strikes, if it does not strike the cluster as a whole.
    #[must_use]
    pub fn victim(&self) -> Option<Victim> {
        match self {
            Fault::Kill { victim }
            | Fault::PowerCut { victim }
            | Fault::Crash { victim, .. }
            | Fault::KillAt { victim, .. }
            | Fault::Pause { victim }
            | Fault::RestartLoop { victim }
            | Fault::Isolate { victim, .. }
            | Fault::Bridge { victim }
            | Fault::Misled { victim }
            | Fault::OnlyWayIn { victim }
            | Fault::Delay { victim, .. }
            | Fault::Trickle { victim, .. }
            | Fault::Wedge { victim }
            | Fault::Resets { victim }
            | Fault::Flapping { victim }
            | Fault::SyncFails { victim }
            | Fault::WriteFails { victim }
            | Fault::ReadFails { victim }
            | Fault::Full { victim }
            | Fault::ReadOnly { victim }
            | Fault::SlowDisk { victim, .. }
            | Fault::LyingDisk { victim }
            | Fault::Rollback { victim }
            | Fault::Rot { victim, .. }
            | Fault::Blight { victim, .. }
            | Fault::Misdirect { victim }
            | Fault::Mangle { victim }
            | Fault::Wipe { victim }
            | Fault::ClockStep { victim, .. }
            | Fault::ClockDrift { victim, .. }
            | Fault::ClockStop { victim }
            | Fault::Loss { victim, .. }
            | Fault::Duplicate { victim, .. }
            | Fault::Reorder { victim, .. }
            | Fault::Corrupt { victim, .. }
            | Fault::OutOfMemory { victim }
            | Fault::FewFiles { victim }
            | Fault::Freeze { victim }
            | Fault::Throttle { victim, .. }
            | Fault::Gather { victim }
            | Fault::PauseInTransfer { victim }
            | Fault::Scrub { victim }
            | Fault::Drain { victim } => Some(*victim),
            Fault::RollingRestart | Fault::Swizzle | Fault::Churn | Fault::Compact => None,
        }
    }

    /// Whether only a copy that another node has saves what the victim had, or was sent.
    #[must_use]
    pub fn harms_the_disk(&self) -> bool {
        matches!(
            self,
            Fault::LyingDisk { .. }
                | Fault::Rollback { .. }
                | Fault::Rot { .. }
                | Fault::Blight { .. }
                | Fault::Misdirect { .. }
                | Fault::Mangle { .. }
                | Fault::Wipe { .. }
                | Fault::Corrupt { .. }
        )
    }

    /// The word it is counted by.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill { .. } => "kill",
            Fault::PowerCut { victim: Victim::All } => "power-cut-all",
            Fault::PowerCut { .. } => "power-cut",
            Fault::Crash { .. } => "crash",
            Fault::KillAt { .. } => "kill-at",
            Fault::Pause { .. } => "pause",
            Fault::RestartLoop { .. } => "restart-loop",
            Fault::RollingRestart => "rolling-restart",
            Fault::Isolate { direction: Direction::Both, .. } => "isolate",
            Fault::Isolate { direction: Direction::In, .. } => "isolate-in",
            Fault::Isolate { direction: Direction::Out, .. } => "isolate-out",
            Fault::Bridge { .. } => "bridge",
            Fault::Swizzle => "swizzle",
            Fault::Misled { .. } => "misled",
            Fault::OnlyWayIn { .. } => "only-way-in",
            Fault::Delay { .. } => "delay",
            Fault::Trickle { .. } => "trickle",
            Fault::Wedge { .. } => "wedge",
            Fault::Resets { .. } => "resets",
            Fault::Flapping { .. } => "flapping",
            Fault::SyncFails { .. } => "sync-fails",
            Fault::WriteFails { .. } => "write-fails",
            Fault::ReadFails { .. } => "read-fails",
            Fault::Full { .. } => "full",
            Fault::ReadOnly { .. } => "read-only",
            Fault::SlowDisk { .. } => "slow-disk",
            Fault::LyingDisk { .. } => "lying-disk",
            Fault::Rollback { .. } => "rollback",
            Fault::Rot { .. } => "rot",
            Fault::Blight { .. } => "blight",
            Fault::Misdirect { .. } => "misdirect",
            Fault::Mangle { .. } => "mangle",
            Fault::Wipe { .. } => "wipe",
            Fault::ClockStep { .. } => "clock-step",
            Fault::ClockDrift { .. } => "clock-drift",
            Fault::ClockStop { .. } => "clock-stop",
            Fault::Loss { .. } => "loss",
            Fault::Duplicate { .. } => "duplicate",
            Fault::Reorder { .. } => "reorder",
            Fault::Corrupt { .. } => "corrupt",
            Fault::OutOfMemory { .. } => "out-of-memory",
            Fault::FewFiles { .. } => "few-files",
            Fault::Freeze { .. } => "freeze",
            Fault::Throttle { .. } => "throttle",
            Fault::Churn => "churn",
            Fault::Gather { .. } => "gather",
            Fault::PauseInTransfer { .. } => "pause-in-transfer",
            Fault::Compact => "compact",
            Fault::Scrub { .. } => "scrub",
            Fault::Drain { .. } => "drain",
        }
    }
}
