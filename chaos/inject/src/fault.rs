//! The catalogue: every kind of fault that this crate knows, by name, and what a machine must be able to do for it.

use std::fmt;

use crate::probe::Need;
use Need::{
    Bridge, Compiler, DiskGroup, DiskStall, FakeTime, FileSystemError, FreezerGroup, MemoryGroup, OwnDisk,
    PlaceOnDisk, PowerCut, RandomLoss, Resets, Rules, Shaping, SwitchWire,
};

macro_rules! catalogue {
    ($($(#[doc = $about:literal])+ $kind:ident = $name:literal, $id:literal, $needs:expr;)+) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault { $($(#[doc = $about])+ $kind,)+ }

        impl Fault {
            /// All kinds, in the order of the catalogue.
            pub const ALL: &[Fault] = &[$(Fault::$kind),+];

            /// The name that plans and reports use.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$kind => $name),+ }
            }

            /// The row of the project's fault catalogue that it belongs to: P process, N network, D disk, K clock.
            pub fn row(self) -> &'static str {
                match self { $(Fault::$kind => $id),+ }
            }

            pub(crate) fn needs(self) -> &'static [Need] {
                match self { $(Fault::$kind => $needs),+ }
            }
        }
    };
}

catalogue! {
    /// A process is gone at once: SIGKILL.
    Kill = "kill", "P1", &[];
    /// A process ends itself at a named point of its code.
    CrashPoint = "crash-point", "P2", &[];
    /// A process does nothing for a while: SIGSTOP.
    Pause = "pause", "P3", &[];
    /// All processes of a node do nothing for a while.
    Freeze = "freeze", "P3", &[FreezerGroup];
    /// A node needs more memory than it may have, and the kernel kills it.
    MemoryLimit = "memory-limit", "P4", &[MemoryGroup];
    /// A process is killed soon after each start.
    RestartLoop = "restart-loop", "P5", &[];
    /// A process may open no more files.
    FileLimit = "file-limit", "D12", &[];
    /// Two groups of nodes do not hear each other.
    Partition = "partition", "N1", &[Bridge, Rules];
    /// A node hears nobody and nobody hears it.
    Isolate = "isolate", "N1", &[Bridge, Rules];
    /// Two halves that do not hear each other, and one node that both hear.
    BridgeNode = "bridge-node", "N1", &[Bridge, Rules];
    /// A node is heard and does not hear.
    OneWay = "one-way", "N2", &[Bridge, Rules];
    /// Packets are lost by the kernel's dice.
    Loss = "loss", "N3", &[Bridge, RandomLoss];
    /// Packets are lost by seeded dice.
    SeededLoss = "seeded-loss", "N3", &[SwitchWire];
    /// Packets take longer.
    Delay = "delay", "N4", &[SwitchWire];
    /// Packets take longer, each by another span.
    Jitter = "jitter", "N4", &[SwitchWire];
    /// Packets overtake each other.
    Reorder = "reorder", "N4", &[SwitchWire];
    /// Packets arrive twice.
    Duplicate = "duplicate", "N5", &[SwitchWire];
    /// A node sends no faster than a slow line.
    SlowLink = "slow-link", "N6", &[Bridge, Shaping];
    /// Connections go silent, and neither side is told.
    HalfOpen = "half-open", "N7", &[Bridge, Rules];
    /// Connections are reset.
    Reset = "reset", "N8", &[Bridge, Resets];
    /// A link breaks and mends, again and again.
    Flapping = "flapping", "N8", &[Bridge, Rules];
    /// Nodes are cut off one by one and let in again in another order.
    Swizzle = "swizzle", "N9", &[Bridge, Rules];
    /// Packets carry a wrong bit that no checksum tells.
    Corrupt = "corrupt", "N12", &[SwitchWire];
    /// A node loses power: what was not synced is gone.
    PowerCutOne = "power-cut", "D1", &[OwnDisk, PowerCut];
    /// All nodes lose power at once.
    PowerCutAll = "power-cut-all", "D1", &[OwnDisk, PowerCut];
    /// The end of a file was never written.
    TornTail = "torn-tail", "D2", &[];
    /// A sync fails with EIO.
    SyncError = "sync-error", "D4", &[Compiler];
    /// A directory is back to how it was.
    Rollback = "rollback", "D5", &[];
    /// A bit on the disk is wrong, below the page cache.
    BitRot = "bit-rot", "D6", &[OwnDisk, PlaceOnDisk];
    /// Two files have each other's content.
    SwappedFiles = "swapped-files", "D7", &[];
    /// Two blocks of a file have each other's content.
    SwappedBlocks = "swapped-blocks", "D7", &[];
    /// No room is left.
    DiskFull = "disk-full", "D8", &[OwnDisk];
    /// Reads and writes wait for a slow disk.
    SlowDisk = "slow-disk", "D9", &[OwnDisk, DiskGroup];
    /// Writes wait for a disk that stands still.
    StalledDisk = "stalled-disk", "D9", &[OwnDisk, DiskStall];
    /// The file system turned read-only by itself.
    ReadOnly = "read-only", "D10", &[OwnDisk, FileSystemError];
    /// A file was cut short.
    Truncated = "truncated", "D11", &[];
    /// A file is gone.
    Removed = "removed", "D11", &[];
    /// There is a file that nobody knows.
    Stranger = "stranger", "D11", &[];
    /// Everything is gone.
    Wiped = "wiped", "D13", &[];
    /// Two nodes have the same directory.
    Twin = "twin", "D14", &[];
    /// The wall clock is wrong.
    ClockOffset = "clock-offset", "K1", &[FakeTime];
    /// The wall clock jumps while a process runs.
    ClockJump = "clock-jump", "K2", &[FakeTime];
    /// The wall clock runs too fast or stands still.
    ClockSpeed = "clock-speed", "K3", &[FakeTime];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_kinds_share_a_name() {
        let names: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), Fault::ALL.len());
    }

    #[test]
    fn every_kind_belongs_to_a_row_of_the_catalogue() {
        for fault in Fault::ALL {
            let (area, number) = fault.row().split_at(1);
            assert!("PNDK".contains(area) && number.parse::<u8>().is_ok(), "{fault}: {}", fault.row());
        }
    }
}
