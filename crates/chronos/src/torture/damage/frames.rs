//! Which bytes of a segment of the write-ahead log are what (`crates/wal/src/FORMAT.md`).
//!
//! Read here once more, and plainly: whoever breaks something on purpose must not believe the code that is to notice it.

use super::wound::Kind;

const HEADER_BYTES: usize = 4096;
const FRAME_BYTES: usize = 80;
const MAGIC: &[u8; 4] = b"CHRF";

/// What, from which byte, how many bytes; up to the end of what was written.
pub(super) fn frames(segment: &[u8]) -> Vec<(Kind, u64, u64)> {
    let mut found = vec![(Kind::SegmentHeader, 0, segment.len().min(HEADER_BYTES) as u64)];
    let mut at = HEADER_BYTES;
    while let Some(frame) = segment.get(at..at + FRAME_BYTES).filter(|frame| frame.starts_with(MAGIC)) {
        let payload = u32::from_le_bytes([frame[68], frame[69], frame[70], frame[71]]) as usize;
        let bytes = FRAME_BYTES + payload;
        let kind = match frame[5] {
            1 => Kind::Entry,
            2 => Kind::Vote,
            _ => Kind::LogState,
        };
        // The zeros behind it up to the next multiple of eight are as much a part of it.
        let bytes = bytes.next_multiple_of(8);
        found.push((kind, at as u64, bytes as u64));
        at += bytes;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_up_to_the_zeros_behind_them() {
        let mut segment = vec![0; HEADER_BYTES];
        for (kind, payload) in [(1_u8, 13_u32), (2, 8), (5, 0)] {
            let mut frame = vec![0; FRAME_BYTES];
            frame[..4].copy_from_slice(MAGIC);
            frame[5] = kind;
            frame[68..72].copy_from_slice(&payload.to_le_bytes());
            frame.resize((FRAME_BYTES + payload as usize).next_multiple_of(8), 0);
            segment.extend(frame);
        }
        segment.extend([0; 500]);
        let expected = [
            (Kind::SegmentHeader, 0, 4096),
            (Kind::Entry, 4096, 96),
            (Kind::Vote, 4192, 88),
            (Kind::LogState, 4280, 80),
        ];
        assert_eq!(frames(&segment), expected);
    }
}
