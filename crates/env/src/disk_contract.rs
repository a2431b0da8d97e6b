//! The promises of [`Disk`] and [`File`] as runnable checks, for every implementation.
//!
//! Here is what can be seen without a power cut; what durability means is checked where power can be cut, in the
//! tests of the simulated disk. Each check is one promise, in a directory of its own.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Disk, EntryKind, File, OpenMode, PathError};

/// Runs every check. `open` gives a handle to the disk under test, each time the same disk; `root` is a directory on
/// it, made if missing, that the checks may fill.
///
/// # Panics
/// At the first broken promise, saying which.
pub fn run(open: &dyn Fn() -> Arc<dyn Disk>, root: &Path) {
    for (name, check) in CHECKS {
        println!("disk contract: {name}");
        let room = Room { disk: open(), other: open(), dir: root.join(name.replace(' ', "-")) };
        room.disk.create_dir_all(&room.dir).expect("a directory can be made for each check");
        check(&room);
    }
}

/// Where one check lives.
struct Room {
    disk: Arc<dyn Disk>,
    /// A second handle to the same disk, as another part of the node would have.
    other: Arc<dyn Disk>,
    dir: PathBuf,
}

type Check = fn(&Room);

const CHECKS: &[(&str, Check)] = &[
    ("a new file is empty and there", new_file_is_empty),
    ("create new refuses a name that is taken", create_new_refuses_a_taken_name),
    ("opening what is missing fails as not found", missing_is_not_found),
    ("a directory is not a file", directory_is_not_a_file),
    ("every handle sees a write at once", handles_share_content),
    ("a gap reads as zeros", gap_reads_as_zeros),
    ("reading stops at the end", reading_stops_at_the_end),
    ("overwriting changes only its own bytes", overwriting_is_exact),
    ("an empty write changes nothing", empty_write_changes_nothing),
    ("truncate cuts and fills with zeros", truncate_cuts_and_fills),
    ("a handle for reading cannot change the file", read_handle_cannot_write),
    ("rename replaces a file as a whole", rename_replaces),
    ("rename moves a directory with its files", rename_moves_directories),
    ("handles follow a rename", handles_follow_a_rename),
    ("handles outlive a remove", handles_outlive_a_remove),
    ("remove takes files and empty directories", remove_takes_files_and_empty_directories),
    ("a list is sorted and complete", list_is_sorted_and_complete),
    ("creating directories again is fine", create_dir_all_is_idempotent),
    ("syncing a directory needs a directory", sync_dir_needs_a_directory),
    ("one lock at a time", one_lock_at_a_time),
    ("a lock knows whether its name leads to it", lock_knows_its_name),
    ("a handle knows whether its file has a name", handle_knows_its_name),
    ("a whole file can be read and replaced", whole_file_read_and_replaced),
    ("there is a number of free bytes", free_bytes_is_known),
    ("errors name their path and keep their kind", errors_name_their_path),
    ("relative and dotted paths are refused", odd_paths_are_refused),
];

impl Room {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn create(&self, name: &str) -> Arc<dyn File> {
        self.disk.open(&self.path(name), OpenMode::CreateNew).expect("a new name can be created")
    }

    fn create_with(&self, name: &str, bytes: &[u8]) -> Arc<dyn File> {
        let file = self.create(name);
        file.write_at(bytes, 0).expect("a new file can be written");
        file
    }

    fn content(&self, name: &str) -> Vec<u8> {
        self.disk.read_file(&self.path(name)).expect("a file that is there can be read")
    }

    fn exists(&self, name: &str) -> bool {
        self.disk.exists(&self.path(name)).expect("whether a name is there can be found out")
    }

    fn names(&self) -> Vec<String> {
        let entries = self.disk.list(&self.dir).expect("a directory can be listed");
        entries.into_iter().map(|entry| entry.name).collect()
    }
}

fn new_file_is_empty(room: &Room) {
    let file = room.create("new");
    assert_eq!(file.len().expect("length"), 0, "a new file has a length");
    assert!(room.exists("new"), "a new file has no name");
    assert_eq!(room.content("new"), b"", "a new file has content");
}

fn create_new_refuses_a_taken_name(room: &Room) {
    room.create_with("taken", b"old");
    let again = room.disk.open(&room.path("taken"), OpenMode::CreateNew);
    refused(again, ErrorKind::AlreadyExists, "CreateNew over a file");
    assert_eq!(room.content("taken"), b"old", "a refused create changed the file");
}

