//! IPv4 packets as the switch sees them: whom they are for, and how one is damaged so that nobody below the application
//! notices.

use std::net::Ipv4Addr;

use crate::dice::Dice;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Source and destination, if it is an IPv4 packet.
pub(super) fn ends(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let address = |at: usize| <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok().map(Ipv4Addr::from);
    if packet.first()? >> 4 != 4 {
        return None;
    }
    Some((address(12)?, address(16)?))
}

/// Flips one bit of what the packet carries for the application, and makes its checksum right again. False when it carries
/// nothing, or is a fragment.
pub(super) fn corrupt(packet: &mut [u8], dice: &mut Dice) -> bool {
    let Some(segment) = Segment::in_packet(packet) else { return false };
    let body = &mut packet[segment.payload_at..segment.end];
    let bits = body.len() as u64 * 8;
    let Some(bit) = (bits > 0).then(|| dice.below(bits)) else { return false };
    body[usize::try_from(bit / 8).expect("it is an index of the packet")] ^= 1 << (bit % 8);
    segment.repair(packet);
    true
}

/// A whole TCP or UDP segment and where its parts are in the packet.
struct Segment {
    protocol: u8,
    begin: usize,
    checksum_at: usize,
    payload_at: usize,
    end: usize,
}

impl Segment {
    fn in_packet(packet: &[u8]) -> Option<Segment> {
        ends(packet)?;
        let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
        // More fragments, or an offset other than 0: the checksum covers what is not here.
        if word(6)? & 0x3fff != 0 {
            return None;
        }
        let begin = usize::from(packet[0] & 0xf) * 4;
        let end = usize::from(word(2)?);
        let (header, checksum) = match packet[9] {
            TCP => (usize::from(packet.get(begin + 12)? >> 4) * 4, 16),
            UDP => (8, 6),
            _ => return None,
        };
        let segment = Segment {
            protocol: packet[9],
            begin,
            checksum_at: begin + checksum,
            payload_at: begin + header,
            end,
        };
        (segment.payload_at <= end && end <= packet.len()).then_some(segment)
    }

    fn repair(&self, packet: &mut [u8]) {
        let at = self.checksum_at;
        if self.protocol == UDP && packet[at..at + 2] == [0, 0] {
            // It was sent without one.
            return;
        }
        packet[at..at + 2].fill(0);
        let mut sum = ones_complement_sum(&packet[12..20]) + u32::from(self.protocol);
        sum += u32::try_from(self.end - self.begin).expect("a packet has at most 65,535 bytes");
        sum += ones_complement_sum(&packet[self.begin..self.end]);
        let sum = !folded(sum);
        // In UDP no checksum is 0; its other form says the same.
        let sum = if self.protocol == UDP && sum == 0 { 0xffff } else { sum };
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The sum of the internet checksum (RFC 1071), before it is folded: at most 32,768 words of a packet.
fn ones_complement_sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    words.sum()
}

fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("it was folded into 16 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet from 198.18.0.1 to 198.18.0.2, with a right checksum.
    fn packet(protocol: u8, header: &[u8], payload: &[u8]) -> Vec<u8> {
        let total = u16::try_from(20 + header.len() + payload.len()).unwrap();
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2];
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet.extend_from_slice(header);
        packet.extend_from_slice(payload);
        let segment = Segment::in_packet(&packet).unwrap();
        packet[segment.checksum_at] = 1;
        segment.repair(&mut packet);
        packet
    }

    fn tcp(payload: &[u8]) -> Vec<u8> {
        let mut header = [0; 24];
        header[12] = 6 << 4;
        packet(TCP, &header, payload)
    }

    fn checksum_is_right(packet: &[u8]) -> bool {
        let segment = Segment::in_packet(packet).unwrap();
        let covered = ones_complement_sum(&packet[12..20])
            + u32::from(segment.protocol)
            + (segment.end - segment.begin) as u32
            + ones_complement_sum(&packet[segment.begin..segment.end]);
        folded(covered) == 0xffff
    }

    #[test]
    fn the_ends_of_a_packet_are_read_and_other_packets_have_none() {
        let found = ends(&tcp(b"x")).unwrap();
        assert_eq!(found, (Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2)));
        assert_eq!(ends(&[0x60; 40]), None);
        assert_eq!(ends(&[0x45; 19]), None);
        assert_eq!(ends(&[]), None);
    }

    #[test]
    fn one_bit_of_the_payload_changes_and_the_checksum_is_right_again() {
        for whole in [tcp(b"odd"), tcp(b"even"), packet(UDP, &[0; 8], b"payload")] {
            for seed in 0..50 {
                let mut damaged = whole.clone();
                assert!(corrupt(&mut damaged, &mut Dice::new(seed)));
                let from = Segment::in_packet(&whole).unwrap().payload_at;
                let flipped: u32 =
                    std::iter::zip(&whole[from..], &damaged[from..]).map(|(a, b)| (a ^ b).count_ones()).sum();
                assert_eq!(flipped, 1, "seed {seed}");
                assert!(checksum_is_right(&damaged), "seed {seed}");
            }
        }
    }

    #[test]
    fn what_carries_nothing_or_is_a_fragment_stays_as_it_is() {
        let mut fragment = tcp(b"payload");
        fragment[6] |= 0x20;
        let icmp = {
            let mut other = tcp(b"payload");
            other[9] = 1;
            other
        };
        for mut whole in [tcp(b""), fragment, icmp, vec![0x45; 30], vec![]] {
            let before = whole.clone();
            assert!(!corrupt(&mut whole, &mut Dice::new(1)));
            assert_eq!(whole, before);
        }
    }

    #[test]
    fn udp_without_a_checksum_stays_without_one() {
        let mut whole = packet(UDP, &[0; 8], b"payload");
        whole[26..28].fill(0);
        assert!(corrupt(&mut whole, &mut Dice::new(1)));
        assert_eq!(whole[26..28], [0, 0]);
    }
}
