//! What a replica that has lost its promises must hear from the others before it may take anything.
//!
//! The rule is in [`settle`], which is pure; why it is enough is said in [`super`].

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chronos_domain::Position;
use chronos_wal::Mark;

use crate::node::NodeId;
use crate::peer::Refusal;

const FORMAT: u8 = 1;

/// Whether a replica can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has lost nothing it ever promised.
    Whole,
    /// It has, and its votes are withheld. What it promised before will never be acted upon by itself.
    Withholding,
}

/// What a replica says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) standing: Standing,
    /// Whether it leads in its term, as far as it knows.
    pub(crate) leads: bool,
    /// The greatest term it has promised anything in.
    pub(crate) term: u64,
    /// The last entry of its log.
    pub(crate) last: Mark,
    /// The voters of the group, by its log; two sets while they are being changed.
    pub(crate) configs: Vec<BTreeSet<NodeId>>,
    /// All members of the group, by its log, those without a vote included.
    pub(crate) members: BTreeSet<NodeId>,
}

impl Word {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(FORMAT);
        out.put_u8(u8::from(self.standing == Standing::Whole));
        out.put_u8(u8::from(self.leads));
        [self.term, self.last.index, self.last.term].into_iter().for_each(|number| out.put_u64_le(number));
        out.put_u16_le(u16::try_from(self.configs.len()).expect("a group has at most two sets of voters"));
        for nodes in self.configs.iter().chain([&self.members]) {
            out.put_u16_le(u16::try_from(nodes.len()).expect("a group has few members"));
            nodes.iter().for_each(|node| out.put_u64_le(node.get()));
        }
        out.freeze()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Option<Word> {
        let mut rest = bytes.clone();
        if rest.try_get_u8().ok()? != FORMAT {
            return None;
        }
        let standing = if rest.try_get_u8().ok()? == 1 { Standing::Whole } else { Standing::Withholding };
        let leads = rest.try_get_u8().ok()? == 1;
        let (term, index) = (rest.try_get_u64_le().ok()?, rest.try_get_u64_le().ok()?);
        let last = Mark { index, term: rest.try_get_u64_le().ok()? };
        let mut configs = Vec::new();
        for _ in 0..rest.try_get_u16_le().ok()? {
            configs.push(nodes(&mut rest)?);
        }
        let members = nodes(&mut rest)?;
        rest.is_empty().then_some(Word { standing, leads, term, last, configs, members })
    }
}

fn nodes(rest: &mut Bytes) -> Option<BTreeSet<NodeId>> {
    let mut nodes = BTreeSet::new();
    for _ in 0..rest.try_get_u16_le().ok()? {
        nodes.insert(NodeId::new(rest.try_get_u64_le().ok()?));
    }
    Some(nodes)
}

/// Every promise `me` may have lost was made in the term that is the answer, or in an earlier one; and everything that
/// was committed with its help is held by enough of the others.
///
/// # Errors
/// A sentence for people that says who is missing.
pub(crate) fn settle(me: NodeId, words: &BTreeMap<NodeId, Word>) -> Result<u64, String> {
    let configs: BTreeSet<&BTreeSet<NodeId>> = words.values().flat_map(|word| &word.configs).collect();
    let voters: BTreeSet<NodeId> = configs.iter().flat_map(|config| config.iter().copied()).collect();
    if !voters.iter().any(|voter| *voter != me) {
        return Err("no other node that answers knows who belongs to the group".to_owned());
    }
    let silent: Vec<_> = voters.iter().filter(|voter| **voter != me && !words.contains_key(voter)).collect();
    if !silent.is_empty() {
        return Err(format!("every other voter has to answer; no answer from {}", list(silent)));
    }
    let is_whole = |node: &&NodeId| words.get(node).is_some_and(|word| word.standing == Standing::Whole);
    for config in configs {
        let whole: Vec<_> = config.iter().filter(|node| **node != me).filter(is_whole).collect();
        if whole.len() < config.len() / 2 + 1 {
            return Err(format!(
                "of the voters {} only {} have lost nothing, which is no majority",
                list(config.iter().collect()),
                if whole.is_empty() { "none".to_owned() } else { list(whole) }
            ));
        }
    }
    Ok(words.values().map(|word| word.term).max().unwrap_or(0))
}

fn list(nodes: Vec<&NodeId>) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Which digest is asked for; and the answer, which may be of an earlier position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) position: Position,
    pub(crate) digest: [u8; 32],
}

