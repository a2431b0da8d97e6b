//! A node's seat in its cluster: the file `NODE`. Layout in `FORMAT.md`.
//!
//! Invariants: a machine's UUID is durable before anybody hears of it, its node id before anything is done as that node,
//! and each start's incarnation and process before any other node hears of that start. The processes of a directory's starts,
//! one for each incarnation, are its *line*: by it others tell the directory from its copies, and from what it was earlier.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut};
use chronos_domain::NodeId;
use chronos_domain::xxh64::xxh64;

use super::codec::Fault;

const MAGIC: [u8; 8] = *b"CHRONOND";
pub(super) const FORMAT: u16 = 4;
/// The first format, which did not say where clients and operators were listened for.
const FIRST_FORMAT: u16 = 1;
/// The format that did not say which machines the other nodes are, and who was removed.
const SECOND_FORMAT: u16 = 2;
/// The format that did not say which processes served the directory, nor what they saw of others.
const THIRD_FORMAT: u16 = 3;
/// Starts that are kept. A node that was not reached by another one for longer is taken by it for who it says it is.
pub(super) const STARTS_MAX: usize = 128;
const FIXED_BYTES: usize = 64;
const CHECKSUM_BYTES: usize = 8;

/// How a directory came to be part of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Not yet: it has perhaps asked to be, and does not know the answer.
    Asking,
    /// It founded the cluster.
    Founder,
    /// The cluster admitted it.
    Joined,
}

/// Where a node is, as it was at its last start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// Where it listened for other nodes (`host:port`); empty when it never did.
    pub peer_listen: String,
    /// Where clients reach it.
    pub client: String,
    /// Where other nodes reach it.
    pub peer: String,
    /// Where operators reach it.
    pub admin: String,
    /// Where it listened for clients; empty when nobody wrote that down.
    pub client_listen: String,
    /// Where it listened for operators; empty when it did not.
    pub admin_listen: String,
}

/// Another node of the cluster, as it was known last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Which one.
    pub node: NodeId,
    /// The UUID of its data directory, as the cluster admitted it; 0 when nobody said so.
    pub machine: u128,
    /// Where other nodes reach it (`host:port`).
    pub peer: String,
}

/// Another node, as it was seen last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Its incarnation.
    pub incarnation: u64,
    /// The process that was it.
    pub process: u64,
    /// Processes that served copies of its directory, the latest last.
    pub copies: Vec<Double>,
}

/// A process that is not the node it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Double {
    /// It, or the first one of that directory that was found out.
    pub process: u64,
    /// The process of the original that was alive when it was, too, and that it says it goes on from; 0 where that is not
    /// known, and the other one may be the copy.
    pub of: u64,
}

impl Double {
    /// Whether it is known that its directory is the copy.
    pub fn is_copy(&self) -> bool {
        self.of != 0
    }
}

/// That a directory is a copy of one that was served when it was, too, and must not be served again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disowned {
    /// The node that has seen it.
    pub by: NodeId,
    /// The incarnation in which this directory was told so.
    pub incarnation: u64,
    /// The process of the original that was alive.
    pub of: u64,
}

/// What a node knows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// How it came by its seat.
    pub origin: Origin,
    /// The UUID of its data directory: who loses the directory is another machine.
    pub machine: u128,
    /// Its cluster's UUID; 0 while it asks.
    pub cluster: u128,
    /// Which node it is; 0 while it asks.
    pub node: NodeId,
    /// How often it was started.
    pub incarnation: u64,
    /// Where it is.
    pub at: Whereabouts,
    /// The other nodes it knew of last, or was told of when it joined.
    pub members: Vec<Neighbour>,
    /// The ids of nodes that were removed from the cluster and are turned away for good.
    pub removed: BTreeSet<NodeId>,
    /// The processes of the directory's starts, the latest first: that of this incarnation, then of as many before it as are
    /// known, at most 128. None is 0.
    pub starts: Vec<u64>,
    /// What was seen of other nodes.
    pub seen: BTreeMap<NodeId, Sighting>,
    /// Whether the directory was found to be a copy.
    pub disowned: Option<Disowned>,
}

