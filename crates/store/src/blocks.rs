//! The newest blocks of a partition, in memory within a budget.
//!
//! Blocks are numbered as they are applied, across generations, so that a generation can be sealed and shared while its
//! blocks still come and go. The oldest make room for new ones; readers fetch those from the log.

use std::collections::VecDeque;

use chronos_block::Block;

/// Counts the blocks applied since the partition was opened, from 0.
pub(crate) type BlockNo = u64;

/// The blocks in memory: a run that ends with the newest.
#[derive(Debug)]
pub(crate) struct Blocks {
    oldest: BlockNo,
    held: VecDeque<Block>,
    bytes: usize,
    budget_bytes: usize,
}

impl Blocks {
    /// Without blocks; the next one gets the number `first`.
    pub(crate) const fn new(budget_bytes: usize, first: BlockNo) -> Blocks {
        Blocks { oldest: first, held: VecDeque::new(), bytes: 0, budget_bytes }
    }

    /// The number the next block gets.
    pub(crate) fn next(&self) -> BlockNo {
        self.oldest + self.held.len() as u64
    }

    pub(crate) fn push(&mut self, block: Block) {
        self.bytes += block.memory();
        self.held.push_back(block);
    }

    /// The block, if it is in memory.
    pub(crate) fn get(&self, number: BlockNo) -> Option<&Block> {
        let at = number.checked_sub(self.oldest)?;
        self.held.get(usize::try_from(at).ok()?)
    }

    /// Drops the oldest blocks until the rest fits the budget.
    pub(crate) fn evict(&mut self) {
        while self.bytes > self.budget_bytes {
            self.drop_oldest();
        }
    }

    /// Drops blocks before `number`: what they say is in a part.
    pub(crate) fn drop_before(&mut self, number: BlockNo) {
        while self.oldest < number && !self.held.is_empty() {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let block = self.held.pop_front().expect("bytes are counted only for blocks that are held");
        self.bytes -= block.memory();
        self.oldest += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }
}