impl Sealed {
    pub(crate) fn encode(self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(FORMAT);
        out.put_u64_le(self.position.get());
        out.put_slice(&self.digest);
        out.freeze()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Option<Sealed> {
        let mut rest = bytes.clone();
        let format = rest.try_get_u8().ok()?;
        let position = Position::new(rest.try_get_u64_le().ok()?);
        let digest = <[u8; 32]>::try_from(&rest[..]).ok()?;
        (format == FORMAT).then_some(Sealed { position, digest })
    }
}

pub(crate) fn malformed(what: &str) -> Refusal {
    Refusal::new(Refusal::MALFORMED, format!("{what} cannot be understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(node: u64) -> NodeId {
        NodeId::new(node)
    }

    fn config(nodes: &[u64]) -> BTreeSet<NodeId> {
        nodes.iter().map(|node| n(*node)).collect()
    }

    fn word(standing: Standing, term: u64, configs: &[&[u64]]) -> Word {
        let configs = configs.iter().map(|nodes| config(nodes)).collect();
        Word {
            standing,
            leads: false,
            term,
            last: Mark { index: 5, term: 1 },
            configs,
            members: config(&[1, 9]),
        }
    }

    fn words(all: &[(u64, Standing, u64)], voters: &[u64]) -> BTreeMap<NodeId, Word> {
        all.iter().map(|(node, standing, term)| (n(*node), word(*standing, *term, &[voters]))).collect()
    }

    use Standing::{Whole, Withholding};

    #[test]
    fn a_word_reads_back_as_written() {
        let word = Word { leads: true, ..word(Withholding, 7, &[&[1, 2, 3], &[2, 3, 4]]) };
        let bytes = word.encode();
        assert_eq!(Word::decode(&bytes), Some(word));
        for len in 0..bytes.len() {
            assert_eq!(Word::decode(&bytes.slice(..len)), None);
        }
        let sealed = Sealed { position: Position::new(9), digest: [4; 32] };
        assert_eq!(Sealed::decode(&sealed.encode()), Some(sealed));
    }

    #[test]
    fn of_three_both_others_have_to_be_whole() {
        let three = [1, 2, 3];
        assert_eq!(settle(n(1), &words(&[(2, Whole, 4), (3, Whole, 9)], &three)), Ok(9));
        assert!(settle(n(1), &words(&[(2, Whole, 4)], &three)).unwrap_err().contains("no answer from n3"));
        let two_hurt = settle(n(1), &words(&[(2, Whole, 4), (3, Withholding, 9)], &three));
        assert!(two_hurt.unwrap_err().contains("no majority"));
    }

    #[test]
    fn of_five_two_may_be_hurt_but_all_have_to_answer() {
        let five = [1, 2, 3, 4, 5];
        let mut all = words(&[(2, Withholding, 9), (3, Whole, 4), (4, Whole, 5), (5, Whole, 5)], &five);
        assert_eq!(settle(n(1), &all), Ok(9));
        all.remove(&n(3));
        assert!(settle(n(1), &all).is_err(), "the silent one may hold a vote that was lost");
        let three_hurt = [(2, Withholding, 9), (3, Withholding, 4), (4, Whole, 5), (5, Whole, 5)];
        assert!(settle(n(1), &words(&three_hurt, &five)).is_err());
    }

    #[test]
    fn every_set_of_voters_counts_while_they_are_changed() {
        let joint: &[&[u64]] = &[&[1, 2, 3], &[1, 4, 5]];
        let mut all: BTreeMap<_, _> = [2, 3, 4].map(|node| (n(node), word(Whole, node, joint))).into();
        assert!(settle(n(1), &all).unwrap_err().contains("n5"));
        all.insert(n(5), word(Withholding, 5, joint));
        assert!(settle(n(1), &all).is_err());
        all.insert(n(5), word(Whole, 5, joint));
        assert_eq!(settle(n(1), &all), Ok(5));
    }

    #[test]
    fn nobody_is_asked_and_nothing_is_settled_where_there_is_nobody_else() {
        assert!(settle(n(1), &BTreeMap::new()).is_err());
        assert!(
            settle(n(1), &words(&[(2, Whole, 3)], &[1])).is_err(),
            "whoever is the only voter has no peer"
        );
        assert!(settle(n(1), &words(&[(2, Whole, 3)], &[])).is_err());
    }

    #[test]
    fn a_learner_is_repaired_from_the_only_voter() {
        assert_eq!(settle(n(2), &words(&[(1, Whole, 3)], &[1])), Ok(3));
    }
}
