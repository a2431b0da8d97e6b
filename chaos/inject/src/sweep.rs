//! Taking things away again: those of a ground that ends, and those of runs that were killed.
//!
//! Both go through the same steps over what the system lists now, so that what a drop removes is what a sweep removes,
//! and a step that failed halfway leaves nothing that the next sweep would not find.
//!
//! Order matters: disks that stand still hold processes, processes hold mounts, mounts hold loop devices, loop devices hold
//! images.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::cage::hierarchies;
use crate::clock::clean_up_after;
use crate::error::Result;
use crate::owner::{self, Mark};
use crate::pace::wait_until;
use crate::tool::{FSFREEZE, IP, LOSETUP, NFT, UMOUNT};

/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// What was taken away, and what could not be, in words.
#[derive(Debug, Default)]
pub struct Swept {
    /// One entry for each thing that was removed, its kind first.
    pub removed: Vec<String>,
    /// One entry for each thing that is still there, with the reason.
    pub stuck: Vec<String>,
}

/// Removes what runs left behind whose process no longer lives: their processes, mounts, loop devices, namespaces, network
/// devices, nft tables, control groups and directories. What a living run owns is not touched.
pub fn sweep() -> Swept {
    match owner::turn() {
        Ok(_turn) => sweep_in_turn(),
        Err(error) => Swept { removed: Vec::new(), stuck: vec![format!("everything: {error}")] },
    }
}

/// As [`sweep`], for who has the turn.
pub(crate) fn sweep_in_turn() -> Swept {
    let mut swept = Swept::default();
    // Asked first: the directories of a run that dies from here on are still mounted when it is their turn.
    let dead = owner::dead_claims();
    remove(&|mark| !owner::lives(mark.pid), &mut swept);
    for (pid, directories) in dead {
        directories.iter().for_each(|path| remove_directory(path, &mut swept));
        if directories.iter().all(|path| !path.exists()) {
            let _ = owner::forget(pid);
        }
    }
    swept
}

/// Removes what carries `mark` and lies in the system's own lists, and then its directory.
pub(crate) fn remove_all_of(mark: Mark, directory: &Path) -> Swept {
    let mut swept = Swept::default();
    remove(&|other| other == mark, &mut swept);
    remove_directory(directory, &mut swept);
    swept
}

fn remove(doomed: &dyn Fn(Mark) -> bool, swept: &mut Swept) {
    let namespaces = marked(&fs_names(Path::new("/run/netns")), doomed);
    let groups = groups(doomed);
    let mounts = marked(&mount_points(&read("/proc/self/mountinfo")), doomed);
    for mount in &mounts {
        // Who waits for a disk that stands still does not die, and it would stand still for ever. Most do not.
        let _ = FSFREEZE.on("--unfreeze", Path::new(mount));
    }
    end_processes(&namespaces, &groups, swept);
    for mount in mounts.iter().rev() {
        // One that is busy is taken out of sight, and goes when its last user does.
        let path = Path::new(mount);
        let undone = UMOUNT.on("", path).or_else(|_| UMOUNT.on("-l", path));
        swept.note("mount", mount, undone);
    }
    for (device, _) in loops().into_iter().filter(|(_, file)| Mark::of(file).is_some_and(doomed)) {
        swept.note("loop device", &device, LOSETUP.run(["-d", &device]));
    }
    for name in namespaces {
        swept.note("namespace", &name, IP.run(["netns", "del", &name]));
    }
    for name in marked(&fs_names(Path::new("/sys/class/net")), doomed) {
        // Its peer may have taken it along, before or just now: a namespace goes a moment after its name.
        let is_there = || Path::new("/sys/class/net").join(&name).exists();
        if is_there() {
            let removed = IP.run(["link", "del", &name]);
            if removed.is_ok() || is_there() {
                swept.note("network device", &name, removed);
            }
        }
    }
    let tables = NFT.line("list tables").unwrap_or_default();
    // nft's names have no dashes.
    let ours = |name: &String| Mark::of(&name.replace('_', "-")).is_some_and(doomed);
    for table in table_names(&tables).into_iter().filter(ours) {
        swept.note("nft table", &table, NFT.run(["delete", "table", "ip", &table]));
    }
    for group in groups {
        let removed = wait_until(GONE_WITHIN, || fs::remove_dir(&group).is_ok() || !group.exists());
        swept.note_if(removed, "control group", &group.display().to_string(), "it still has processes");
    }
}

fn end_processes(namespaces: &[String], groups: &[PathBuf], swept: &mut Swept) {
    let inside = namespaces.iter().map(|name| IP.run(["netns", "pids", name]).unwrap_or_default());
    let grouped = groups.iter().map(|group| {
        // A frozen process cannot die.
        let _ = fs::write(group.join("freezer.state"), "THAWED");
        let _ = fs::write(group.join("cgroup.freeze"), "0");
        fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default()
    });
    let own = std::process::id();
    let pids: BTreeSet<u32> =
        inside.chain(grouped).flat_map(|text| numbers(&text)).filter(|pid| *pid != own).collect();
    for pid in pids {
        let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
        let _ = kill_process(id, Signal::KILL);
        let gone = wait_until(GONE_WITHIN, || !runs(pid));
        if gone {
            clean_up_after(pid);
        }
        swept.note_if(gone, "process", &pid.to_string(), "it does not die");
    }
}

