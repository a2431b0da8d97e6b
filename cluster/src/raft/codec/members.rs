//! Who belongs to a group, as the payload of an entry.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use chronos_store::entry::MEMBERS_MAGIC;

use super::super::types::Membership;
use super::fields::{FORMAT, Fields, Malformed};
use crate::node::NodeId;

pub(crate) fn encode_members(members: &Membership) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    out.put_slice(&MEMBERS_MAGIC);
    out.put_u8(FORMAT);
    let configs = members.get_joint_config();
    out.put_u8(u8::try_from(configs.len()).expect("a joint change has two sides"));
    for config in configs {
        put_nodes(&mut out, config.iter().copied());
    }
    put_nodes(&mut out, members.learner_ids());
    out.freeze()
}

fn put_nodes(out: &mut BytesMut, nodes: impl Iterator<Item = NodeId>) {
    let nodes: Vec<NodeId> = nodes.collect();
    out.put_u16_le(u16::try_from(nodes.len()).expect("a group has far fewer members"));
    nodes.iter().for_each(|node| out.put_u64_le(node.get()));
}

pub(crate) fn decode_members(payload: &Bytes) -> Result<Membership, Malformed> {
    let what = "an entry that names members";
    if !chronos_store::entry::names_members(payload) {
        return Err(Malformed::Damaged(what, "its magic is missing".to_owned()));
    }
    let mut fields = Fields::open(what, &payload.slice(MEMBERS_MAGIC.len()..))?;
    let configs = (0..fields.u8()?).map(|_| nodes(&mut fields)).collect::<Result<Vec<_>, _>>()?;
    let learners = nodes(&mut fields)?;
    fields.end()?;
    Ok(Membership::new_with_defaults(configs, learners))
}

fn nodes(fields: &mut Fields) -> Result<BTreeSet<NodeId>, Malformed> {
    let count = fields.u16()?;
    let nodes = (0..count).map(|_| fields.node()).collect::<Result<BTreeSet<_>, _>>()?;
    if nodes.len() == usize::from(count) { Ok(nodes) } else { Err(fields.damaged("it names a node twice")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(nodes: &[u64]) -> BTreeSet<NodeId> {
        nodes.iter().copied().map(NodeId::new).collect()
    }

    #[test]
    fn the_bytes_of_members_never_change() {
        let members = Membership::new_with_defaults(vec![set(&[1, 2]), set(&[2, 259])], set(&[9]));
        let bytes = encode_members(&members);
        let id = |low: u8, high: u8| [low, high, 0, 0, 0, 0, 0, 0];
        let golden = [
            b"CMB1\x01\x02".as_slice(),
            &[2, 0],
            &id(1, 0),
            &id(2, 0),
            &[2, 0],
            &id(2, 0),
            &id(3, 1),
            &[1, 0],
            &id(9, 0),
        ]
        .concat();
        assert_eq!(bytes, golden);
        assert_eq!(decode_members(&bytes), Ok(members));
    }

    #[test]
    fn members_that_are_cut_or_named_twice_are_refused() {
        let bytes = encode_members(&Membership::new_with_defaults(vec![set(&[1, 2, 3])], set(&[])));
        for len in 0..bytes.len() {
            assert!(decode_members(&bytes.slice(..len)).is_err(), "{len} bytes were enough");
        }
        let mut twice = bytes.to_vec();
        twice[16] = 1;
        assert!(decode_members(&Bytes::from(twice)).is_err());
    }
}
