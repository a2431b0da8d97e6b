//! Values that never change. Those of leaf, chain and digest were computed by another program from `FORMAT.md` alone;
//! the tree's inputs are the published ones of the certificate transparency project.

use chronos_domain::{PartitionId, Position};
use chronos_proof::{Frontier, Hash, chain_next, chain_start, digest, leaf, subtree_root};

use crate::events::{bare, full};

fn hash(text: &str) -> Hash {
    text.parse().unwrap()
}

const FULL: &str = "819488620e176ed5e34d9d714756a6951d772c529fec60d6a5ff2041b10eef1c";
const BARE: &str = "cf8a898c4b9a4c9f8eb7392781740029fad16c63669bccf4df8bf2a336af40fd";

#[test]
fn events_have_the_leaves_they_always_had() {
    assert_eq!(leaf(&full()).to_string(), FULL);
    assert_eq!(leaf(&bare()).to_string(), BARE);
}

#[test]
fn the_chain_starts_and_goes_on_as_it_always_did() {
    let partition = PartitionId::new(7).unwrap();
    let mut chain = chain_start(partition);
    assert_eq!(chain, hash("af6e7a8f6997348343d9e0e718f697e5ec5fbf79b9f540db811e6f83d096ef73"));
    chain = chain_next(chain, hash(FULL));
    assert_eq!(chain, hash("ce0c035e05f2f001bb4a42542a23252a828fedccdd5052f0291df3e199509087"));
    chain = chain_next(chain, hash(BARE));
    assert_eq!(chain, hash("b08e8c39117b2a4be4c6db3786ed00b96aceb99d7a6bb7ca85357517137c4095"));
    let system = hash("97b546ef5c0a88a4cc8218044975bae50c49e5d9743f28822a587c0dd48f2e24");
    assert_eq!(chain_start(PartitionId::SYSTEM), system);
}

#[test]
fn a_history_has_the_digests_it_always_had() {
    let partition = PartitionId::new(7).unwrap();
    let (mut chain, mut tree) = (chain_start(partition), Frontier::new());
    let mut seen = vec![digest(partition, Position::ZERO, chain, tree.root())];
    for (at, leaf) in [FULL, BARE].map(hash).into_iter().enumerate() {
        chain = chain_next(chain, leaf);
        tree.push(leaf);
        seen.push(digest(partition, Position::new(at as u64 + 1), chain, tree.root()));
    }
    let wanted = [
        "d5c68e9744a5651c9fbe33b6dafc0af06a942d6c0ddc4663e8f80e7b6fb45833",
        "f17fc954c5531e2532808913fa4ce3908a72af5b732b867952c623d48e1360b8",
        "0fba01a2bf7bbdc9fec7c1cb222dbf602eba95cc4b1d1b5ff51ec3ce82946df6",
    ];
    assert_eq!(seen, wanted.map(hash));
}

/// Leaf hashes of the published inputs (`""`, `00`, `10`, `2021`, …), and the root over the first n of them.
#[test]
fn the_tree_is_that_of_certificate_transparency() {
    let leaves = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
        "07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let leaves = leaves.map(hash);
    for (size, root) in roots.into_iter().enumerate() {
        assert_eq!(subtree_root(&leaves[..size]), hash(root), "{size} leaves");
    }
}