fn missing_is_not_found(room: &Room) {
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        refused(room.disk.open(&room.path("missing"), mode), ErrorKind::NotFound, "open of nothing");
    }
    let orphan = room.disk.open(&room.path("no-dir/file"), OpenMode::CreateNew);
    refused(orphan, ErrorKind::NotFound, "create in a directory that is missing");
    refused(room.disk.remove(&room.path("missing")), ErrorKind::NotFound, "remove of nothing");
    refused(room.disk.list(&room.path("missing")), ErrorKind::NotFound, "list of nothing");
    refused(room.disk.sync_dir(&room.path("missing")), ErrorKind::NotFound, "sync of no directory");
    let moved = room.disk.rename(&room.path("missing"), &room.path("target"));
    refused(moved, ErrorKind::NotFound, "rename of nothing");
    assert!(!room.exists("missing"), "what was never made is there");
}

fn directory_is_not_a_file(room: &Room) {
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        refused(room.disk.open(&room.dir, mode), ErrorKind::IsADirectory, "open of a directory");
    }
    room.create("file");
    let below = room.disk.open(&room.path("file/below"), OpenMode::CreateNew);
    refused(below, ErrorKind::NotADirectory, "create below a file");
    refused(room.disk.list(&room.path("file")), ErrorKind::NotADirectory, "list of a file");
}

fn handles_share_content(room: &Room) {
    let writer = room.create("shared");
    let path = room.path("shared");
    let same = room.disk.open(&path, OpenMode::Read).expect("a second handle");
    let other = room.other.open(&path, OpenMode::ReadWrite).expect("a handle from another disk handle");
    writer.write_at(b"abc", 0).expect("write");
    other.write_at(b"D", 3).expect("write");
    for (who, handle) in
        [("the writer", &writer), ("a second handle", &same), ("another disk handle", &other)]
    {
        let mut seen = [0; 4];
        handle.read_exact_at(&mut seen, 0).expect("read");
        assert_eq!(&seen, b"abcD", "{who} missed a write");
    }
}

fn gap_reads_as_zeros(room: &Room) {
    let file = room.create("sparse");
    file.write_at(b"end", 10_000).expect("write beyond the end");
    let content = room.content("sparse");
    assert_eq!(content.len(), 10_003, "length after a write beyond the end");
    assert!(content[..10_000].iter().all(|byte| *byte == 0), "the gap is not zero");
    assert_eq!(&content[10_000..], b"end", "the write beyond the end");
}

fn reading_stops_at_the_end(room: &Room) {
    let file = room.create_with("short", b"12345");
    let mut buf = [9; 8];
    assert_eq!(file.read_at(&mut buf, 2).expect("read"), 3, "bytes read across the end");
    assert_eq!(&buf, b"345\x09\x09\x09\x09\x09", "a read touched what it did not fill");
    assert_eq!(file.read_at(&mut buf, 5).expect("read"), 0, "bytes read at the end");
    assert_eq!(file.read_at(&mut buf, 5000).expect("read"), 0, "bytes read beyond the end");
    assert_eq!(file.read_at(&mut [], 0).expect("read"), 0, "bytes read into nothing");
    refused(file.read_exact_at(&mut buf, 2), ErrorKind::UnexpectedEof, "an exact read across the end");
}

fn overwriting_is_exact(room: &Room) {
    let mut expected: Vec<u8> = (0..20_000u32).map(|i| (i % 251) as u8).collect();
    let file = room.create_with("long", &expected);
    for (offset, len) in [(0, 1), (511, 2), (4095, 2), (4096, 4096), (8000, 9000), (19_990, 20)] {
        let piece = vec![0xee; len];
        file.write_at(&piece, offset as u64).expect("overwrite");
        expected.resize(expected.len().max(offset + len), 0);
        expected[offset..offset + len].copy_from_slice(&piece);
        assert!(room.content("long") == expected, "content after overwriting {len} bytes at {offset}");
    }
}

fn empty_write_changes_nothing(room: &Room) {
    let file = room.create_with("file", b"abc");
    file.write_at(b"", 1000).expect("an empty write");
    assert_eq!(room.content("file"), b"abc", "content after an empty write");
}

