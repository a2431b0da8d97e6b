//! The data directory as it is typed, and as the disk wants it: absolute, without `.` and `..`.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::failure::{Failure, Outcome};

/// The directory meant by `path`, which need not be there yet.
pub(crate) fn resolve(path: &Path) -> Outcome<PathBuf> {
    plain(path).map_err(|e| Failure::usage(format!("cannot resolve the path {}: {e}", path.display())))
}

fn plain(path: &Path) -> io::Result<PathBuf> {
    let mut plain = PathBuf::new();
    for component in std::path::absolute(path)?.components() {
        match component {
            Component::CurDir => {}
            // Behind a symbolic link, `..` is not where it looks.
            Component::ParentDir => {
                plain = plain.canonicalize()?;
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_begins_where_we_are_and_dots_go() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(resolve(Path::new("./data")).unwrap(), here.join("data"));
        assert_eq!(resolve(Path::new("/a/./b")).unwrap(), Path::new("/a/b"));
    }

    #[test]
    fn two_dots_behind_a_link_lead_to_where_the_link_leads() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        std::fs::create_dir_all(home.join("a/b")).unwrap();
        std::os::unix::fs::symlink(home.join("a/b"), home.join("link")).unwrap();
        assert_eq!(resolve(&home.join("link/../data")).unwrap(), home.join("a/data"));
    }
}
