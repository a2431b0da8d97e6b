//! The product's binary: given, beside this program, or built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use super::Problem;

/// Where the binary is: the one that is given, or else the one beside this program, which is built first when it is missing or
/// older than this program. Says on the standard error what it does.
///
/// # Errors
/// When what is given is no file, or it cannot be built.
pub fn binary(given: Option<&Path>) -> Result<PathBuf, Problem> {
    if let Some(path) = given {
        let path = path.canonicalize().map_err(|error| format!("--binary {}: {error}", path.display()))?;
        return Ok(path);
    }
    let own = std::env::current_exe()?;
    let directory = own.parent().ok_or("this program lies in no directory: give --binary PATH")?;
    let beside = directory.join("chronos");
    if is_as_new(&beside, &own) {
        return Ok(beside);
    }
    // As this program was built, so that it lands beside it.
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    eprintln!("chaos: {} is missing or older than this program: building it ({profile})", beside.display());
    let target = directory.parent().ok_or("this program lies in no target directory: give --binary PATH")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--package", "chronos", "--profile", profile]);
    let built = command.arg("--target-dir").arg(target).status()?;
    if !built.success() || !beside.is_file() {
        return Err(format!("{} could not be built ({built}): give --binary PATH", beside.display()).into());
    }
    Ok(beside)
}

fn is_as_new(binary: &Path, own: &Path) -> bool {
    let modified =
        |path: &Path| path.metadata().and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    binary.is_file() && modified(binary) >= modified(own)
}
