//! Measurements, not tests: `cargo test --release -p chronos-store speed -- --ignored --nocapture`.

#![expect(clippy::disallowed_methods, reason = "measures the machine, so it needs the machine's clock")]

use std::time::Instant;

use chronos_block::{Compression, Draft, Packer, Range};
use chronos_domain::{EntityId, EventId, EventType, ForkId, Position, Space, TenantId, Timestamp};

use super::*;
use crate::read;

const BLOCKS: u64 = 1_000;
const EVENTS: u64 = 1_000;
const ENTITIES: u64 = 10_000;

fn command(block: u64) -> Command {
    let mut packer = Packer::new();
    let event_type = EventType::parse("order.placed").unwrap();
    for event in 0..EVENTS {
        let n = block * EVENTS + event;
        let id = EventId::new_v7(
            1_700_000_000_000 + block,
            u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C),
        );
        let entity =
            EntityId::parse(&format!("order-{:08}", n.wrapping_mul(2_654_435_761) % ENTITIES)).unwrap();
        packer.push(Draft::json(id, entity, event_type.clone(), vec![b'1'; 256])).unwrap();
    }
    let block = packer.finish(Compression::None).unwrap();
    Command { tenant: TenantId::default_tenant(), fork: ForkId::MAIN, recorded_at: Timestamp::new(1), block }
}

#[test]
#[ignore = "a measurement"]
fn apply_and_pick() {
    let commands: Vec<[Command; 1]> = (0..BLOCKS).map(|block| [command(block)]).collect();
    let mut state = State::new(PartitionId::new(0).unwrap(), usize::MAX);
    let start = Instant::now();
    let mut slowest = 0;
    for (index, command) in (1..).zip(&commands) {
        let begun = Instant::now();
        state.apply(LogIndex::new(index), command);
        slowest = slowest.max(begun.elapsed().as_micros());
    }
    let seconds = start.elapsed().as_secs_f64();
    let events = (BLOCKS * EVENTS) as f64;
    println!(
        "apply: {:.2} M events/s, slowest block {slowest} µs, {:?}",
        events / seconds / 1e6,
        state.stats()
    );

    let space = Space { tenant: "default", fork: ForkId::MAIN };
    let range = Range::forward();
    let start = Instant::now();
    let mut picked_events = 0;
    for n in 0..ENTITIES {
        let places = read::places(&state.tables, space, &format!("order-{n:08}"));
        picked_events += places.len();
        std::hint::black_box(read::pick_entity(&state.tables, places, &range, Position::MAX));
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / ENTITIES as f64;
    println!("pick an entity of {} events: {each:.2} µs", picked_events as u64 / ENTITIES);
}
