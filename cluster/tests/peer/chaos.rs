//! Three nodes, everything breaking: the same seed gives the same run, and afterwards all is well.

use std::sync::Arc;
use std::time::Duration;

use chronos_cluster::peer::{Config, Peers};
use chronos_env::sim::World;
use chronos_env::{Entropy, Env};
use parking_lot::Mutex;

use crate::node::{ECHO, SECOND, SLOW, config, echo_at_last, host, introduce, message, n, start};

const NODES: [u64; 3] = [1, 2, 3];

struct Life {
    world: World,
    env: Env,
    nodes: [Mutex<Arc<Peers>>; 3],
    incarnations: Mutex<[u64; 3]>,
}

async fn begin(world: &World, number: u64, incarnation: u64) -> Arc<Peers> {
    let (peers, _) =
        start(&host(world, number).env(), Config { incarnation, ..config(number) }).await.unwrap();
    introduce(&peers, &NODES);
    Arc::new(peers)
}

impl Life {
    async fn new(world: &World) -> Life {
        let _hosts = NODES.map(|number| host(world, number));
        let nodes =
            [begin(world, 1, 1).await, begin(world, 2, 1).await, begin(world, 3, 1).await].map(Mutex::new);
        Life { world: world.clone(), env: world.env(), nodes, incarnations: Mutex::new([1; 3]) }
    }

    fn node(&self, number: u64) -> Arc<Peers> {
        Arc::clone(&self.nodes[number as usize - 1].lock())
    }

    /// Asks around, and writes down what came of it.
    async fn talk(&self, dice: Entropy) {
        for round in 0..150 {
            let [from, to] = [0; 2].map(|_| NODES[dice.below(3) as usize]);
            let body = vec![dice.below(100) as u8; 1 + dice.below(3000) as usize];
            let kind = if dice.below(2) == 0 { ECHO } else { SLOW };
            let answer = self.node(from).call(n(to), message(kind, body), SECOND).await;
            self.world.trace().record("answer", &[round, from, to, u64::from(answer.is_ok())]);
            self.env.clock.sleep(Duration::from_millis(dice.below(100))).await;
        }
    }

    async fn break_things(&self, dice: Entropy) {
        for _ in 0..25 {
            self.env.clock.sleep(Duration::from_millis(dice.below(800))).await;
            let [one, two] = [0; 2].map(|_| NODES[dice.below(3) as usize]);
            let names = [one, two].map(|number| format!("n{number}"));
            match dice.below(6) {
                0 => self.world.net().partition(&names[0], &names[1]),
                1 => self.world.net().partition_one_way(&names[0], &names[1]),
                2 => self.world.net().reset(&names[0], &names[1]),
                3 => self.world.net().wedge(&names[0], &names[1]),
                4 => self.restart(one).await,
                _ => self.world.net().heal_all(),
            }
        }
        self.world.net().heal_all();
    }

    async fn restart(&self, number: u64) {
        host(&self.world, number).kill();
        let at = number as usize - 1;
        let incarnation = {
            let mut incarnations = self.incarnations.lock();
            incarnations[at] += 1;
            incarnations[at]
        };
        self.env.clock.sleep(SECOND).await;
        let fresh = begin(&self.world, number, incarnation).await;
        *self.nodes[at].lock() = fresh;
    }
}

fn live(seed: u64) -> u64 {
    let world = World::new(seed);
    world.run(async {
        let life = Life::new(&world).await;
        let talkers = futures::future::join_all((0..4).map(|_| life.talk(life.env.entropy.child("talk"))));
        tokio::join!(talkers, life.break_things(life.env.entropy.child("faults")));
        for from in NODES {
            for to in NODES.iter().filter(|to| **to != from) {
                echo_at_last(&life.env.clock, &life.node(from), *to).await;
            }
        }
    });
    world.trace().hash()
}

#[test]
fn the_same_seed_gives_the_same_run_and_all_find_each_other_again() {
    let hashes: Vec<_> = (0..6).map(live).collect();
    for (seed, hash) in hashes.iter().enumerate() {
        println!("seed {seed}: {hash:016x}");
        assert_eq!(live(seed as u64), *hash, "seed {seed} went two ways");
    }
    let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
    assert_eq!(distinct.len(), hashes.len());
}
