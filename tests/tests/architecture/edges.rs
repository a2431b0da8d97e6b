//! Who may depend on whom. What is not listed is not there.
//!
//! An edge is a decision about the house: add it here in a commit that says why, or do without it.

use crate::assert_kept;
use crate::workspace::{Crate, Kind, crates};

/// Each crate of the workspace, and which of our crates it may ship with.
const ALLOWED: [(&str, Edges); 23] = [
    ("chronos-domain", Edges::To(&[])),
    ("chronos-env", Edges::To(&[])),
    ("chronos-bugs", Edges::To(&[])),
    ("chronos-block", Edges::To(&["chronos-domain"])),
    ("chronos-wal", Edges::To(&["chronos-bugs", "chronos-env"])),
    ("chronos-proof", Edges::To(&["chronos-domain"])),
    ("chronos-parts", Edges::To(&["chronos-block", "chronos-domain", "chronos-env", "chronos-proof"])),
    (
        "chronos-store",
        Edges::To(&[
            "chronos-block",
            "chronos-bugs",
            "chronos-domain",
            "chronos-env",
            "chronos-parts",
            "chronos-proof",
            "chronos-wal",
        ]),
    ),
    ("chronos-query", Edges::To(&["chronos-block", "chronos-domain", "chronos-parts", "chronos-store"])),
    (
        "chronos-cluster",
        Edges::To(&[
            "chronos-block",
            "chronos-bugs",
            "chronos-domain",
            "chronos-env",
            "chronos-proto",
            "chronos-store",
            "chronos-wal",
        ]),
    ),
    ("chronos-app", Edges::To(&["chronos-block", "chronos-domain", "chronos-proof"])),
    ("chronos-proto", Edges::To(&["chronos-block", "chronos-domain", "chronos-proof"])),
    (
        "chronos-client",
        Edges::To(&["chronos-block", "chronos-bugs", "chronos-domain", "chronos-proof", "chronos-proto"]),
    ),
    (
        "chronos-server",
        Edges::To(&[
            "chronos-app",
            "chronos-block",
            "chronos-cluster",
            "chronos-domain",
            "chronos-env",
            "chronos-parts",
            "chronos-proof",
            "chronos-proto",
            "chronos-query",
            "chronos-store",
            "chronos-wal",
        ]),
    ),
    (
        "chronos",
        Edges::To(&[
            "chronos-app",
            "chronos-block",
            "chronos-client",
            "chronos-domain",
            "chronos-env",
            "chronos-parts",
            "chronos-proof",
            "chronos-proto",
            "chronos-server",
            "chronos-store",
            "chronos-wal",
        ]),
    ),
    ("chronos-benches", Edges::Any),
    ("chronos-chaos", Edges::Any),
    ("chronos-fuzz", Edges::To(&[])),
    ("chronos-fuzz-targets", Edges::Any),
    // Who judges and who attacks know nothing of what they judge and attack.
    ("chronos-history", Edges::To(&[])),
    ("chronos-inject", Edges::To(&[])),
    // It judges what it runs, and knows of the product what the attacks know.
    ("chronos-stress", Edges::To(&["chronos-chaos", "chronos-history"])),
    ("chronos-tests", Edges::Any),
];

enum Edges {
    To(&'static [&'static str]),
    Any,
}

/// Edges that the table does not have, and crates it does not know.
fn unlisted(crates: &[Crate]) -> Vec<String> {
    let ours = |name: &str| crates.iter().any(|c| c.name == name);
    let mut breaches = Vec::new();
    for from in crates {
        let Some((_, edges)) = ALLOWED.iter().find(|(name, _)| *name == from.name) else {
            breaches.push(format!("crate {} is not in the table; add it to {}", from.name, file!()));
            continue;
        };
        let Edges::To(allowed) = edges else { continue };
        for to in from.shipped().filter(|to| ours(to) && !allowed.contains(to)) {
            breaches.push(format!("{} → {to} is not in the table of {}", from.name, file!()));
        }
    }
    breaches
}

/// What the innermost crate depends on, which is nothing.
fn domain_dependencies(crates: &[Crate]) -> Vec<String> {
    let domain = crates.iter().filter(|c| c.name == "chronos-domain");
    domain.flat_map(|c| c.shipped().map(|to| format!("{} → {to}", c.name))).collect()
}

#[test]
fn crates_depend_on_each_other_only_as_the_table_says() {
    assert_kept("edges between crates", &unlisted(&crates()));
}

#[test]
fn the_domain_depends_on_nothing() {
    let crates = crates();
    assert!(crates.iter().any(|c| c.name == "chronos-domain"), "there is a domain");
    assert_kept("the domain has a dependency; it must have none", &domain_dependencies(&crates));
}

#[test]
fn an_unlisted_edge_is_found_and_named() {
    let planted = |kind| {
        [
            Crate::planted("chronos-domain", &[]),
            Crate::planted("chronos-store", &[]),
            Crate::planted("chronos-app", &[("chronos-domain", Kind::Normal), ("chronos-store", kind)]),
        ]
    };
    for kind in [Kind::Normal, Kind::Build] {
        let breaches = unlisted(&planted(kind));
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        assert!(
            breaches[0].starts_with("chronos-app → chronos-store is not in the table of "),
            "{breaches:?}"
        );
        assert!(breaches[0].ends_with("edges.rs"), "{breaches:?}");
    }
    assert_eq!(unlisted(&planted(Kind::Dev)), [""; 0], "tests may look across");
}

#[test]
fn nothing_may_depend_on_tests_and_benches() {
    for to in ["chronos-tests", "chronos-benches"] {
        let crates = [Crate::planted(to, &[]), Crate::planted("chronos", &[(to, Kind::Normal)])];
        assert_eq!(unlisted(&crates).len(), 1, "{to}");
    }
}

#[test]
fn an_unknown_crate_is_found() {
    let breaches = unlisted(&[Crate::planted("chronos-extra", &[])]);
    assert!(breaches[0].starts_with("crate chronos-extra is not in the table"), "{breaches:?}");
}

#[test]
fn a_dependency_of_the_domain_is_found() {
    let crates = [Crate::planted("chronos-domain", &[("serde", Kind::Normal), ("proptest", Kind::Dev)])];
    assert_eq!(domain_dependencies(&crates), ["chronos-domain → serde"]);
}
