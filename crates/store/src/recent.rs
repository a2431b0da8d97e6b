//! Blocks that were read back from the log lately, so that a hot event that is old does not cost a disk read each
//! time. First in, first out; small beside the tail.

use std::collections::VecDeque;

use chronos_block::Block;
use chronos_domain::Position;
use hashbrown::HashTable;

/// Some blocks by the position of their first event.
#[derive(Debug)]
pub(crate) struct Recent {
    blocks: HashTable<(Position, Block)>,
    order: VecDeque<Position>,
    bytes: usize,
    budget_bytes: usize,
}

impl Recent {
    pub(crate) const fn new(budget_bytes: usize) -> Recent {
        Recent { blocks: HashTable::new(), order: VecDeque::new(), bytes: 0, budget_bytes }
    }

    pub(crate) fn get(&self, first: Position) -> Option<Block> {
        self.blocks.find(hash(first), |(at, _)| *at == first).map(|(_, block)| block.clone())
    }

    pub(crate) fn put(&mut self, first: Position, block: Block) {
        if block.memory() > self.budget_bytes || self.get(first).is_some() {
            return;
        }
        self.bytes += block.memory();
        self.order.push_back(first);
        self.blocks.insert_unique(hash(first), (first, block), |(at, _)| hash(*at));
        while self.bytes > self.budget_bytes {
            let oldest = self.order.pop_front().expect("bytes are counted only for blocks in line");
            let found = self.blocks.find_entry(hash(oldest), |(at, _)| *at == oldest);
            let ((_, block), _) = found.expect("a block in line is in the table").remove();
            self.bytes -= block.memory();
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}

const fn hash(first: Position) -> u64 {
    first.get().wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use chronos_block::{Compression, Draft, Packer};
    use chronos_domain::{EntityId, EventId, EventType};

    use super::*;

    fn block(id: u64) -> Block {
        let mut packer = Packer::new();
        let (entity, event_type) = (EntityId::parse("e").unwrap(), EventType::parse("t").unwrap());
        packer.push(Draft::json(EventId::from_u128(id.into()), entity, event_type, "{}")).unwrap();
        packer.finish(Compression::None).unwrap()
    }

    #[test]
    fn the_oldest_go_first_and_the_budget_holds() {
        let size = block(1).memory();
        let mut recent = Recent::new(3 * size);
        for n in 1..=5 {
            recent.put(Position::new(n), block(n));
            recent.put(Position::new(n), block(n));
            assert!(recent.bytes() <= 3 * size, "after {n}");
        }
        let kept: Vec<u64> = (1..=5).filter(|n| recent.get(Position::new(*n)).is_some()).collect();
        assert_eq!(kept, [3, 4, 5]);
    }

    #[test]
    fn what_does_not_fit_at_all_pushes_nobody_out() {
        let mut recent = Recent::new(block(1).memory() - 1);
        recent.put(Position::new(1), block(1));
        assert_eq!((recent.bytes(), recent.get(Position::new(1))), (0, None));
    }
}