impl Seat {
    /// A founder that was never started.
    pub(super) fn founder(machine: u128, cluster: u128) -> Seat {
        Seat { origin: Origin::Founder, cluster, node: NodeId::FIRST, ..Seat::asking(machine) }
    }

    /// A machine that belongs to nobody yet.
    pub(super) fn asking(machine: u128) -> Seat {
        Seat {
            origin: Origin::Asking,
            machine,
            cluster: 0,
            node: NodeId::default(),
            incarnation: 0,
            at: Whereabouts::default(),
            members: Vec::new(),
            removed: BTreeSet::new(),
            starts: Vec::new(),
            seen: BTreeMap::new(),
            disowned: None,
        }
    }

    /// The next life of it, served by `process`.
    pub(super) fn next(&self, process: u64, at: Whereabouts) -> Seat {
        let starts = std::iter::once(process).chain(self.starts.iter().copied()).take(STARTS_MAX);
        Seat { incarnation: self.incarnation + 1, starts: starts.collect(), at, ..self.clone() }
    }
}

pub(super) fn encode(seat: &Seat) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.put_slice(&MAGIC);
    out.put_u16_le(FORMAT);
    out.put_u8(match seat.origin {
        Origin::Asking => 0,
        Origin::Founder => 1,
        Origin::Joined => 2,
    });
    out.put_bytes(0, 5);
    out.put_u128(seat.machine);
    out.put_u128(seat.cluster);
    out.put_u64_le(seat.node.get());
    out.put_u64_le(seat.incarnation);
    let Whereabouts { peer_listen, client, peer, admin, client_listen, admin_listen } = &seat.at;
    for text in [peer_listen, client, peer, admin, client_listen, admin_listen] {
        put_text(&mut out, text);
    }
    put_count(&mut out, seat.members.len());
    for Neighbour { node, machine, peer } in &seat.members {
        out.put_u64_le(node.get());
        out.put_u128(*machine);
        put_text(&mut out, peer);
    }
    put_count(&mut out, seat.removed.len());
    seat.removed.iter().for_each(|node| out.put_u64_le(node.get()));
    put_count(&mut out, seat.starts.len());
    seat.starts.iter().for_each(|process| out.put_u64_le(*process));
    put_count(&mut out, seat.seen.len());
    for (node, Sighting { incarnation, process, copies }) in &seat.seen {
        [node.get(), *incarnation, *process].into_iter().for_each(|number| out.put_u64_le(number));
        put_count(&mut out, copies.len());
        copies.iter().flat_map(|double| [double.process, double.of]).for_each(|one| out.put_u64_le(one));
    }
    put_count(&mut out, usize::from(seat.disowned.is_some()));
    if let Some(Disowned { by, incarnation, of }) = &seat.disowned {
        [by.get(), *incarnation, *of].into_iter().for_each(|number| out.put_u64_le(number));
    }
    out.put_u64_le(xxh64(&out, 0));
    out
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32_le(u32::try_from(count).expect("a cluster has far fewer nodes, and a directory lines"));
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.floor_char_boundary(usize::from(u16::MAX))];
    out.put_u16_le(u16::try_from(text.len()).expect("cut just now"));
    out.put_slice(text);
}

pub(super) fn decode(bytes: &[u8]) -> Result<Seat, Fault> {
    // Checksum first, as with the identity: in every format it is the last eight bytes.
    let (summed, checksum) =
        bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Fault::Damaged("it is shorter than a checksum"))?;
    if xxh64(summed, 0) != u64::from_le_bytes(*checksum) {
        return Err(Fault::Damaged("its checksum does not match"));
    }
    let format = match summed.first_chunk::<10>() {
        Some(start) if start[..8] == MAGIC => u16::from_le_bytes([start[8], start[9]]),
        _ => return Err(Fault::Damaged("its magic is missing")),
    };
    if !(FIRST_FORMAT..=FORMAT).contains(&format) {
        return Err(Fault::Newer { found: format, supported: FORMAT });
    }
    decode_fields(summed, format)
}

