//! No crate may write `unsafe`: the workspace forbids it once, and every crate inherits the workspace's lints.

use crate::assert_kept;
use crate::workspace::{Crate, crates, read, top};

/// Whether a manifest has this line in this section.
fn has(manifest: &str, section: &str, line: &str) -> bool {
    let lines = manifest.lines().map(str::trim);
    let body = lines.skip_while(|l| *l != section).skip(1).take_while(|l| !l.starts_with('['));
    body.into_iter().any(|l| l == line)
}

/// What a crate's manifest lacks.
fn stray(name: &str, manifest: &str) -> Option<String> {
    let inherits = has(manifest, "[lints]", "workspace = true");
    (!inherits)
        .then(|| format!("{name} does not inherit the workspace's lints; add `[lints] workspace = true`"))
}

fn forbidden(root_manifest: &str) -> bool {
    has(root_manifest, "[workspace.lints.rust]", "unsafe_code = \"forbid\"")
}

#[test]
fn the_workspace_forbids_unsafe_code() {
    assert!(forbidden(&read(&top().join("Cargo.toml"))));
}

#[test]
fn every_crate_inherits_the_lints_of_the_workspace() {
    let manifest = |c: &Crate| read(&c.root.join("Cargo.toml"));
    let strays: Vec<String> = crates().iter().filter_map(|c| stray(&c.name, &manifest(c))).collect();
    assert_kept("lints", &strays);
}

#[test]
fn a_manifest_that_goes_its_own_way_is_found() {
    assert_eq!(stray("a", "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"), None);
    for manifest in [
        "[package]\nname = \"a\"\n",
        "[lints]\n[dependencies]\nworkspace = true\n",
        "[lints]\nworkspace = false\n",
        "[lints.rust]\nunsafe_code = \"allow\"\n",
    ] {
        assert!(stray("a", manifest).is_some(), "{manifest}");
    }
    assert!(forbidden("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"));
    assert!(!forbidden("[workspace.lints.rust]\nunsafe_code = \"deny\"\n"));
    assert!(!forbidden("[workspace.lints.clippy]\nunsafe_code = \"forbid\"\n"));
}