/// A zombie runs no more: it holds nothing, and only its parent can take it away.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn groups(doomed: &dyn Fn(Mark) -> bool) -> Vec<PathBuf> {
    let found = hierarchies().into_iter().flat_map(|root| {
        let names = marked(&fs_names(&root), doomed);
        names.into_iter().map(move |name| root.join(name))
    });
    found.collect::<BTreeSet<_>>().into_iter().collect()
}

fn remove_directory(path: &Path, swept: &mut Swept) {
    if !path.exists() {
        return;
    }
    let name = path.display().to_string();
    // What is on a disk is not to be removed one by one; and one that stands still would hold whoever tries.
    if let Some(mount) =
        mount_points(&read("/proc/self/mountinfo")).iter().find(|mount| Path::new(mount).starts_with(path))
    {
        return swept.note::<(), _>("directory", &name, Err(format!("{mount} is still mounted")));
    }
    swept.note("directory", &name, fs::remove_dir_all(path));
}

/// The loop devices in use: each with the path of its backing file.
fn loops() -> Vec<(String, String)> {
    loop_lines(&LOSETUP.line("--list --noheadings --output NAME,BACK-FILE").unwrap_or_default())
}

fn loop_lines(listed: &str) -> Vec<(String, String)> {
    let pairs = listed.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    pairs.map(|(device, file)| (device.to_owned(), file.trim().to_owned())).collect()
}

fn marked(names: &[String], doomed: &dyn Fn(Mark) -> bool) -> Vec<String> {
    names.iter().filter(|name| Mark::of(name).is_some_and(doomed)).cloned().collect()
}

/// Where file systems are mounted. The names of namespaces are mounts, too, and removed as namespaces.
fn mount_points(mountinfo: &str) -> Vec<String> {
    let real = mountinfo.lines().filter(|line| !line.contains(" - nsfs "));
    real.filter_map(|line| line.split(' ').nth(4)).map(unescaped).collect()
}

/// Paths in `/proc` have blanks as octal numbers.
fn unescaped(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

fn table_names(listed: &str) -> Vec<String> {
    listed
        .lines()
        .filter_map(|line| line.strip_prefix("table ip "))
        .map(|name| name.trim().to_owned())
        .collect()
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn fs_names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

impl Swept {
    fn note<T, E: ToString>(&mut self, kind: &str, name: &str, outcome: Result<T, E>) {
        match outcome {
            Ok(_) => self.removed.push(format!("{kind} {name}")),
            Err(error) => self.stuck.push(format!("{kind} {name}: {}", error.to_string())),
        }
    }

    fn note_if(&mut self, removed: bool, kind: &str, name: &str, why_not: &str) {
        self.note(kind, name, if removed { Ok(()) } else { Err(why_not) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: Mark = Mark { pid: 4_194_301, ground: 0 };
    const LIVING: Mark = Mark { pid: 4_194_302, ground: 0 };

    #[test]
    fn only_what_is_doomed_is_chosen() {
        let names = [DEAD.node(1), LIVING.node(1), "eth0".into(), DEAD.device('v', 2), LIVING.device('b', 0)];
        assert_eq!(marked(&names, &|mark| mark == DEAD), [DEAD.node(1), DEAD.device('v', 2)]);
    }

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let mountinfo = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
                         90 27 7:0 / /a\\040b/chronos-inject-4194301-0/n1 rw,relatime - ext4 /dev/loop0 rw\n\
                         91 27 0:4 net:[402653] /run/netns/chronos-inject-4194301-0-1 rw shared:9 - nsfs nsfs rw\n";
        assert_eq!(mount_points(mountinfo), ["/", "/a b/chronos-inject-4194301-0/n1"]);
    }

    #[test]
    fn loop_devices_are_read_with_their_files() {
        let listed = "/dev/loop0 /t/chronos-inject-4194301-0/n1.img\n/dev/loop12 /a b/c.img (deleted)\n";
        let loops = loop_lines(listed);
        assert_eq!(loops[0], ("/dev/loop0".into(), "/t/chronos-inject-4194301-0/n1.img".into()));
        assert_eq!(loops[1].0, "/dev/loop12");
        assert_eq!(Mark::of(&loops[0].1), Some(DEAD));
        assert_eq!(Mark::of(&loops[1].1), None);
    }

    #[test]
    fn tables_are_read_by_name() {
        let listed = "table inet filter\ntable ip chronos_inject_4194301_0\n";
        assert_eq!(table_names(listed), ["chronos_inject_4194301_0"]);
    }
}
