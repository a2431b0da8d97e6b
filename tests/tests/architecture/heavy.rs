//! Heavy libraries live behind one door each, so that replacing or upgrading one is a matter of one room.

use crate::assert_kept;
use crate::workspace::{Crate, Kind, crates};

/// A family of libraries (its name, and every name that continues it after a hyphen) and who may use it.
const DOORS: [(&str, &[&str]); 10] = [
    ("openraft", &["chronos-cluster"]),
    ("parquet", &["chronos-parts"]),
    ("datafusion", &["chronos-query"]),
    ("tantivy", &[]),
    ("usearch", &[]),
    ("turmoil", &["chronos-env"]),
    (
        "tonic",
        &[
            "chronos-benches",
            "chronos-chaos",
            "chronos-client",
            "chronos-cluster",
            "chronos-fuzz-targets",
            "chronos-proto",
            "chronos-server",
            "chronos-tests",
        ],
    ),
    ("rustls", &["chronos-cluster"]),
    ("tokio-rustls", &["chronos-cluster"]),
    ("axum", &["chronos-benches", "chronos-server", "chronos-tests"]),
];

fn strays(crates: &[Crate]) -> Vec<String> {
    let mut breaches = Vec::new();
    for (family, users) in DOORS {
        for user in crates.iter().filter(|c| !users.contains(&c.name.as_str())) {
            let strays = user.dependencies.iter().filter(|d| belongs(&d.name, family));
            breaches.extend(
                strays
                    .map(|d| format!("{} uses {}; only {users:?} may (see {})", user.name, d.name, file!())),
            );
        }
    }
    breaches
}

fn belongs(library: &str, family: &str) -> bool {
    library.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[test]
fn heavy_libraries_stay_behind_their_doors() {
    assert_kept("heavy libraries", &strays(&crates()));
}

#[test]
fn a_stray_use_is_found_of_every_kind() {
    for kind in [Kind::Normal, Kind::Build, Kind::Dev] {
        let found = strays(&[
            Crate::planted("chronos-parts", &[("openraft", kind), ("parquet", kind)]),
            Crate::planted("chronos-app", &[("tonic-types", kind), ("tonical", kind)]),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("chronos-parts uses openraft; only [\"chronos-cluster\"] may"),
            "{found:?}"
        );
        assert!(found[1].starts_with("chronos-app uses tonic-types"), "{found:?}");
    }
}
