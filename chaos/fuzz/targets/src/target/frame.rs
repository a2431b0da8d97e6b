//! A frame of the write-ahead log: what is read of it is what was written there, and it belongs nowhere else.

use chronos_wal::rewritten_frame;

use super::Target;
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    tried_by_test: 20_000,
    ..Target::new(
        "frame",
        "a frame that is read is written anew as the same bytes, and is one only where it stands",
        run,
        seeds,
    )
};

const HEADER_BYTES: usize = 80;
/// Where the fields of a header stand that are looked at here.
const KIND: usize = 5;
const FLAGS: usize = 7;
const PAYLOAD_LEN: usize = 68;
const PAYLOAD_CRC: usize = 72;
const CRC: usize = 76;

/// An input is a place, then bytes: as they are, or sealed as a frame, with the length that is there or that they say.
fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let mode = input.u8();
    let (lane, segment, offset) = (input.u8(), u64::from(input.u16()), u64::from(input.u16()) * 8);
    let mut bytes = input.rest().to_vec();
    if mode & 1 == 1 {
        seal(&mut bytes, (lane, segment, offset), mode & 2 == 0);
    }
    let written = rewritten_frame(&bytes, lane, segment, offset);
    let sound = mode & 3 == 1 && (1..=5).contains(&bytes[KIND]);
    assert!(!sound || written.is_some(), "a frame that is sealed right is refused");
    let Some(written) = written else { return };
    let framed = (HEADER_BYTES + bytes_of_payload(&bytes)).next_multiple_of(8);
    assert_eq!(written.len(), framed, "a frame is written with another length");
    if bytes[FLAGS] <= 1 {
        let payload_end = HEADER_BYTES + bytes_of_payload(&bytes);
        assert_eq!(written[..payload_end], bytes[..payload_end], "a frame is written as other bytes");
    }
    assert_eq!(rewritten_frame(&written, lane, segment, offset).as_ref(), Some(&written));
    for (lane, segment, offset) in
        [(lane ^ 1, segment, offset), (lane, segment + 1, offset), (lane, segment, offset + 8)]
    {
        assert_eq!(rewritten_frame(&written, lane, segment, offset), None, "a frame is one at two places");
    }
}

fn bytes_of_payload(bytes: &[u8]) -> usize {
    let field = bytes[PAYLOAD_LEN..PAYLOAD_CRC].try_into().expect("four bytes");
    u32::from_le_bytes(field) as usize
}

/// Gives bytes the sums of a frame at this place; with the length they have, or the one that they claim.
fn seal(bytes: &mut Vec<u8>, (lane, segment, offset): (u8, u64, u64), with_length: bool) {
    bytes.resize(bytes.len().max(HEADER_BYTES), 0);
    bytes[..5].copy_from_slice(b"CHRF\x01");
    if with_length {
        let payload = bytes.len() - HEADER_BYTES;
        bytes[PAYLOAD_LEN..PAYLOAD_CRC].copy_from_slice(&(payload as u32).to_le_bytes());
        let crc = crc32fast::hash(&bytes[HEADER_BYTES..]);
        bytes[PAYLOAD_CRC..CRC].copy_from_slice(&crc.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[lane]);
    crc.update(&segment.to_le_bytes());
    crc.update(&offset.to_le_bytes());
    crc.update(&bytes[..CRC]);
    bytes[CRC..HEADER_BYTES].copy_from_slice(&crc.finalize().to_le_bytes());
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for kind in 0..=6 {
        for payload in [0, 1, 8, 100] {
            let mut frame = vec![0; HEADER_BYTES + payload];
            frame[KIND] = kind;
            frame[8..64].iter_mut().zip(1..).for_each(|(byte, n)| *byte = n);
            let place: &[u8] = &[1, 2, 3, 0, 4, 0];
            seeds.push(joined(&[place, &frame]));
            seal(&mut frame, (2, 3, 32), true);
            seeds.push(joined(&[&[0], &place[1..], &frame]));
        }
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_frames_where_they_stand() {
        let frames = seeds().into_iter().filter(|seed| seed[0] == 0);
        let read = frames.filter(|seed| rewritten_frame(&seed[6..], 2, 3, 32).is_some());
        assert_eq!(read.count(), 5 * 4, "five kinds, four lengths");
    }
}
