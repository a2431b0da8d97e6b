//! How many files this process may hold open. Sockets count as files: whoever accepts connections without an eye on
//! this number takes the log's next file away from it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, and returns the limit that holds then; `u64::MAX` means none.
///
/// The soft limit is commonly 1024 for the sake of programs that call `select`; nothing here does. A system that
/// refuses the rise keeps the limit it had, and that one is returned: the caller has to live within it either way.
/// The limit is the process's, so this is called once, at the start.
pub fn raise_limit() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if setrlimit(Resource::Nofile, raised).is_err() {
        return before.current.unwrap_or(u64::MAX);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_the_system_allows() {
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(raise_limit(), hard);
        assert_eq!(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), hard);
        assert_eq!(raise_limit(), hard, "a second call changes nothing");
    }
}
