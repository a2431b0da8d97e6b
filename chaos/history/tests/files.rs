//! Histories over several files, packed or not, and side files.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::Write;
use std::path::{Path, PathBuf};

use chronos_history::{Names, ReadError, Rotating, check, histories, read};
use flate2::Compression;
use flate2::write::GzEncoder;

const CLEAN: &str = include_str!("../golden/clean/everything.jsonl");

/// A directory of this test, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes the clean history in files of 20 lines, every second one packed.
fn rotated(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let open = |number: u32| {
        let path = folder.join(format!("history-{number}"));
        paths.push(path.clone());
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        let is_packed = number % 2 == 1;
        Ok(if is_packed {
            Box::new(GzEncoder::new(file, Compression::fast()))
        } else {
            Box::new(file) as Box<dyn Write>
        })
    };
    let mut out = Rotating::new(open, 20).unwrap();
    out.write_all(CLEAN.as_bytes()).unwrap();
    out.flush().unwrap();
    drop(out);
    paths
}

#[test]
fn a_history_over_several_files_is_one_in_any_order() {
    let mut paths = rotated(&folder("several"));
    assert!(paths.len() >= 4, "{paths:?}");
    let whole = folder("whole").join("history");
    std::fs::write(&whole, CLEAN).unwrap();
    let expected = check(&[whole]).unwrap();
    assert!(expected.is_clean());
    assert_eq!(check(&paths).unwrap(), expected);
    paths.reverse();
    assert_eq!(check(&paths).unwrap(), expected);
}

#[test]
fn files_of_several_histories_are_told_apart_by_where_they_begin() {
    let (ours, theirs) = (rotated(&folder("ours")), rotated(&folder("theirs")));
    let all = [ours.clone(), theirs.clone()].concat();
    assert_eq!(histories(&all).unwrap(), [ours.clone(), theirs]);
    let backwards: Vec<PathBuf> = ours.into_iter().rev().collect();
    assert_eq!(
        histories(&backwards).unwrap(),
        std::slice::from_ref(&backwards),
        "one history may come in any order"
    );
}

#[test]
fn a_file_that_is_no_history_belongs_to_none() {
    let file = folder("none").join("plan.json");
    std::fs::write(&file, "{\n  \"seed\": 1\n}").unwrap();
    assert!(matches!(histories(&[file]).unwrap_err(), ReadError::Line { number: 1, .. }));
    assert!(matches!(histories(&["/nowhere"]).unwrap_err(), ReadError::Io { .. }));
}

#[test]
fn a_missing_or_doubled_file_is_said() {
    let mut paths = rotated(&folder("missing"));
    let second = paths.remove(1);
    let error = read(&paths).unwrap_err();
    assert!(matches!(error, ReadError::Index { expected: 20, found: 40 }), "{error}");
    paths.extend([second.clone(), second]);
    assert!(matches!(read(&paths).unwrap_err(), ReadError::Index { .. }));
    assert!(matches!(read(&[] as &[PathBuf]).unwrap_err(), ReadError::Empty));
}

#[test]
fn a_damaged_file_is_said_with_its_line() {
    let folder = folder("damaged");
    let paths = rotated(&folder);
    let packed = std::fs::read(&paths[1]).unwrap();
    std::fs::write(&paths[1], &packed[..packed.len() / 2]).unwrap();
    assert!(read(&paths).unwrap_err().to_string().contains("history-1"));
    let text = folder.join("text");
    std::fs::write(&text, CLEAN.replacen(r#""f":"read""#, r#""f":"raed""#, 1)).unwrap();
    let error = read(&[text]).unwrap_err();
    assert!(matches!(error, ReadError::Line { number, .. } if number > 1), "{error}");
}

#[test]
fn names_are_numbered_once_and_written_down() {
    let mut names = Names::new(Vec::new());
    let first = names.event(0xabc).unwrap();
    let entity = names.entity("order-1").unwrap();
    assert_eq!(names.event(0xdef).unwrap().0, 2);
    assert_eq!(names.event(0xabc).unwrap(), first);
    assert_eq!(names.entity("order-1").unwrap(), entity);
    let written = String::from_utf8(names.finish().unwrap()).unwrap();
    let uuid = |number| format!("{number:032x}");
    assert_eq!(written, format!("event 1 {}\nentity 1 order-1\nevent 2 {}\n", uuid(0xabc), uuid(0xdef)));
}
