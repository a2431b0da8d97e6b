use futures::FutureExt;
use tokio::io::AsyncWriteExt;

use super::*;

/// What a node says in so many writes, as it travels.
fn sealed(writes: &[&[u8]]) -> Vec<u8> {
    let (here, mut there) = tokio::io::duplex(8 << 20);
    let mut writer = Sealed::calling(here);
    for bytes in writes {
        writer.write_all(bytes).now_or_never().expect("there is room").unwrap();
    }
    writer.shutdown().now_or_never().expect("there is room").unwrap();
    let mut travelled = Vec::new();
    there.read_to_end(&mut travelled).now_or_never().expect("it has ended").unwrap();
    travelled
}

/// What the other side makes of it, and whether it noticed that something is wrong.
fn opened(travelled: &[u8]) -> (Vec<u8>, Result<(), String>) {
    let mut reader = Sealed::calling(travelled);
    let mut read = Vec::new();
    let ended = reader.read_to_end(&mut read).now_or_never().expect("everything is there");
    if ended.is_err() {
        let again = reader.read(&mut [0]).now_or_never().expect("it does not wait");
        assert!(again.is_err(), "it went on behind damage");
    }
    (read, ended.map(drop).map_err(|error| error.to_string()))
}

#[test]
fn what_was_written_is_read_in_whatever_pieces() {
    let large = vec![7; 3 * FRAME_BYTES_MAX + 5];
    for writes in [&[b"".as_slice()][..], &[b"one", b"", b"another"], &[b"x", &large, b"y"]] {
        assert_eq!(opened(&sealed(writes)), (writes.concat(), Ok(())));
    }
}

#[test]
fn pieces_that_are_written_together_travel_as_one_frame() {
    let (here, mut there) = tokio::io::duplex(1 << 20);
    let mut writer = Sealed::calling(here);
    let pieces = [b"head ".as_slice(), b"", b"and body"].map(io::IoSlice::new);
    assert_eq!(writer.write_vectored(&pieces).now_or_never().unwrap().unwrap(), 13);
    let large = [7; FRAME_BYTES_MAX];
    let pieces = [b"first".as_slice(), &large].map(io::IoSlice::new);
    assert_eq!(writer.write_vectored(&pieces).now_or_never().unwrap().unwrap(), FRAME_BYTES_MAX);
    drop(writer);
    let mut travelled = Vec::new();
    there.read_to_end(&mut travelled).now_or_never().unwrap().unwrap();
    assert_eq!(travelled.len(), BEGINNING.len() + 2 * HEADER_BYTES + 13 + FRAME_BYTES_MAX);
    assert!(opened(&travelled).0.starts_with(b"head and bodyfirst\x07"));
}

#[test]
fn the_layout_is_the_one_that_is_written_down() {
    let sum = crc32fast::hash(b"\x02\0\0\0hi").to_le_bytes();
    assert_eq!(sealed(&[b"hi"]), [b"chronos\x01\x02\0\0\0".as_slice(), &sum, b"hi"].concat());
}

#[test]
fn no_single_bit_gets_past_it_wherever_it_turns() {
    let sound = sealed(&[b"the first frame", b"the second one"]);
    for bit in 0..sound.len() * 8 {
        let mut damaged = sound.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (read, ended) = opened(&damaged);
        assert!(ended.is_err(), "bit {bit} was not noticed");
        assert!(b"the first frame".starts_with(&read[..]), "bit {bit} was read as {read:?}");
    }
}

#[test]
fn a_frame_that_is_missing_or_comes_twice_or_too_early_is_noticed() {
    let frame = HEADER_BYTES + 4;
    let sound = sealed(&[b"one.", b"two.", b"tri.", b"for."]);
    let (beginning, frames) = sound.split_at(BEGINNING.len());
    let frames: Vec<&[u8]> = frames.chunks(frame).collect();
    assert_eq!(frames.len(), 4);
    for order in [&[0, 2, 3][..], &[1, 2, 3], &[0, 0, 1, 2, 3], &[0, 2, 1, 3], &[0, 1, 1]] {
        let travelled = order.iter().fold(beginning.to_vec(), |all, at| [&all, frames[*at]].concat());
        let (read, ended) = opened(&travelled);
        assert!(ended.is_err() && b"one.two.".starts_with(&read[..]), "{order:?} gave {read:?}");
    }
}

#[test]
fn an_end_in_the_middle_of_a_frame_is_none() {
    let sound = sealed(&[b"the first frame", b"the second one"]);
    let between = [0, BEGINNING.len(), BEGINNING.len() + HEADER_BYTES + 15, sound.len()];
    for end in 0..=sound.len() {
        let (read, ended) = opened(&sound[..end]);
        assert_eq!(ended.is_ok(), between.contains(&end), "cut at {end}");
        assert!(b"the first framethe second one".starts_with(&read[..]));
    }
}

#[test]
fn who_does_not_begin_so_is_told_apart_from_damage() {
    for other in [b"\0\0\0\x04\0\0\0\0\0".as_slice(), b"HTTP/1.1 400 \r\n", b"chronos\x02"] {
        let (read, ended) = opened(other);
        assert!(read.is_empty() && ended.unwrap_err().starts_with("what answers seals nothing"), "{other:?}");
    }
}
