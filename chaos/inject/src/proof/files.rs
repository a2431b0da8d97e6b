//! Proofs of damage to files: what a reader finds afterwards.

use std::fs;
use std::path::Path;

use super::{Bench, effect};
use crate::disk::{
    Copied, add_stranger, clone_directory, remove_file, swap_blocks, swap_files, truncate_file, wipe,
    zero_tail,
};
use crate::error::{Result, While};
use crate::fault::Fault;
use crate::ground::{Ground, Wire};

pub(super) fn prove(fault: Fault, bench: &Bench) -> Result<String> {
    let ground = bench.wired(2, Wire::Loopback)?;
    let (a, b) = (ground.site(1).data().join("a"), ground.site(1).data().join("b"));
    write(&a, b"0123456789abcdef")?;
    write(&b, b"another")?;
    let found = damage(fault, &ground, bench, &a, &b)?;
    effect(found.0 == found.1, || format!("{:?} instead of {:?}", found.0, found.1))?;
    Ok(found.0)
}

/// Does the damage. Gives what was found then and what should be.
fn damage(fault: Fault, ground: &Ground, bench: &Bench, a: &Path, b: &Path) -> Result<(String, String)> {
    let (one, two) = (ground.site(1).data(), ground.site(2).data());
    let expected = match fault {
        Fault::Truncated => truncate_file(a, 4).map(|()| "a=0123 b=another")?,
        Fault::TornTail => zero_tail(a, 4).map(|()| "a=0123456789ab\\0\\0\\0\\0 b=another")?,
        Fault::Removed => remove_file(a).map(|()| "b=another")?,
        Fault::SwappedFiles => swap_files(a, b).map(|()| "a=another b=0123456789abcdef")?,
        Fault::SwappedBlocks => swap_blocks(a, 4, 0, 3).map(|()| "a=cdef456789ab0123 b=another")?,
        Fault::Wiped => wipe(one).map(|()| "")?,
        Fault::Twin => {
            clone_directory(one, two)?;
            return Ok((listing(two)?, listing(one)?));
        }
        Fault::Rollback => {
            let copied = Copied::take(one, &ground.directory().join("copy"))?;
            write(a, b"later")?;
            copied.restore(one).map(|()| "a=0123456789abcdef b=another")?
        }
        _ => {
            let stranger = add_stranger(one, "stranger", 0, &mut bench.dice("stranger"))?;
            effect(stranger.exists(), || "the stranger is not there".into())?;
            "a=0123456789abcdef b=another stranger="
        }
    };
    Ok((listing(one)?, expected.into()))
}

/// Every file with its content.
fn listing(directory: &Path) -> Result<String> {
    let listing = || format!("listing {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).during(listing)? {
        let path = entry.during(listing)?.path();
        let content = fs::read(&path).during(|| format!("reading {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(format!("{name}={}", content.escape_ascii()).replace("\\x00", "\\0"));
    }
    files.sort_unstable();
    Ok(files.join(" "))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).during(|| format!("writing {}", path.display()))
}
