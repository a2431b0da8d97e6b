//! What there is to attack, as the program that was built says.

use std::io;
use std::path::Path;
use std::process::Command;

/// One target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) input_bytes_max: usize,
    pub(crate) about: String,
}

impl Target {
    /// All that `program` has.
    pub(crate) fn all(program: &Path) -> io::Result<Vec<Target>> {
        let listed = Command::new(program).output()?;
        let listed = String::from_utf8_lossy(&listed.stdout);
        let targets: Option<Vec<Target>> = listed.lines().map(Target::read).collect();
        targets.filter(|targets| !targets.is_empty()).ok_or_else(|| {
            io::Error::other(format!("{} does not list its targets but says {listed:?}", program.display()))
        })
    }

    fn read(line: &str) -> Option<Target> {
        let mut fields = line.splitn(3, '\t');
        let (name, input_bytes_max, about) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Target {
            name: name.to_owned(),
            input_bytes_max: input_bytes_max.parse().ok()?,
            about: about.to_owned(),
        })
    }
}
