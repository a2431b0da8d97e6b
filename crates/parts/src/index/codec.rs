//! Numbers and texts as bytes. Reading never trusts a length: what is not there is [`Malformed`].

/// Bytes that no writer of this format wrote. The sentence says what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Appends `number` as LEB128: seven bits a byte, the lowest first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a length and the text.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Signed numbers of small magnitude as small unsigned ones: 0, -1, 1, -2, ...
pub(super) const fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// What [`zigzag`] was given.
pub(super) const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Appends numbers, the low byte of each before what is above of any: like bytes side by side compress better.
pub(super) fn put_split(out: &mut Vec<u8>, numbers: &[u64]) {
    out.extend(numbers.iter().map(|number| *number as u8));
    for number in numbers {
        put_varint(out, number >> 8);
    }
}

/// Reads bytes from front to back.
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor(bytes)
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Malformed("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were asked for"))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed("it ends within a number"))?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed("a number has more than 64 bits"))
    }

    #[inline]
    pub(super) fn varint32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| Malformed("a number has more than 32 bits"))
    }

    /// A number of things that follow and take at least one byte each, so that room made for them is bounded by the
    /// bytes at hand.
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.varint()?;
        if count > self.0.len() as u64 {
            return Err(Malformed("it counts more than it can hold"));
        }
        Ok(count as usize)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.count()?;
        std::str::from_utf8(self.take(bytes)?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// `n` numbers of 32 bits.
    pub(super) fn varints32(&mut self, n: usize) -> Result<Vec<u32>, Malformed> {
        if n > self.0.len() {
            return Err(Malformed("it ends within a list of numbers"));
        }
        (0..n).map(|_| self.varint32()).collect()
    }

    /// `n` numbers as [`put_split`] wrote them.
    pub(super) fn split(&mut self, n: usize) -> Result<Vec<u64>, Malformed> {
        let lows = self.take(n)?;
        let join = |low: &u8| match self.varint()? {
            high if high >> 56 == 0 => Ok(high << 8 | u64::from(*low)),
            _ => Err(Malformed("a number has more than 64 bits")),
        };
        lows.iter().map(join).collect()
    }

    /// What has not been read.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Everything must have been read.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("bytes follow its end")) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes `page` cut short at every byte, which has to be refused, and with every bit flipped, which has to be
    /// refused or lead to something that `look` can look at from all sides without a panic.
    pub(in crate::index) fn tamper<T>(
        page: &[u8],
        decode: impl Fn(&[u8]) -> Result<T, Malformed>,
        look: impl Fn(T),
    ) {
        look(decode(page).expect("it is whole"));
        for end in 0..page.len() {
            assert!(decode(&page[..end]).is_err(), "{end} bytes of {}", page.len());
        }
        let mut page = page.to_vec();
        for bit in 0..page.len() * 8 {
            page[bit / 8] ^= 1 << (bit % 8);
            if let Ok(decoded) = decode(&page) {
                look(decoded);
            }
            page[bit / 8] ^= 1 << (bit % 8);
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back_and_every_truncation_is_refused(number: u64, signed: i64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            prop_assert_eq!(Cursor::new(&bytes).varint(), Ok(number));
            for end in 0..bytes.len() {
                prop_assert!(Cursor::new(&bytes[..end]).varint().is_err());
            }
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }
    }

    #[test]
    fn a_number_beyond_64_bits_and_a_count_beyond_the_bytes_are_refused() {
        let mut long = vec![0xff; 9];
        long.push(0x02);
        assert!(Cursor::new(&long).varint().is_err());
        assert!(Cursor::new(&[0xff; 12]).varint().is_err());
        assert!(Cursor::new(&[3, 0, 0]).count().is_err());
        assert_eq!(Cursor::new(&[2, 0, 0]).count(), Ok(2));
        assert!(Cursor::new(&[1, 0xff]).text().is_err());
    }
}
