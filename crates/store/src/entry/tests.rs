use chronos_block::{Compression, Draft, Packer};
use chronos_domain::{EntityId, EventId, EventType, Expectation};
use proptest::prelude::*;

use std::ops::Range;

use super::*;

fn block(ids: Range<u128>, payload: &[u8], compression: Compression) -> Block {
    let mut packer = Packer::new();
    packer.expect(EntityId::parse("checked-only").unwrap(), Expectation::NoEntity).unwrap();
    for id in ids {
        let entity = EntityId::parse(&format!("entity-{}", id % 3)).unwrap();
        let event_type = EventType::parse("thing.happened").unwrap();
        packer.push(Draft::json(EventId::from_u128(id), entity, event_type, payload.to_vec())).unwrap();
    }
    packer.finish(compression).unwrap()
}

fn command(tenant: &str, at: i64, block: Block) -> Command {
    let tenant = TenantId::parse(tenant).unwrap();
    AppendCommand { tenant, fork: ForkId::new(at as u64 % 2), recorded_at: Timestamp::new(at), block }.into()
}

fn truncate(tenant: &str, at: i64) -> Command {
    Command::Truncate(TruncateCommand {
        tenant: TenantId::parse(tenant).unwrap(),
        fork: ForkId::new(1),
        recorded_at: Timestamp::new(at),
        entity: EntityId::parse("entity-1").unwrap(),
        before: Version::new(3),
    })
}

fn same(a: &Command, b: &Command) -> bool {
    match (a, b) {
        (Command::Append(a), Command::Append(b)) => {
            a.space() == b.space() && a.recorded_at == b.recorded_at && a.block == b.block
        }
        (Command::Truncate(a), Command::Truncate(b)) => a == b,
        (Command::Cut(a), Command::Cut(b)) => a == b,
        (Command::Tick(a), Command::Tick(b)) => a == b,
        _ => false,
    }
}

fn tick(at: i64) -> Command {
    Command::Tick(TickCommand { recorded_at: Timestamp::new(at) })
}

fn commands() -> [Command; 4] {
    let first = command("default", 1_700_000_000_000_000, block(1..3, b"{\"n\":1}", Compression::None));
    let second = command("other", -5, block(3..4, &[b'x'; 200], Compression::Lz4));
    let cut = Command::Cut(CutCommand { recorded_at: Timestamp::new(8), settle: true });
    [first, truncate("default", 6), cut, second]
}