fn decode_fields(bytes: &[u8], format: u16) -> Result<Seat, Fault> {
    let (fixed, mut rest) =
        bytes.split_first_chunk::<FIXED_BYTES>().ok_or(Fault::Damaged("it is too short"))?;
    let origin = match fixed[10] {
        0 => Origin::Asking,
        1 => Origin::Founder,
        2 => Origin::Joined,
        _ => return Err(Fault::Damaged("its origin is unknown")),
    };
    let mut numbers = &fixed[16..];
    let (machine, cluster) = (numbers.get_u128(), numbers.get_u128());
    let (node, incarnation) = (NodeId::new(numbers.get_u64_le()), numbers.get_u64_le());
    let rest = &mut rest;
    let mut at = Whereabouts {
        peer_listen: take_text(rest)?,
        client: take_text(rest)?,
        peer: take_text(rest)?,
        admin: take_text(rest)?,
        ..Whereabouts::default()
    };
    if format > FIRST_FORMAT {
        (at.client_listen, at.admin_listen) = (take_text(rest)?, take_text(rest)?);
    }
    let count = rest.try_get_u32_le().map_err(short)?;
    let members = (0..count).map(|_| take_neighbour(rest, format)).collect::<Result<_, _>>()?;
    let removed = if format > SECOND_FORMAT { take_numbers(rest)? } else { BTreeSet::new() };
    let (starts, seen, disowned) = Default::default();
    let mut seat =
        Seat { origin, machine, cluster, node, incarnation, at, members, removed, starts, seen, disowned };
    if format > THIRD_FORMAT {
        take_line(rest, &mut seat)?;
    }
    if !rest.is_empty() {
        return Err(Fault::Damaged("it is too long"));
    }
    Ok(seat)
}

/// What the fourth format says besides: the directory's line, and what it knows of those of others.
fn take_line(from: &mut &[u8], seat: &mut Seat) -> Result<(), Fault> {
    seat.starts = take_numbers(from)?;
    let count = from.try_get_u32_le().map_err(short)?;
    seat.seen = (0..count).map(|_| take_sighting(from)).collect::<Result<_, _>>()?;
    seat.disowned = match from.try_get_u32_le().map_err(short)? {
        0 => None,
        1 => {
            let [by, incarnation, of] = take_array(from)?;
            Some(Disowned { by: NodeId::new(by), incarnation, of })
        }
        _ => return Err(Fault::Damaged("whether it is a copy is unknown")),
    };
    Ok(())
}

fn take_sighting(from: &mut &[u8]) -> Result<(NodeId, Sighting), Fault> {
    let [node, incarnation, process] = take_array(from)?;
    let count = from.try_get_u32_le().map_err(short)?;
    let double = |_| take_array(from).map(|[process, of]| Double { process, of });
    let copies = (0..count).map(double).collect::<Result<_, _>>()?;
    Ok((NodeId::new(node), Sighting { incarnation, process, copies }))
}

fn take_neighbour(from: &mut &[u8], format: u16) -> Result<Neighbour, Fault> {
    let node = NodeId::new(from.try_get_u64_le().map_err(short)?);
    let machine = if format > SECOND_FORMAT { from.try_get_u128().map_err(short)? } else { 0 };
    Ok(Neighbour { node, machine, peer: take_text(from)? })
}

fn take_numbers<T: From<u64>, C: FromIterator<T>>(from: &mut &[u8]) -> Result<C, Fault> {
    let count = from.try_get_u32_le().map_err(short)?;
    (0..count).map(|_| from.try_get_u64_le().map(T::from).map_err(short)).collect()
}

fn take_array<const N: usize>(from: &mut &[u8]) -> Result<[u64; N], Fault> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = from.try_get_u64_le().map_err(short)?;
    }
    Ok(numbers)
}

fn take_text(from: &mut &[u8]) -> Result<String, Fault> {
    let bytes = usize::from(from.try_get_u16_le().map_err(short)?);
    let (text, rest) = from.split_at_checked(bytes).ok_or(Fault::Damaged("it is too short"))?;
    *from = rest;
    String::from_utf8(text.to_vec()).map_err(|_| Fault::Damaged("an address in it is not text"))
}

