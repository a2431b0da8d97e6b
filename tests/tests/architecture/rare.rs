//! Marks of rare events stand where their list says, each once.
//!
//! That a mark's name is in the list the compiler sees to; that a name has a mark, nobody but who reads the sources.

use std::collections::BTreeMap;

use chronos_env::coverage::RARE;

use crate::assert_kept;
use crate::workspace::{read, top, tree};

const CALL: &str = "sometimes!(";
/// Where marks and their list are made, and said to be used.
const OWN_CRATE: &str = "crates/env/";

/// Names that a source marks, in their order. What stands in comments is no mark.
fn marks(source: &str) -> Vec<String> {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = source.lines().filter(is_code).collect::<Vec<_>>().join("\n");
    let calls = code.split(CALL).skip(1).filter_map(|call| call.trim_start().strip_prefix('"'));
    calls.filter_map(|name| name.split_once('"')).map(|(name, _)| name.to_owned()).collect()
}

/// Names without a mark, marks elsewhere than it is said, and marks that stand twice.
fn breaches(listed: &[(&str, &str)], found: &[(String, String)]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    found.iter().for_each(|(name, file)| places.entry(name).or_default().push(file));
    let mut breaches = Vec::new();
    for (name, file) in listed {
        match places.remove(name).as_deref() {
            None => breaches.push(format!("{name} is listed for {file}, and marked nowhere")),
            Some([place]) if place == file => {}
            Some(places) => {
                breaches.push(format!("{name} is listed for {file} alone, and marked in {places:?}"));
            }
        }
    }
    breaches.extend(
        places.into_iter().map(|(name, places)| format!("{name} is not listed, and marked in {places:?}")),
    );
    breaches
}

#[test]
fn every_rare_event_is_marked_once_where_the_list_says() {
    let mut found = Vec::new();
    for path in tree(top()) {
        let file = path.to_string_lossy().into_owned();
        if file.ends_with(".rs") && file.contains("/src/") && !file.starts_with(OWN_CRATE) {
            let source = read(&top().join(&path));
            found.extend(marks(&source).into_iter().map(|name| (name, file.clone())));
        }
    }
    assert!(found.len() > 40, "only {} marks were found", found.len());
    let listed: Vec<_> = RARE.iter().map(|rare| (rare.name, rare.file)).collect();
    assert_kept("marks of rare events", &breaches(&listed, &found));
}

#[test]
fn a_missing_a_moved_a_double_and_an_unlisted_mark_are_found() {
    let listed = [("a.gone", "x.rs"), ("a.moved", "x.rs"), ("a.double", "x.rs"), ("a.right", "x.rs")];
    let found = [
        ("a.moved", "y.rs"),
        ("a.double", "x.rs"),
        ("a.double", "x.rs"),
        ("a.right", "x.rs"),
        ("a.new", "x.rs"),
    ];
    let found = found.map(|(name, file)| (name.to_owned(), file.to_owned()));
    let breaches = breaches(&listed, &found);
    assert_eq!(breaches.len(), 4, "{breaches:?}");
    for (breach, name) in breaches.iter().zip(["a.gone", "a.moved", "a.double", "a.new"]) {
        assert!(breach.starts_with(name), "{breaches:?}");
    }
}

#[test]
fn marks_are_seen_with_conditions_and_over_lines_and_not_in_comments() {
    let source = r#"
        //! sometimes!("a.told");
        sometimes!("a.bare");
        if x { chronos_env::sometimes!("a.full", x > 1) }
        sometimes!(
            "a.long",
            condition
        );
        macro_rules! sometimes { ($name:literal) => { $crate::sometimes!($name, true) } }
    "#;
    assert_eq!(marks(source), ["a.bare", "a.full", "a.long"]);
}
