//! The vote, as the log keeps it.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::types::Vote;
use super::fields::{FORMAT, Fields, Malformed, VOTE_BYTES, put_vote};

pub(crate) fn encode_vote(vote: &Vote) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + VOTE_BYTES);
    out.put_u8(FORMAT);
    put_vote(&mut out, vote);
    out.freeze()
}

pub(crate) fn decode_vote(bytes: &Bytes) -> Result<Vote, Malformed> {
    let mut fields = Fields::open("the vote in the log", bytes)?;
    let vote = fields.vote()?;
    fields.end()?;
    Ok(vote)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::NodeId;

    #[test]
    fn the_bytes_of_a_vote_never_change() {
        let vote = Vote::new_committed(0x0102, NodeId::new(7));
        let golden = [1, 2, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(encode_vote(&vote), golden.as_slice());
        assert_eq!(decode_vote(&Bytes::copy_from_slice(&golden)), Ok(vote));
    }

    #[test]
    fn a_vote_that_is_cut_or_of_another_format_is_refused() {
        let bytes = encode_vote(&Vote::new(3, NodeId::new(1)));
        for len in 0..bytes.len() {
            assert!(decode_vote(&bytes.slice(..len)).is_err(), "{len} bytes were enough");
        }
        let mut newer = bytes.to_vec();
        newer[0] = 2;
        let refused = decode_vote(&Bytes::from(newer)).unwrap_err();
        assert!(matches!(refused, Malformed::Version { found: 2, .. }), "{refused}");
    }
}
