//! The `LANES` file: which lanes were ever made, and how many are in use.
//!
//! It is written when the lanes it names exist durably and before any frame goes into them. So a lane it names and
//! that is not there was lost, and a lane it does not name never held anything that was acknowledged.

use crate::format::{self, FORMAT, Fields, RELEASE_BYTES_MAX, Reader};

pub(crate) const FILE_NAME: &str = "LANES";
const MAGIC: &[u8; 8] = b"CHRWALLN";
const FILE_BYTES: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roster {
    pub(crate) cluster: u128,
    /// How many logs there are, for life.
    pub(crate) logs: u8,
    /// How many lanes are in use: log `p` is written to lane `p mod lanes`.
    pub(crate) lanes: u8,
    /// Lanes `0..made` exist.
    pub(crate) made: u8,
    pub(crate) release: String,
}

/// Why a roster cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RosterFlaw {
    /// Written by a later release.
    NewerFormat(u16),
    /// Not what was written.
    Spoiled(&'static str),
}

impl Roster {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; FILE_BYTES];
        let mut fields = Fields::of(&mut block);
        fields.bytes(MAGIC).u16(FORMAT).u8(self.logs).u8(self.lanes).u8(self.made);
        fields.bytes(&[0; 3]).u128(self.cluster).text(&self.release, RELEASE_BYTES_MAX);
        format::seal(&mut block);
        block
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Roster, RosterFlaw> {
        if bytes.len() != FILE_BYTES {
            return Err(RosterFlaw::Spoiled("has the wrong length"));
        }
        let mut fields = Reader::of(bytes);
        if !format::is_sealed(bytes) || fields.bytes(8) != MAGIC {
            return Err(RosterFlaw::Spoiled("fails its checksum"));
        }
        match fields.u16() {
            FORMAT => {}
            newer if newer > FORMAT => return Err(RosterFlaw::NewerFormat(newer)),
            _ => return Err(RosterFlaw::Spoiled("has format 0")),
        }
        let (logs, lanes, made, _) = (fields.u8(), fields.u8(), fields.u8(), fields.bytes(3));
        if lanes == 0 || logs == 0 || logs > format::LOGS_MAX || made < lanes {
            return Err(RosterFlaw::Spoiled("states an impossible layout"));
        }
        Ok(Roster { cluster: fields.u128(), logs, lanes, made, release: fields.text(RELEASE_BYTES_MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster() -> Roster {
        Roster { cluster: 99 << 64 | 7, logs: 33, lanes: 2, made: 4, release: "0.1.0".to_owned() }
    }

    #[test]
    fn a_roster_reads_back_as_written() {
        assert_eq!(Roster::decode(&roster().encode()), Ok(roster()));
    }

    #[test]
    fn every_single_flipped_bit_and_every_cut_is_noticed() {
        let good = roster().encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Roster::decode(&bytes).is_err(), "bit {bit} flipped unnoticed");
        }
        for len in 0..good.len() {
            assert!(Roster::decode(&good[..len]).is_err(), "cut to {len} bytes unnoticed");
        }
    }

    #[test]
    fn a_newer_format_is_named_not_guessed() {
        let mut bytes = roster().encode();
        bytes[8..10].copy_from_slice(&9u16.to_le_bytes());
        format::seal(&mut bytes);
        assert_eq!(Roster::decode(&bytes), Err(RosterFlaw::NewerFormat(9)));
    }

    #[test]
    fn the_bytes_of_a_roster_never_change() {
        crate::golden::check(include_str!("../tests/golden/roster.hex"), &roster().encode());
    }
}
