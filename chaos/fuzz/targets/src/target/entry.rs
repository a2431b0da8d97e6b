//! The payload of a log entry: the commands in it, and who belongs to a group.

use chronos_domain::xxh64::Xxh64;
use chronos_store::entry;

use super::{Target, history};
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    input_bytes_max: 16 << 10,
    memory_bytes_max: 24 << 20,
    tried_by_test: 8000,
    ..Target::new("entry", "a log entry that is read is written anew as the same commands", run, seeds)
};

const HEADER_BYTES: usize = 32;
const SUM: usize = 24;
const FORMAT: u8 = 2;

/// An input is an entry as it is, or behind an odd byte one that is given its checksum.
fn run(input: &[u8]) {
    let bytes = Input::new(input).perhaps_sealed(seal);
    let Ok(read) = entry::decode(&bytes) else { return };
    if let Some(members) = read.members {
        assert!(entry::names_members(&members) && read.commands.is_empty());
        return;
    }
    let written = entry::encode(&read.commands, read.known_head);
    let is_current = bytes.get(4) == Some(&FORMAT);
    if is_current || bytes.is_empty() {
        assert_eq!(written, bytes, "an entry has a second form");
    }
    let again = entry::decode(&written).expect("what was written is read");
    assert_eq!(again.known_head, read.known_head);
    let facts = |read: &entry::Entry| format!("{:?}", read.commands);
    // A debug text of a block does not show all of it; its bytes were compared above.
    assert_eq!(facts(&again), facts(&read));
}

/// Gives bytes the checksum of an entry over the table that its header announces, if there is so much.
fn seal(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().max(HEADER_BYTES), 0);
    bytes[..4].copy_from_slice(b"CEN1");
    let table_len = u32::from_le_bytes(bytes[16..20].try_into().expect("four bytes")) as usize;
    let Some(table) = bytes.get(HEADER_BYTES..HEADER_BYTES.saturating_add(table_len)) else { return };
    let mut hash = Xxh64::new(0);
    hash.update(&bytes[..SUM]);
    hash.update(table);
    let sum = hash.finish().to_le_bytes();
    bytes[SUM..HEADER_BYTES].copy_from_slice(&sum);
}

fn seeds() -> Vec<Vec<u8>> {
    let entries = history::entries();
    entries.iter().flat_map(|entry| [0, 1].map(|mode| joined(&[&[mode], entry.as_ref()]))).collect()
}
