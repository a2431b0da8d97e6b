//! The house rules that a compiler does not know, checked on the workspace as it stands.
//!
//! Each rule is a pure function from facts to breaches. It is tested twice: on the workspace, where it must find
//! nothing, and on a planted breach, which it must find.

mod edges;
mod heavy;
mod names;
mod no_std;
mod rare;
mod unsafe_code;
mod workspace;

/// Fails with every breach of a rule, one a line.
fn assert_kept(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}
