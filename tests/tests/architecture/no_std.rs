//! The domain builds without the standard library: no clock, file, socket or thread is within its reach.
//!
//! The proof is in the source: in a crate that says `#![no_std]` and has no dependencies (`edges` checks that), the name
//! `std` means nothing unless an `extern crate std` brings it back, and that is what is looked for here, tests aside.
//! Building for a target without a standard library would show the same, but needs that target to be installed, and a
//! machine with only the default toolchain must be able to run these tests.

use std::path::Path;

use crate::assert_kept;
use crate::workspace::{read, top, tree};

/// Whether the crate root asks for no standard library, in all configurations.
fn asks_for_none(root: &str) -> bool {
    root.lines().any(|line| line.trim() == "#![no_std]")
}

/// Lines that use the standard library, with their numbers, outside of comments and inline test modules.
fn uses(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_tests = false;
    let mut previous = "";
    for (number, line) in (1..).zip(source.lines()) {
        let opens_tests = previous == "#[cfg(test)]" && line.starts_with("mod ") && line.ends_with('{');
        in_tests = opens_tests || (in_tests && line != "}");
        let code = line.split("//").next().unwrap_or(line);
        if !in_tests && mentions_std(code) {
            found.push(format!("{number}: {}", line.trim()));
        }
        previous = line;
    }
    found
}

/// Whether `std` stands there as a path's first segment or as a crate.
fn mentions_std(code: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices("std").any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + 3..]);
        let starts = !before.ends_with(word);
        let path = after.starts_with("::");
        let extern_crate = before.trim_end().ends_with("extern crate") && !after.starts_with(word);
        starts && (path || extern_crate)
    })
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|name| name != "tests.rs")
}

#[test]
fn the_domain_needs_no_standard_library() {
    let src = top().join("crates/domain/src");
    let root = read(&src.join("lib.rs"));
    assert!(asks_for_none(&root), "crates/domain/src/lib.rs has lost its #![no_std]");
    let files: Vec<_> = tree(&src).into_iter().filter(|path| is_source(path)).collect();
    assert!(files.len() > 10, "the domain's sources are where they are looked for");
    let breaches: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let source = read(&src.join(path));
            uses(&source).into_iter().map(move |line| format!("{}:{line}", path.display()))
        })
        .collect();
    assert_kept("the domain reaches for the standard library; use core or alloc", &breaches);
}

#[test]
fn every_way_back_to_the_standard_library_is_found() {
    for line in
        ["use std::fmt;", "let x = ::std::mem::take(y);", "extern crate std;", "pub extern crate std as s;"]
    {
        assert_eq!(uses(line).len(), 1, "{line}");
    }
    for line in
        ["#![no_std]", "// std::fmt is far", "use my_std::x;", "use core::fmt;", "let stdx = std_of(3);"]
    {
        assert_eq!(uses(line), [""; 0], "{line}");
    }
    let tests = "use a;\n#[cfg(test)]\nmod tests {\n    use std::fmt;\n}\nuse std::io;\n";
    assert_eq!(uses(tests), ["6: use std::io;"]);
    assert!(asks_for_none("//! Words.\n#![no_std]\n"));
    assert!(!asks_for_none("#![cfg_attr(not(test), no_std)]\n// #![no_std]\n"));
}
