//! The manifest of a partition, and the listing of a backup, which is manifests.

use std::path::Path;

use chronos_domain::xxh64::xxh64;
use chronos_domain::{PartitionId, Timestamp};
use chronos_parts::Manifest;
use chronos_store::backup::Listing;

use super::{Target, history};
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    input_bytes_max: 32 << 10,
    tried_by_test: 8000,
    ..Target::new(
        "manifest",
        "a manifest or a backup's listing that is read is written anew and says the same",
        run,
        seeds,
    )
};

/// An input is a manifest or a listing (bit 1), as it is or given its checksum (bit 0).
fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let mode = input.u8();
    let mut bytes = input.rest().to_vec();
    if mode & 1 == 1 {
        let magic = if mode & 2 == 0 { b"CHRONOMF" } else { b"CHRONOBK" };
        bytes.resize(bytes.len().max(magic.len()), 0);
        bytes[..magic.len()].copy_from_slice(magic);
        bytes.extend_from_slice(&xxh64(&bytes, 0).to_le_bytes());
    }
    if mode & 2 == 0 { manifest(&bytes) } else { listing(&bytes) }
}

fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::decode(bytes) else { return };
    // Nothing is taken from a manifest that does not keep its invariants; it is asked here whatever it says.
    let _ = (manifest.check(), manifest.bytes());
    let written = manifest.encode();
    assert_eq!(Manifest::decode(&written).as_ref(), Ok(&manifest), "a manifest is written as another one");
    if is_by_this_release(bytes) {
        assert_eq!(written.len(), bytes.len(), "a manifest is written longer or shorter than it was");
    }
}

/// Format and release, as the writer of this release writes them.
fn is_by_this_release(bytes: &[u8]) -> bool {
    let release = env!("CARGO_PKG_VERSION").as_bytes();
    let head = joined(&[b"CHRONOMF\x02\0", (release.len() as u16).to_le_bytes().as_slice(), release]);
    bytes.starts_with(&head)
}

fn listing(bytes: &[u8]) {
    let Ok(listing) = Listing::decode(bytes, Path::new("BACKUP")) else { return };
    let written = listing.encode();
    let again = Listing::decode(&written, Path::new("BACKUP")).expect("what was written is read");
    assert_eq!(again, listing, "a listing is written as another one");
    let files: usize = listing.manifests().iter().map(|of| of.parts.len() * 2).sum();
    assert_eq!(listing.files().count(), files);
    let _ = (listing.token(), listing.events(), listing.bytes());
}

fn seeds() -> Vec<Vec<u8>> {
    let manifests = history::manifests();
    let cluster = manifests[0].cluster;
    let all = PartitionId::all().map(|id| {
        manifests
            .iter()
            .find(|manifest| manifest.partition == id)
            .cloned()
            .unwrap_or_else(|| Manifest::start(cluster, id))
    });
    let listing = Listing::new("0.1.0", cluster, Timestamp::new(5), all.collect()).encode();
    let mut seeds = vec![joined(&[&[2], listing.as_ref()]), joined(&[&[3], &listing[..listing.len() - 8]])];
    for manifest in manifests.iter().map(Manifest::encode) {
        seeds.push(joined(&[&[1], &manifest[..manifest.len() - 8]]));
        seeds.push(joined(&[&[0], manifest.as_slice()]));
    }
    seeds
}
