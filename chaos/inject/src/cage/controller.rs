//! Which version of control groups serves which controller here, and what is written to which file for it.

use std::fs;
use std::path::{Path, PathBuf};

use super::DiskRate;
use crate::disk::DeviceNumber;
use crate::error::{Result, While};

/// What a control group can govern for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    Memory,
    Disk,
    Freezer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// One tree for each controller.
    V1,
    /// One tree for all.
    V2,
}

/// A controller and the root of the tree that serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) controller: Controller,
    pub(crate) version: Version,
    pub(crate) root: PathBuf,
}

/// Every controller that this machine has.
pub(crate) fn find_seats() -> Result<Vec<Seat>> {
    let mountinfo =
        fs::read_to_string("/proc/self/mountinfo").during(|| "reading /proc/self/mountinfo".into())?;
    Ok(seats(&mountinfo, |root| fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default()))
}

/// The seats in the list of mounts; `controllers` gives those that a tree of the new version has.
fn seats(mountinfo: &str, controllers: impl Fn(&Path) -> String) -> Vec<Seat> {
    let mounts: Vec<_> = mountinfo.lines().filter_map(cgroup_mount).collect();
    let seat = |controller: Controller| {
        let old = mounts.iter().find(|(version, _, options)| {
            *version == Version::V1 && options.split(',').any(|option| option == controller.name(Version::V1))
        });
        let new = || {
            let serves = |root: &Path| match controller.name(Version::V2) {
                "" => true,
                name => controllers(root).split_whitespace().any(|has| has == name),
            };
            mounts.iter().find(|(version, root, _)| *version == Version::V2 && serves(root))
        };
        let (version, root, _) = old.or_else(new)?;
        Some(Seat { controller, version: *version, root: root.clone() })
    };
    [Controller::Memory, Controller::Disk, Controller::Freezer].into_iter().filter_map(seat).collect()
}

/// Version, mount point and options of a mount of control groups.
fn cgroup_mount(line: &str) -> Option<(Version, PathBuf, &str)> {
    let (place, filesystem) = line.split_once(" - ")?;
    let mut filesystem = filesystem.split(' ');
    let version = match filesystem.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    Some((version, place.split(' ').nth(4)?.into(), filesystem.nth(1)?))
}

impl Controller {
    /// Every group of the new version can be frozen, without a controller.
    fn name(self, version: Version) -> &'static str {
        match (self, version) {
            (Controller::Memory, _) => "memory",
            (Controller::Disk, Version::V1) => "blkio",
            (Controller::Disk, Version::V2) => "io",
            (Controller::Freezer, Version::V1) => "freezer",
            (Controller::Freezer, Version::V2) => "",
        }
    }
}

type Writes = Vec<(&'static str, String)>;

impl Seat {
    /// Lets groups below the root use the controller.
    pub(crate) fn prepare(&self) -> Result<()> {
        let name = self.controller.name(self.version);
        if self.version == Version::V1 || name.is_empty() {
            return Ok(());
        }
        let path = self.root.join("cgroup.subtree_control");
        fs::write(&path, format!("+{name}")).during(|| format!("writing +{name} to {}", path.display()))
    }

    pub(crate) fn memory_limit(&self, bytes: Option<u64>) -> Writes {
        let value = |unlimited: &str| bytes.map_or_else(|| unlimited.to_owned(), |bytes| bytes.to_string());
        match self.version {
            Version::V1 => vec![("memory.limit_in_bytes", value("-1"))],
            Version::V2 => vec![("memory.max", value("max"))],
        }
    }

    /// 0 bytes mean no limit.
    pub(crate) fn disk_rate(&self, device: DeviceNumber, rate: DiskRate) -> Writes {
        let DiskRate { write_bytes, read_bytes } = rate;
        match self.version {
            Version::V1 => {
                let line = |file, bytes: Option<u64>| Some((file, format!("{device} {}", bytes?)));
                let write = line("blkio.throttle.write_bps_device", write_bytes);
                write.into_iter().chain(line("blkio.throttle.read_bps_device", read_bytes)).collect()
            }
            Version::V2 => {
                let word = |key, bytes: Option<u64>| match bytes {
                    None => String::new(),
                    Some(0) => format!(" {key}=max"),
                    Some(bytes) => format!(" {key}={bytes}"),
                };
                vec![("io.max", format!("{device}{}{}", word("wbps", write_bytes), word("rbps", read_bytes)))]
            }
        }
    }

    pub(crate) fn frozen(&self, frozen: bool) -> Writes {
        match self.version {
            Version::V1 => vec![("freezer.state", if frozen { "FROZEN" } else { "THAWED" }.to_owned())],
            Version::V2 => vec![("cgroup.freeze", u8::from(frozen).to_string())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime shared:4 - cgroup cgroup rw,blkio\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    const NEW: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const LOOP: DeviceNumber = DeviceNumber { major: 7, minor: 3 };
    const SLOW: DiskRate = DiskRate { write_bytes: Some(1024), read_bytes: None };
    const FREE: DiskRate = DiskRate { write_bytes: Some(0), read_bytes: None };

    fn seat(controller: Controller, version: Version, root: &str) -> Seat {
        Seat { controller, version, root: root.into() }
    }

    #[test]
    fn a_machine_of_both_versions_uses_each_controller_where_it_is() {
        let expected = [
            seat(Controller::Memory, Version::V1, "/sys/fs/cgroup/memory"),
            seat(Controller::Disk, Version::V1, "/sys/fs/cgroup/blkio"),
            seat(Controller::Freezer, Version::V2, "/sys/fs/cgroup/unified"),
        ];
        assert_eq!(seats(MIXED, |_| String::new()), expected);
    }

    #[test]
    fn a_machine_of_the_new_version_has_what_its_tree_lists() {
        let found = seats(NEW, |_| "cpuset cpu memory pids\n".into());
        let controllers: Vec<_> = found.iter().map(|seat| seat.controller).collect();
        assert_eq!(controllers, [Controller::Memory, Controller::Freezer]);
        assert!(seats("22 27 0:21 / /proc rw - proc proc rw\n", |_| String::new()).is_empty());
    }

    #[test]
    fn each_version_has_its_words_for_a_slow_disk() {
        let [old, new] = [Version::V1, Version::V2].map(|version| seat(Controller::Disk, version, "/r"));
        assert_eq!(old.disk_rate(LOOP, SLOW), [("blkio.throttle.write_bps_device", "7:3 1024".into())]);
        assert_eq!(old.disk_rate(LOOP, FREE), [("blkio.throttle.write_bps_device", "7:3 0".into())]);
        assert_eq!(new.disk_rate(LOOP, SLOW), [("io.max", "7:3 wbps=1024".into())]);
        assert_eq!(new.disk_rate(LOOP, FREE), [("io.max", "7:3 wbps=max".into())]);
    }

    #[test]
    fn each_version_has_its_words_for_memory_and_freezing() {
        let [old, new] = [Version::V1, Version::V2].map(|version| seat(Controller::Memory, version, "/r"));
        assert_eq!(old.memory_limit(Some(5)), [("memory.limit_in_bytes", "5".into())]);
        assert_eq!(old.memory_limit(None), [("memory.limit_in_bytes", "-1".into())]);
        assert_eq!(new.memory_limit(None), [("memory.max", "max".into())]);
        assert_eq!(old.frozen(true), [("freezer.state", "FROZEN".into())]);
        assert_eq!(new.frozen(false), [("cgroup.freeze", "0".into())]);
    }
}
