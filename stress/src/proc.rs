//! What processes and directories take, as this machine says.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::sample::ProcessSample;

/// The unit of `blocks` of a file, whatever its file system's own.
const BLOCK_BYTES: u64 = 512;

/// What a process takes now; none if it is gone, or its id is another one's by now.
#[must_use]
pub fn sample(pid: u32) -> Option<ProcessSample> {
    let proc = Path::new("/proc").join(pid.to_string());
    let stat = fs::read_to_string(proc.join("stat")).ok()?;
    let status = fs::read_to_string(proc.join("status")).ok()?;
    let fds = fs::read_dir(proc.join("fd")).ok()?.count() as u64;
    Some(ProcessSample {
        pid,
        born: born(&stat)?,
        rss_bytes: field(&status, "VmRSS:")? * 1024,
        fds,
        threads: field(&status, "Threads:")?,
    })
}

/// Field 22 of `stat`; its second, a name in parentheses, may itself hold spaces and parentheses.
fn born(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    after.split_whitespace().nth(19)?.parse().ok()
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes that all files below a directory take on the disk. A file that goes meanwhile takes none.
#[must_use]
pub fn disk_bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => disk_bytes(&entry.path()),
        Ok(found) => found.blocks() * BLOCK_BYTES,
        Err(_) => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_sampled_as_the_machine_knows_it() {
        let before = sample(std::process::id()).unwrap();
        let held = fs::File::options().read(true).open("/proc/self/stat").unwrap();
        let with = sample(std::process::id()).unwrap();
        drop(held);
        assert_eq!(before.born, with.born);
        assert!(before.rss_bytes > 100_000, "{before:?}");
        assert!(before.threads >= 1, "{before:?}");
        assert!(with.fds > 0, "{with:?}");
    }

    #[test]
    fn who_is_gone_takes_nothing() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(sample(child.id()), None);
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_hides_no_field() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) b) (c) S {}", fields.join(" "));
        assert_eq!(born(&stat), Some(22));
    }

    #[test]
    fn a_directory_takes_what_its_files_take_with_those_below() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(dir.path().join("one"), vec![1; 10_000]).unwrap();
        fs::write(dir.path().join("below/two"), vec![1; 20_000]).unwrap();
        let files =
            ["one", "below/two"].map(|name| fs::metadata(dir.path().join(name)).unwrap().blocks() * 512);
        assert_eq!(disk_bytes(dir.path()), files.iter().sum::<u64>());
        assert_eq!(disk_bytes(&dir.path().join("nowhere")), 0);
    }
}