fn truncate_cuts_and_fills(room: &Room) {
    let file = room.create_with("file", &[7; 5000]);
    file.truncate(4100).expect("shorten");
    file.truncate(9000).expect("lengthen");
    let content = room.content("file");
    assert_eq!(content.len(), 9000, "length after lengthening");
    assert!(content[..4100].iter().all(|byte| *byte == 7), "shortening lost what it should keep");
    assert!(content[4100..].iter().all(|byte| *byte == 0), "bytes that were cut came back");
    file.truncate(0).expect("empty");
    assert_eq!(file.len().expect("length"), 0, "length after emptying");
}

fn read_handle_cannot_write(room: &Room) {
    room.create_with("file", b"abc");
    let reader = room.disk.open(&room.path("file"), OpenMode::Read).expect("open to read");
    assert!(reader.write_at(b"x", 0).is_err(), "a handle for reading wrote");
    assert!(reader.truncate(0).is_err(), "a handle for reading truncated");
    assert_eq!(room.content("file"), b"abc", "content after refused writes");
}

fn rename_replaces(room: &Room) {
    room.create_with("from", b"new");
    room.create_with("to", b"old content");
    room.disk.rename(&room.path("from"), &room.path("to")).expect("rename over a file");
    assert_eq!(room.names(), ["to"], "names after a rename");
    assert_eq!(room.content("to"), b"new", "content after a rename");
    room.disk.rename(&room.path("to"), &room.path("to")).expect("rename onto itself");
    assert_eq!(room.content("to"), b"new", "content after a rename onto itself");
}

fn rename_moves_directories(room: &Room) {
    room.disk.create_dir_all(&room.path("a/deep")).expect("make directories");
    let file = room.create_with("a/deep/file", b"abc");
    room.disk.rename(&room.path("a"), &room.path("b")).expect("rename a directory");
    assert_eq!(room.names(), ["b"], "names after renaming a directory");
    assert_eq!(room.content("b/deep/file"), b"abc", "a file in a renamed directory");
    file.write_at(b"x", 0).expect("write through a handle from before");
    assert_eq!(room.content("b/deep/file"), b"xbc", "a write through a handle from before");
}

fn handles_follow_a_rename(room: &Room) {
    let file = room.create_with("spare", b"abc");
    room.disk.rename(&room.path("spare"), &room.path("live")).expect("rename");
    file.write_at(b"X", 0).expect("write after a rename");
    file.sync_data().expect("sync after a rename");
    assert_eq!(room.content("live"), b"Xbc", "a write after a rename went elsewhere");
}

fn handles_outlive_a_remove(room: &Room) {
    let file = room.create_with("file", b"abc");
    room.disk.remove(&room.path("file")).expect("remove an open file");
    assert!(!room.exists("file"), "a removed file has a name");
    room.create_with("file", b"another");
    file.write_at(b"X", 0).expect("write to a removed file");
    let mut seen = [0; 3];
    file.read_exact_at(&mut seen, 0).expect("read a removed file");
    assert_eq!(&seen, b"Xbc", "content of a removed file");
    file.sync_data().expect("sync a removed file");
    assert_eq!(room.content("file"), b"another", "a removed file wrote into its successor");
}

fn remove_takes_files_and_empty_directories(room: &Room) {
    room.disk.create_dir_all(&room.path("full")).expect("make a directory");
    room.create("full/file");
    refused(room.disk.remove(&room.path("full")), ErrorKind::DirectoryNotEmpty, "remove of a full directory");
    room.disk.remove(&room.path("full/file")).expect("remove a file");
    room.disk.remove(&room.path("full")).expect("remove an empty directory");
    assert_eq!(room.names(), Vec::<String>::new(), "names after removing everything");
}

fn list_is_sorted_and_complete(room: &Room) {
    room.create_with("b", b"12");
    room.create("c");
    room.disk.create_dir_all(&room.path("a/inner")).expect("make directories");
    let entries = room.disk.list(&room.dir).expect("list");
    let seen: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind, entry.len)).collect();
    let expected = [("a", EntryKind::Dir, 0), ("b", EntryKind::File, 2), ("c", EntryKind::File, 0)];
    assert_eq!(seen, expected, "a listing");
}

fn create_dir_all_is_idempotent(room: &Room) {
    for _ in 0..2 {
        room.disk.create_dir_all(&room.path("x/y/z")).expect("make directories, again");
    }
    room.create("file");
    assert!(room.disk.create_dir_all(&room.path("file")).is_err(), "a file was taken for a directory");
    assert!(room.disk.create_dir_all(&room.path("file/below")).is_err(), "a directory was made below a file");
}

