//! Names that say nothing about what is inside are not names.

use std::path::{Path, PathBuf};

use crate::assert_kept;
use crate::workspace::{top, tree};

const VAGUE: [&str; 9] =
    ["common", "entities", "helper", "helpers", "manager", "misc", "services", "util", "utils"];

/// Files (whatever their ending) and folders with such a name.
fn vague(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &Path| path.file_stem().map(|s| s.to_string_lossy().to_lowercase()).unwrap_or_default();
    let named = paths.iter().filter(|path| VAGUE.contains(&stem(path).as_str()));
    named.map(|path| format!("{}: name what is inside", path.display())).collect()
}

#[test]
fn every_file_and_folder_is_named_for_what_is_inside() {
    assert_kept("vague names", &vague(&tree(top())));
}

#[test]
fn a_vague_name_is_found_as_file_and_as_folder() {
    let paths =
        ["a/utils.rs", "a/utils", "Common/x.rs", "Common", "a/entity.rs", "x.service", "helpers.tar.gz"];
    let found = vague(&paths.map(PathBuf::from));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("a/utils.rs: "), "{found:?}");
}
