//! The few things that need C: a call of the kernel without a safe wrapper, and a library that is loaded into a process.
//! Both are a page of source in this crate, compiled when they are first needed into a directory that the caller gives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Result, While};
use crate::tool::GCC;

/// A piece of C and how it is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shim {
    name: &'static str,
    source: &'static str,
    flags: &'static [&'static str],
}

/// A program that shuts file systems down at once.
pub(crate) const FS_SHUTDOWN: Shim =
    Shim { name: "fs_shutdown", source: include_str!("c/fs_shutdown.c"), flags: &["-O2"] };

/// A library that lets syncs fail.
pub(crate) const SYNC_FAILS: Shim = Shim {
    name: "sync_fails.so",
    source: include_str!("c/sync_fails.c"),
    flags: &["-O2", "-shared", "-fPIC", "-ldl"],
};

impl Shim {
    /// The compiled thing in `cache`, made now if this version of it is not there yet.
    pub(crate) fn build(self, cache: &Path) -> Result<PathBuf> {
        let built = cache.join(format!("{:016x}-{}", fingerprint(self.source), self.name));
        if built.exists() {
            return Ok(built);
        }
        fs::create_dir_all(cache).during(|| format!("making {}", cache.display()))?;
        // Two processes may build at once: each its own draft, and either may come to stay.
        let draft = built.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
        let mut compiler: Command = GCC.command();
        compiler.args(["-Wall", "-x", "c", "-", "-o"]).arg(&draft).args(self.flags);
        GCC.feed(&mut compiler, self.source)?;
        fs::rename(&draft, &built)
            .during(|| format!("renaming {} to {}", draft.display(), built.display()))?;
        Ok(built)
    }
}

/// FNV-1a: tells versions of a source apart.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_shim_is_built_once_and_where_the_caller_says() {
        let cache = tempfile::tempdir().unwrap();
        match SYNC_FAILS.build(cache.path()) {
            Ok(built) => {
                let made = fs::metadata(&built).unwrap().modified().unwrap();
                assert_eq!(SYNC_FAILS.build(cache.path()).unwrap(), built);
                assert_eq!(fs::metadata(&built).unwrap().modified().unwrap(), made);
                assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
            }
            Err(Error::Missing { package, .. }) => assert_eq!(package, "gcc libc6-dev"),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn another_source_is_another_file() {
        assert_ne!(fingerprint(FS_SHUTDOWN.source), fingerprint(SYNC_FAILS.source));
        assert_eq!(fingerprint(""), 0xcbf2_9ce4_8422_2325);
    }
}