fn sync_dir_needs_a_directory(room: &Room) {
    room.create("file");
    room.disk.sync_dir(&room.dir).expect("sync a directory");
    refused(room.disk.sync_dir(&room.path("file")), ErrorKind::NotADirectory, "sync of a file as directory");
}

fn one_lock_at_a_time(room: &Room) {
    let path = room.path("lock");
    let held = room.disk.lock(&path).expect("the first lock");
    refused(room.disk.lock(&path), ErrorKind::WouldBlock, "a second lock");
    refused(room.other.lock(&path), ErrorKind::WouldBlock, "a lock from another disk handle");
    drop(held);
    let _held = room.other.lock(&path).expect("a lock after the first was released");
}

fn lock_knows_its_name(room: &Room) {
    room.disk.create_dir_all(&room.path("home")).expect("make a directory");
    let held = room.disk.lock(&room.path("home/lock")).expect("the lock");
    let is_in_place = || held.is_in_place().expect("it can be found out");
    assert!(is_in_place(), "a lock that was just taken");
    room.disk.rename(&room.path("home"), &room.path("away")).expect("move the directory");
    assert!(!is_in_place(), "the directory of the lock has moved");
    room.create("home");
    assert!(!is_in_place(), "a file is where the directory was");
    room.disk.remove(&room.path("home")).expect("remove it");
    room.disk.rename(&room.path("away"), &room.path("home")).expect("move the directory back");
    assert!(is_in_place(), "everything is where it was");
    room.create("another");
    room.disk.rename(&room.path("another"), &room.path("home/lock")).expect("replace the locked file");
    assert!(!is_in_place(), "another file has the name");
    room.disk.remove(&room.path("home/lock")).expect("remove that");
    assert!(!is_in_place(), "nothing has the name");
}

fn handle_knows_its_name(room: &Room) {
    let file = room.create("file");
    let has_name = || file.has_name().expect("it can be found out");
    assert!(has_name(), "a new file");
    room.disk.rename(&room.path("file"), &room.path("moved")).expect("rename it");
    assert!(has_name(), "a file that was renamed");
    room.disk.remove(&room.path("moved")).expect("remove it");
    assert!(!has_name(), "a file that was removed");
    let replaced = room.create("replaced");
    room.create("successor");
    room.disk.rename(&room.path("successor"), &room.path("replaced")).expect("replace it");
    assert!(!replaced.has_name().expect("it can be found out"), "a file that was replaced");
}

fn whole_file_read_and_replaced(room: &Room) {
    let path = room.path("file");
    room.disk.write_atomic(&path, b"first").expect("write a new file");
    room.create_with("file.tmp", b"left over from a crash");
    let long = vec![3; 100_000];
    room.disk.write_atomic(&path, &long).expect("replace a file");
    assert!(room.content("file") == long, "content after replacing");
    assert_eq!(room.names(), ["file"], "names after replacing");
}

fn free_bytes_is_known(room: &Room) {
    let free = room.disk.free_bytes(&room.dir).expect("free bytes");
    assert!(free > 0, "a disk that takes writes has no free bytes");
    refused(room.disk.free_bytes(&room.path("missing")), ErrorKind::NotFound, "free bytes of nothing");
}

fn errors_name_their_path(room: &Room) {
    let path = room.path("missing-here");
    let error = room.disk.read_file(&path).expect_err("a missing file was read");
    assert_eq!(error.kind(), ErrorKind::NotFound, "kind of {error}");
    assert!(error.to_string().contains("missing-here"), "an error hides its path: {error}");
    assert_eq!(PathError::of(&error).map(PathError::path), Some(path.as_path()), "the path of {error}");
}

fn odd_paths_are_refused(room: &Room) {
    for odd in [Path::new("relative"), Path::new(""), &room.path("../up"), Path::new("./here")] {
        refused(room.disk.open(odd, OpenMode::CreateNew), ErrorKind::InvalidInput, "open of an odd path");
        refused(room.disk.create_dir_all(odd), ErrorKind::InvalidInput, "create of an odd path");
        refused(room.disk.rename(&room.dir, odd), ErrorKind::InvalidInput, "rename to an odd path");
    }
}

fn refused<T>(result: io::Result<T>, kind: ErrorKind, what: &str) {
    match result {
        Ok(_) => panic!("{what} succeeded, it should fail with {kind:?}"),
        Err(error) => assert_eq!(error.kind(), kind, "{what}: {error}"),
    }
}
