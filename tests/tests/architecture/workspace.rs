//! The facts that rules judge: crates and what they ask for, from `cargo metadata`, and the files of the tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// One crate of the workspace.
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) root: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a crate's manifest. The name is the package's, whatever the crate calls it.
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Crate {
    /// What ends up in, or makes, the artefact: everything but test dependencies.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = &str> {
        self.dependencies.iter().filter(|d| d.kind != Kind::Dev).map(|d| d.name.as_str())
    }

    /// A crate that exists only for a rule's own test.
    pub(crate) fn planted(name: &str, dependencies: &[(&str, Kind)]) -> Crate {
        let dependency = |(name, kind): &(&str, Kind)| Dependency { name: (*name).into(), kind: *kind };
        Crate {
            name: name.into(),
            root: PathBuf::new(),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }
}

/// The top of the checkout.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace's top directory")
}

/// All crates of the workspace.
pub(crate) fn crates() -> Vec<Crate> {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(top())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let crates = parse(&serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON"));
    assert!(
        crates.iter().any(|c| c.name == env!("CARGO_PKG_NAME")),
        "cargo metadata does not name this very crate"
    );
    crates
}

fn parse(metadata: &Value) -> Vec<Crate> {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let dependency = |value: &Value| Dependency {
        name: text(&value["name"]),
        kind: match value["kind"].as_str() {
            None => Kind::Normal,
            Some("build") => Kind::Build,
            Some("dev") => Kind::Dev,
            Some(other) => panic!("a dependency of the unknown kind {other}"),
        },
    };
    let package = |value: &Value| Crate {
        name: text(&value["name"]),
        root: Path::new(&text(&value["manifest_path"]))
            .parent()
            .expect("a manifest lies in a directory")
            .into(),
        dependencies: list(&value["dependencies"]).iter().map(dependency).collect(),
    };
    list(&metadata["packages"]).iter().map(package).collect()
}

/// The text of a file of the tree.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("reading {}: {e}", path.display()))
}

/// Every file and folder below `dir`, relative to it, without what is hidden or built.
pub(crate) fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree can be read") {
            let entry = entry.expect("a folder of the tree can be read to its end");
            let name = entry.file_name();
            if name.to_string_lossy().starts_with('.') || name == "target" {
                continue;
            }
            if entry.file_type().expect("an entry of the tree has a type").is_dir() {
                waiting.push(entry.path());
            }
            found.push(entry.path().strip_prefix(dir).expect("entries lie below their folder").to_owned());
        }
    }
    found.sort();
    found
}

#[test]
fn metadata_is_read_with_kinds_and_original_names() {
    let crates = parse(&serde_json::json!({ "packages": [{
        "name": "a",
        "manifest_path": "/x/a/Cargo.toml",
        "dependencies": [
            { "name": "b", "rename": "innocent", "kind": null },
            { "name": "c", "rename": null, "kind": "build" },
            { "name": "d", "rename": null, "kind": "dev" },
        ],
    }]}));
    assert_eq!(crates[0].root, Path::new("/x/a"));
    assert_eq!(crates[0].shipped().collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(crates[0].dependencies[2].kind, Kind::Dev);
}

#[test]
fn the_tree_shows_this_file() {
    let here = Path::new("tests/tests/architecture/workspace.rs");
    assert!(tree(top()).iter().any(|path| path == here));
}
