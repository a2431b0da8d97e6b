//! An input taken apart from its front: numbers, choices, bytes. Behind its end everything is zero, so that each input is
//! complete and a shorter one means less.

use bytes::Bytes;

/// What is left of an input.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Input<'a> {
        Input(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next so many bytes, or fewer where it ends.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }

    /// A byte, and everything behind it: as it is, or behind an odd one with the checksum that `seal` gives it.
    pub(crate) fn perhaps_sealed(&mut self, seal: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        let mode = self.u8();
        let mut bytes = self.rest().to_vec();
        if mode & 1 == 1 {
            seal(&mut bytes);
        }
        Bytes::from(bytes)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.bytes(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number below `end`; 0 where that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        match end {
            0 => 0,
            1..=256 => usize::from(self.u8()) % end,
            _ => self.u32() as usize % end,
        }
    }

    /// One of these.
    pub(crate) fn choose<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }
}

/// Pieces one after the other, for seeds.
pub(crate) fn joined(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_its_end_an_input_is_zero() {
        let mut input = Input::new(&[1, 2, 3]);
        assert_eq!((input.u16(), input.u32(), input.u8()), (0x0201, 3, 0));
        assert!(input.is_empty());
        assert!(!input.one_in(2) && input.rest().is_empty());
    }
}
