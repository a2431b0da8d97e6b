//! Entries of the log. What an entry is, its payload says: nothing is a blank entry, `CMB1` names members, and anything
//! else is commands in the store's own format.

use bytes::Bytes;
use chronos_store::entry::names_members;
use chronos_wal::Mark;

use super::super::types::{Batch, Entry, Payload, log_id_of, mark_of};
use super::fields::Malformed;
use super::members::{decode_members, encode_members};

/// The payload as it stands in the log and on the wire; that of commands is not copied.
pub(crate) fn payload_of(payload: &Payload) -> Bytes {
    match payload {
        Payload::Blank => Bytes::new(),
        Payload::Normal(batch) => batch.payload.clone(),
        Payload::Membership(members) => encode_members(members),
    }
}

/// What a payload says; commands are read when they are applied.
pub(super) fn payload_from(payload: Bytes) -> Result<Payload, Malformed> {
    if payload.is_empty() {
        Ok(Payload::Blank)
    } else if names_members(&payload) {
        Ok(Payload::Membership(decode_members(&payload)?))
    } else {
        Ok(Payload::Normal(Batch { payload, commands: None }))
    }
}

pub(crate) fn to_log(entry: &Entry) -> chronos_wal::Entry {
    let Mark { index, term } = mark_of(Some(&entry.log_id));
    chronos_wal::Entry { index, term, payload: payload_of(&entry.payload) }
}

pub(crate) fn from_log(logged: chronos_wal::Entry) -> Result<Entry, Malformed> {
    let mark = Mark { index: logged.index, term: logged.term };
    let log_id = log_id_of(mark).ok_or_else(|| Malformed::Damaged("entry 0", "there is none".to_owned()))?;
    Ok(Entry { log_id, payload: payload_from(logged.payload)? })
}