fn short(_: bytes::TryGetError) -> Fault {
    Fault::Damaged("it is too short")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat() -> Seat {
        Seat {
            origin: Origin::Joined,
            machine: 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
            cluster: 0x1011_1213_1415_1617_1819_1a1b_1c1d_1e1f,
            node: NodeId::new(3),
            incarnation: 7,
            at: Whereabouts {
                peer_listen: "0.0.0.0:7401".into(),
                client: "c:7400".into(),
                peer: "c:7401".into(),
                admin: String::new(),
                client_listen: "0.0.0.0:7400".into(),
                admin_listen: "[::1]:7402".into(),
            },
            members: vec![neighbour(1, FIRST, "a:7401"), neighbour(2, 0, "b:7401")],
            removed: BTreeSet::from([4, 9].map(NodeId::new)),
            starts: vec![0x7777_0000_0000_0007, 0x7777_0000_0000_0006],
            seen: BTreeMap::from([(
                NodeId::FIRST,
                Sighting {
                    incarnation: 5,
                    process: 0x1111_0000_0000_0005,
                    copies: vec![Double { process: 0x1111_0000_0000_0025, of: 0x1111_0000_0000_0004 }],
                },
            )]),
            disowned: Some(Disowned { by: NodeId::new(2), incarnation: 6, of: 0x7777_0000_0000_0003 }),
        }
    }

    /// As it is read from a file that says nothing of the directory's line.
    fn without_line() -> Seat {
        Seat { starts: Vec::new(), seen: BTreeMap::new(), disowned: None, ..seat() }
    }

    const FIRST: u128 = 0x2021_2223_2425_2627_2829_2a2b_2c2d_2e2f;

    fn neighbour(node: u64, machine: u128, peer: &str) -> Neighbour {
        Neighbour { node: NodeId::new(node), machine, peer: peer.to_owned() }
    }

    /// As it is read from a file that says of the others only where they are.
    fn without_machines() -> Seat {
        let members = vec![neighbour(1, 0, "a:7401"), neighbour(2, 0, "b:7401")];
        Seat { members, removed: BTreeSet::new(), ..without_line() }
    }

    fn summed(bytes: &[u8]) -> Vec<u8> {
        [bytes, &xxh64(bytes, 0).to_le_bytes()].concat()
    }

    /// The layout, byte by byte. Never edited: a new format adds its own.
    #[test]
    fn the_fourth_format_is_these_bytes() {
        let golden: Vec<u8> = [
            &b"CHRONOND\x04\x00\x02\x00\x00\x00\x00\x00"[..],
            &(0..32).collect::<Vec<u8>>(),
            &[3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            b"\x0c\x000.0.0.0:7401\x06\x00c:7400\x06\x00c:7401\x00\x00",
            b"\x0c\x000.0.0.0:7400\x0a\x00[::1]:7402",
            b"\x02\x00\x00\x00\x01\0\0\0\0\0\0\0",
            &(32..48).collect::<Vec<u8>>(),
            b"\x06\x00a:7401\x02\0\0\0\0\0\0\0",
            &[0; 16],
            b"\x06\x00b:7401\x02\0\0\0\x04\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0",
            b"\x02\0\0\0\x07\0\0\0\0\0\x77\x77\x06\0\0\0\0\0\x77\x77",
            b"\x01\0\0\0\x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x05\0\0\0\0\0\x11\x11",
            b"\x01\0\0\0\x25\0\0\0\0\0\x11\x11\x04\0\0\0\0\0\x11\x11",
            b"\x01\0\0\0\x02\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x03\0\0\0\0\0\x77\x77",
        ]
        .concat();
        let encoded = encode(&seat());
        assert_eq!(encoded[..encoded.len() - 8], golden);
        assert_eq!(decode(&encoded).unwrap(), seat());
    }

    /// Written by releases before the fourth; only read. Never edited.
    #[test]
    fn the_third_format_is_these_bytes() {
        let golden: Vec<u8> = [
            &b"CHRONOND\x03\x00\x02\x00\x00\x00\x00\x00"[..],
            &(0..32).collect::<Vec<u8>>(),
            &[3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            b"\x0c\x000.0.0.0:7401\x06\x00c:7400\x06\x00c:7401\x00\x00",
            b"\x0c\x000.0.0.0:7400\x0a\x00[::1]:7402",
            b"\x02\x00\x00\x00\x01\0\0\0\0\0\0\0",
            &(32..48).collect::<Vec<u8>>(),
            b"\x06\x00a:7401\x02\0\0\0\0\0\0\0",
            &[0; 16],
            b"\x06\x00b:7401\x02\0\0\0\x04\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0",
        ]
        .concat();
        assert_eq!(decode(&summed(&golden)).unwrap(), without_line());
    }

    /// Written by releases before the third; only read. Never edited.
    #[test]
    fn the_second_format_is_these_bytes() {
        let golden: Vec<u8> = [
            &b"CHRONOND\x02\x00\x02\x00\x00\x00\x00\x00"[..],
            &(0..32).collect::<Vec<u8>>(),
            &[3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            b"\x0c\x000.0.0.0:7401\x06\x00c:7400\x06\x00c:7401\x00\x00",
            b"\x0c\x000.0.0.0:7400\x0a\x00[::1]:7402",
            b"\x02\x00\x00\x00\x01\0\0\0\0\0\0\0\x06\x00a:7401\x02\0\0\0\0\0\0\0\x06\x00b:7401",
        ]
        .concat();
        assert_eq!(decode(&summed(&golden)).unwrap(), without_machines());
    }

    /// Written by releases before the second; only read. Never edited.
    #[test]
    fn the_first_format_is_these_bytes() {
        let golden: Vec<u8> = [
            &b"CHRONOND\x01\x00\x02\x00\x00\x00\x00\x00"[..],
            &(0..32).collect::<Vec<u8>>(),
            &[3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            b"\x0c\x000.0.0.0:7401\x06\x00c:7400\x06\x00c:7401\x00\x00",
            b"\x02\x00\x00\x00\x01\0\0\0\0\0\0\0\x06\x00a:7401\x02\0\0\0\0\0\0\0\x06\x00b:7401",
        ]
        .concat();
        let at = Whereabouts { client_listen: String::new(), admin_listen: String::new(), ..seat().at };
        assert_eq!(decode(&summed(&golden)).unwrap(), Seat { at, ..without_machines() });
    }

    #[test]
    fn each_life_adds_its_process_and_the_oldest_are_forgotten() {
        let mut seat = Seat::asking(1);
        for process in 1..=200 {
            seat = seat.next(process, Whereabouts::default());
        }
        assert_eq!(seat.incarnation, 200);
        assert_eq!(seat.starts, (73..=200).rev().collect::<Vec<_>>());
    }

    #[test]
    fn any_flipped_bit_or_cut_is_damage() {
        let whole = encode(&seat());
        for len in 0..whole.len() {
            assert!(matches!(decode(&whole[..len]), Err(Fault::Damaged(_))), "cut to {len}");
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&bytes), Err(Fault::Damaged(_))), "bit {bit}");
        }
    }

    #[test]
    fn bytes_that_are_summed_up_but_make_no_sense_are_damage_and_a_newer_format_is_named() {
        let changed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = encode(&seat());
            bytes.truncate(bytes.len() - 8);
            change(&mut bytes);
            decode(&summed(&bytes))
        };
        assert!(matches!(changed(&|bytes| bytes[8] = 5), Err(Fault::Newer { found: 5, supported: 4 })));
        assert!(matches!(changed(&|bytes| bytes[8] = 0), Err(Fault::Newer { found: 0, supported: 4 })));
        for before in 1..4 {
            let read = changed(&|bytes| bytes[8] = before);
            assert!(matches!(read, Err(Fault::Damaged(_))), "read as format {before}");
        }
        assert!(matches!(changed(&|bytes| bytes[10] = 3), Err(Fault::Damaged(_))));
        assert!(matches!(changed(&|bytes| bytes.truncate(70)), Err(Fault::Damaged(_))));
        assert!(matches!(changed(&|bytes| bytes.truncate(bytes.len() - 8)), Err(Fault::Damaged(_))));
        assert!(matches!(changed(&|bytes| bytes.push(0)), Err(Fault::Damaged(_))));
        assert!(matches!(changed(&|bytes| bytes[66] = 0xFF), Err(Fault::Damaged(_))));
    }
}
