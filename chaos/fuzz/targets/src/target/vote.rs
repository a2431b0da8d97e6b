//! The vote as the log keeps it: 18 bytes on which it hangs that a term has one leader.

use bytes::Bytes;
use chronos_cluster::{Spoken, rewritten};

use super::Target;
use crate::input::joined;

pub(super) static TARGET: Target = Target {
    input_bytes_max: 64,
    tried_by_test: 20_000,
    ..Target::new("vote", "a vote that is read is written as the same bytes", run, seeds)
};

fn run(input: &[u8]) {
    let vote = Bytes::copy_from_slice(input);
    if let Some(written) = rewritten(Spoken::Vote, &vote) {
        assert_eq!(written, vote, "a vote has a second form");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let vote = |term: u64, node: u64, committed: u8| {
        joined(&[&[1], term.to_le_bytes().as_slice(), &node.to_le_bytes(), &[committed]])
    };
    vec![vote(0, 0, 0), vote(1, 1, 1), vote(u64::MAX, u64::MAX, 1), vote(7, 3, 2)]
}
