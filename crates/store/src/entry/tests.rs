use chronos_block::{Compression, Draft, Packer};
use chronos_domain::{EntityId, EventId, EventType, Expectation};
use proptest::prelude::*;

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
    Command { tenant, fork: ForkId::new(at as u64 % 2), recorded_at: Timestamp::new(at), block }
}

fn same(a: &Command, b: &Command) -> bool {
    a.space() == b.space() && a.recorded_at == b.recorded_at && a.block == b.block
}

fn sample() -> Bytes {
    let first = command("default", 1_700_000_000_000_000, block(1..3, b"{\"n\":1}", Compression::None));
    let second = command("other", -5, block(3..4, &[b'x'; 200], Compression::Lz4));
    encode(&[first, second], Position::new(7))
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
fn the_layout_is_the_one_that_was_written_down() {
    let payload = sample();
    // Everything in front of the blocks; their bytes are the block codec's own concern.
    let golden = "43454e310100020007000000000000003600000000000000";
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(hex(&payload[..SUMMED_BYTES]), golden);
    let table = &payload[HEADER_BYTES..HEADER_BYTES + 0x36];
    assert_eq!(hex(&table[..16]), "00401e18240a06000000000000000000");
    assert_eq!((table[20], &table[21..28]), (7, b"default".as_slice()));
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
    let payload = sample();
    for bit in 0..payload.len() * 8 {
        let mut bytes = payload.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&bytes.into()).is_err(), "bit {bit} went unnoticed");
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
        tenants in prop::collection::vec(("[a-z0-9_-]{1,64}", any::<i64>(), 0..4_u128, any::<bool>()), 1..20),
        head in any::<u64>(),
    ) {
        let commands: Vec<Command> = tenants.iter().enumerate().map(|(i, (tenant, at, events, packed))| {
            let first = i as u128 * 10 + 1;
            let compression = if *packed { Compression::Lz4 } else { Compression::None };
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