fn sample() -> Bytes {
    encode(&commands(), Position::new(7))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The bytes that a release wrote which knew appends only.
fn format_1() -> Bytes {
    let appends: Vec<AppendCommand> = commands().iter().filter_map(Command::append).cloned().collect();
    let mut table = BytesMut::new();
    for append in &appends {
        table.put_i64_le(append.recorded_at.get());
        table.put_u64_le(append.fork.get());
        table.put_u32_le(append.block.bytes().len() as u32);
        table.put_u8(append.tenant.as_str().len() as u8);
        table.put_slice(append.tenant.as_str().as_bytes());
    }
    let mut out = BytesMut::new();
    out.put_slice(b"CEN1\x01\0");
    out.put_u16_le(appends.len() as u16);
    out.put_u64_le(7);
    out.put_u32_le(table.len() as u32);
    out.put_u32_le(0);
    let checksum = checksum(&out, &table);
    out.put_u64_le(checksum);
    out.put_slice(&table);
    appends.iter().for_each(|append| out.put_slice(append.block.bytes()));
    out.freeze()
}

#[test]
fn a_blank_entry_is_no_bytes_and_no_bytes_are_a_blank_entry() {
    let blank: [Command; 0] = [];
    assert!(encode(&blank, Position::new(9)).is_empty());
    let entry = decode(&Bytes::new()).unwrap();
    assert!(entry.commands.is_empty());
    assert_eq!(entry.known_head, Position::ZERO);
}

#[test]
fn the_layout_of_format_1_is_still_read() {
    let payload = format_1();
    // Everything in front of the blocks; their bytes are the block codec's own concern.
    assert_eq!(hex(&payload[..SUMMED_BYTES]), "43454e310100020007000000000000003600000000000000");
    let table = &payload[HEADER_BYTES..HEADER_BYTES + 0x36];
    assert_eq!(hex(&table[..16]), "00401e18240a06000000000000000000");
    assert_eq!((table[20], &table[21..28]), (7, b"default".as_slice()));
    for read in [decode, decode_strictly] {
        let entry = read(&payload).unwrap();
        assert_eq!(entry.known_head.get(), 7);
        let [first, _, _, second] = commands();
        assert!(same(&entry.commands[0], &first) && same(&entry.commands[1], &second));
        assert_eq!(entry.commands.len(), 2);
    }
}

#[test]
fn the_layout_of_format_2_is_the_one_that_was_written_down() {
    let payload = sample();
    assert_eq!(hex(&payload[..SUMMED_BYTES]), "43454e310200040007000000000000006d00000000000000");
    let table = &payload[HEADER_BYTES..HEADER_BYTES + 0x6d];
    // Kind, moment and fork of the append; its tenant after the length of its block.
    assert_eq!(hex(&table[..17]), "0000401e18240a06000000000000000000");
    assert_eq!((table[21], &table[22..29]), (7, b"default".as_slice()));
    // The truncation.
    let golden = "01060000000000000001000000000000000300000000000000070800";
    assert_eq!(hex(&table[29..57]), golden);
    assert_eq!(&table[57..72], b"defaultentity-1");
    // The cut, and the second append.
    assert_eq!(hex(&table[72..82]), "02080000000000000001");
    assert_eq!(hex(&table[82..91]), "00fbffffffffffffff");
}

#[test]
fn the_passing_of_time_is_a_kind_and_a_moment() {
    let payload = encode(&[tick(9)], Position::new(7));
    assert_eq!(hex(&payload[..SUMMED_BYTES]), "43454e310200010007000000000000000900000000000000");
    assert_eq!(hex(&payload[HEADER_BYTES..]), "030900000000000000");
    assert!(same(&decode(&payload).unwrap().commands[0], &tick(9)));
}

#[test]
fn an_entry_cut_anywhere_is_refused() {
    let payload = sample();
    for len in 1..payload.len() {
        assert!(
            decode(&payload.slice(..len)).is_err(),
            "the first {len} of {} bytes were accepted",
            payload.len()
        );
    }
    let longer = [&payload[..], &[0]].concat();
    assert!(decode(&longer.into()).is_err());
}

#[test]
fn an_entry_with_any_bit_flipped_is_refused() {
    for payload in [sample(), format_1()] {
        for bit in 0..payload.len() * 8 {
            let mut bytes = payload.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes.into()).is_err(), "bit {bit} went unnoticed");
        }
    }
}

#[test]
fn a_later_format_is_named() {
    let mut bytes = sample().to_vec();
    bytes[4] = 9;
    let refused = decode(&bytes.into()).unwrap_err();
    assert!(matches!(refused, Malformed::Version { found: 9, supported: FORMAT }), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(
        tenants in prop::collection::vec(("[a-z0-9_-]{1,64}", any::<i64>(), 0..7_u128, any::<bool>()), 1..20),
        head in any::<u64>(),
    ) {
        let commands: Vec<Command> = tenants.iter().enumerate().map(|(i, (tenant, at, events, packed))| {
            let first = i as u128 * 10 + 1;
            let compression = if *packed { Compression::Lz4 } else { Compression::None };
            match events {
                4 => return truncate(tenant, *at),
                6 => return tick(*at),
                5 => return Command::Cut(CutCommand { recorded_at: Timestamp::new(*at), settle: *packed }),
                _ => {}
            }
            command(tenant, *at, block(first..first + events, b"{}", compression))
        }).collect();
        for entry in [decode, decode_strictly].map(|read| read(&encode(&commands, Position::new(head)))) {
            let entry = entry.unwrap();
            prop_assert_eq!(entry.known_head.get(), head);
            prop_assert_eq!(entry.commands.len(), commands.len());
            prop_assert!(entry.commands.iter().zip(&commands).all(|(a, b)| same(a, b)));
        }
    }

    #[test]
    fn bytes_of_a_stranger_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _refused_or_not = decode(&bytes.into());
    }
}
