//! What a campaign begins with: what the product writes itself, and every input that once broke something.

use std::io;
use std::path::PathBuf;

use crate::Target;

/// Where the inputs lie that once broke a target.
fn dir(target: &Target) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name)
}

/// The inputs that once broke this target, in the order of their names.
fn kept(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let files = match std::fs::read_dir(dir(target)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        files => files?,
    };
    let mut paths = files.map(|file| Ok(file?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.into_iter().map(std::fs::read).collect()
}

/// All seeds of a target.
///
/// # Errors
/// When those that are kept cannot be read.
pub fn of(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = (target.seeds)();
    seeds.extend(kept(target)?);
    Ok(seeds)
}
