//! How machines become nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronos_cluster::peer::{
    Admission, Admitted, Config, Denial, Denied, JoinConfig, JoinError, Joined, Limits, Names, Peers, Port,
    Registrar, Security, join, look,
};
use chronos_cluster::{Addresses, Neighbour, NodeId};
use chronos_env::sim::World;
use chronos_env::{Clock, Env};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::doors::{begin, local, real};
use crate::node::{CLUSTER, config, host, n, start_office};
use crate::tls::Authority;

/// Whom a newcomer is told of; one of them is known from a time when nobody wrote its machine down.
fn others() -> Vec<Neighbour> {
    let first = Neighbour { node: n(1), machine: 1 << 100 | 1, peer: "n1:7000".to_owned() };
    vec![first, Neighbour { node: n(9), machine: 0, peer: "n9:7000".to_owned() }]
}

/// Gives out ids as they are asked for, or says what it was told to say.
struct Clerk {
    clock: Clock,
    ids: Mutex<BTreeMap<u128, NodeId>>,
    says: Mutex<Option<Denied>>,
    asked: Mutex<Vec<Admission>>,
    takes: Duration,
}

impl Clerk {
    fn new(env: &Env) -> Arc<Clerk> {
        Clerk::slow(env, Duration::ZERO)
    }

    fn slow(env: &Env, takes: Duration) -> Arc<Clerk> {
        let clock = env.clock.clone();
        Arc::new(Clerk {
            clock,
            ids: Mutex::default(),
            says: Mutex::default(),
            asked: Mutex::default(),
            takes,
        })
    }

    fn says(&self, why: Denial, ask: Option<&str>) {
        let ask = ask.map(str::to_owned);
        *self.says.lock() = Some(Denied { ask, ..Denied::new(why, "the clerk says no") });
    }
}

impl Registrar for Clerk {
    fn admit(&self, admission: Admission) -> BoxFuture<'static, Result<Admitted, Denied>> {
        let machine = admission.machine;
        self.asked.lock().push(admission);
        let answer = self.says.lock().clone().map_or_else(
            || {
                let mut ids = self.ids.lock();
                let next = NodeId::new(2 + ids.len() as u64);
                let node = *ids.entry(machine).or_insert(next);
                Ok(Admitted { node, members: others() })
            },
            Err,
        );
        let (clock, takes) = (self.clock.clone(), self.takes);
        Box::pin(async move {
            clock.sleep(takes).await;
            answer
        })
    }
}

fn admission(machine: u128) -> Admission {
    let at = |port: u16| format!("n2:{port}");
    Admission {
        machine,
        token: Some("hush".to_owned()),
        name: "second".to_owned(),
        addresses: Addresses { client: at(7400), peer: at(7401), admin: String::new() },
        release: "0.0".to_owned(),
    }
}

fn plain() -> JoinConfig {
    JoinConfig::new(Security::PlaintextAnywhere)
}

fn to(addresses: &[&str]) -> Vec<String> {
    addresses.iter().map(|address| (*address).to_owned()).collect()
}

/// A node n1 whose clerk is given back, and the world of a machine on another host.
async fn office(world: &World) -> (Peers, Arc<Clerk>, Env) {
    let first = host(world, 1).env();
    let clerk = Clerk::new(&first);
    let peers = start_office(&first, config(1), Arc::<Clerk>::clone(&clerk)).await.unwrap();
    (peers, clerk, host(world, 2).env())
}

#[test]
fn a_machine_becomes_a_node_and_the_same_one_when_it_asks_again() {
    let world = World::new(1);
    world.run(async {
        let (peers, clerk, env) = office(&world).await;
        let ask = async |machine| join(&env, &plain(), &to(&["n1:7000"]), &admission(machine)).await.unwrap();
        let members = others();
        let joined = ask(7).await;
        assert_eq!(joined, Joined { cluster: CLUSTER, node: n(2), members });
        assert_eq!(ask(8).await.node, n(3));
        assert_eq!(ask(7).await, joined);
        assert_eq!(clerk.asked.lock()[0], admission(7));
        assert_eq!(peers.stats().joins_admitted, 3);
    });
}

/// The port of a machine that is not a node, at the address where its peers would find it.
async fn port(env: &Env) -> Port {
    Port::open(env, "0.0.0.0:7000", &Security::PlaintextAnywhere).await.unwrap()
}

#[test]
fn a_node_is_found_before_a_cluster_is_founded_and_nothing_is_asked_of_it() {
    let world = World::new(21);
    world.run(async {
        let (peers, clerk, env) = office(&world).await;
        let found = look(&env, &plain(), &to(&["n3:7000", "n1:7000"])).await.unwrap();
        assert_eq!(found.as_deref(), Some("n1:7000"));
        assert!(clerk.asked.lock().is_empty());
        assert_eq!(peers.stats().joins_admitted, 0);
    });
}

#[test]
fn who_asks_itself_is_nobody_yet() {
    let world = World::new(22);
    world.run(async {
        let (env, asking) = (host(&world, 2).env(), host(&world, 3).env());
        let port = port(&asking).await;
        let world_of_it = asking.clone();
        let hangs_up = asking.tasks.spawn("asking", async move { port.nobody_yet(&world_of_it).await });
        let found = look(&env, &plain(), &to(&["n1:7000", "n3:7000"])).await.unwrap();
        assert_eq!(found, None);
        hangs_up.abort();
    });
}

#[test]
fn who_says_nothing_may_be_a_node_that_starts() {
    let world = World::new(23);
    world.run(async {
        let (env, starting) = (host(&world, 2).env(), host(&world, 3).env());
        let port = port(&starting).await;
        let error = look(&env, &plain(), &to(&["n1:7000", "n3:7000"])).await.unwrap_err();
        let JoinError::Unclear(unclear) = &error else { panic!("{error}") };
        assert_eq!(unclear.keys().collect::<Vec<_>>(), ["n3:7000"]);
        assert!(error.to_string().contains("no cluster is founded, because there may be one"), "{error}");
        drop(port);
        assert_eq!(look(&env, &plain(), &to(&["n1:7000", "n3:7000"])).await.unwrap(), None);
    });
}

#[test]
fn a_final_no_ends_the_asking_and_is_counted() {
    let world = World::new(2);
    world.run(async {
        let (peers, clerk, env) = office(&world).await;
        for why in [Denial::Token, Denial::Removed, Denial::Taken, Denial::Malformed] {
            clerk.says(why, None);
            let asked = join(&env, &plain(), &to(&["n1:7000", "n2:1"]), &admission(7)).await;
            let Err(JoinError::Denied { by, denied }) = asked else { panic!("{asked:?}") };
            assert_eq!((by.as_str(), denied.why), ("n1:7000", why));
            assert_eq!(peers.stats().denied(why), 1);
        }
        assert_eq!(clerk.asked.lock().len(), 4);
    });
}

#[test]
fn who_means_another_cluster_or_speaks_another_version_is_not_admitted() {
    let world = World::new(3);
    world.run(async {
        let (peers, clerk, env) = office(&world).await;
        let why = async |config: JoinConfig| match join(&env, &config, &to(&["n1:7000"]), &admission(7)).await
        {
            Err(JoinError::Denied { denied, .. }) => denied,
            other => panic!("{other:?}"),
        };
        let denied = why(JoinConfig { versions: 7..=9, ..plain() }).await;
        assert_eq!(denied.why, Denial::Version);
        assert!(denied.text.contains("versions 2 to 2") && denied.text.contains("7 to 9"), "{denied}");
        assert_eq!(why(JoinConfig { cluster: Some(0xBAD), ..plain() }).await.why, Denial::Cluster);
        assert_eq!(peers.stats().denied(Denial::Version), 1);
        assert_eq!(peers.stats().denied(Denial::Cluster), 1);
        assert!(clerk.asked.lock().is_empty());
    });
}

#[test]
fn it_asks_until_somebody_is_there_and_decides() {
    let world = World::new(4);
    world.run(async {
        let (first, second) = (host(&world, 1).env(), host(&world, 2).env());
        let asking = {
            let env = second.clone();
            second.tasks.spawn("join", async move {
                join(&env, &plain(), &to(&["n1:7000"]), &admission(7)).await.unwrap()
            })
        };
        first.clock.sleep(Duration::from_secs(5)).await;
        assert!(!asking.is_finished());
        let clerk = Clerk::new(&first);
        clerk.says(Denial::NotNow, None);
        let _peers = start_office(&first, config(1), Arc::<Clerk>::clone(&clerk)).await.unwrap();
        first.clock.sleep(Duration::from_secs(5)).await;
        assert!(!asking.is_finished() && !clerk.asked.lock().is_empty());
        *clerk.says.lock() = None;
        assert_eq!(asking.await.unwrap().node, n(2));
    });
}

#[test]
fn when_its_patience_is_over_it_says_what_each_address_came_to() {
    let world = World::new(5);
    world.run(async {
        let (_peers, clerk, env) = office(&world).await;
        clerk.says(Denial::NotNow, None);
        let asked = join(&env, &plain(), &to(&["n1:7000", "n2:1"]), &admission(7)).await;
        let Err(error @ JoinError::Nobody(_)) = asked else { panic!("{asked:?}") };
        let text = error.to_string();
        assert!(text.contains("[n1:7000] the clerk says no (not now)"), "{text}");
        assert!(text.contains("[n2:1] cannot connect to n2:1"), "{text}");
        assert!(env.clock.monotonic() >= plain().patience);
    });
}

#[test]
fn a_hint_is_followed_but_not_for_ever() {
    let world = World::new(6);
    world.run(async {
        let (_first, clerk, env) = office(&world).await;
        let third = host(&world, 3).env();
        let other = Clerk::new(&third);
        let _third = start_office(&third, config(3), Arc::<Clerk>::clone(&other)).await.unwrap();
        clerk.says(Denial::Elsewhere, Some("n3:7000"));
        let ask = async || join(&env, &plain(), &to(&["n1:7000"]), &admission(7)).await;
        assert_eq!(ask().await.unwrap().node, n(2));
        other.says(Denial::Elsewhere, Some("n1:7000"));
        let text = ask().await.unwrap_err().to_string();
        assert!(text.contains("passed on 3 times"), "{text}");
        other.says(Denial::Token, None);
        let Err(JoinError::Denied { by, .. }) = ask().await else { panic!("it went on") };
        assert_eq!(by, "n3:7000");
    });
}

#[test]
fn a_decision_that_takes_too_long_is_asked_for_again() {
    let world = World::new(7);
    world.run(async {
        let first = host(&world, 1).env();
        let limits = Limits { join_patience: Duration::from_secs(3), ..Limits::default() };
        let clerk = Clerk::slow(&first, Duration::from_secs(4));
        let office = Config { limits, ..config(1) };
        let peers = start_office(&first, office, Arc::<Clerk>::clone(&clerk)).await.unwrap();
        let env = host(&world, 2).env();
        let text = join(&env, &plain(), &to(&["n1:7000"]), &admission(7)).await.unwrap_err().to_string();
        assert!(text.contains("did not decide within 3s"), "{text}");
        assert!(peers.stats().denied(Denial::NotNow) > 3, "{:?}", peers.stats());
        // A slow decision is no silence.
        assert_eq!(peers.stats().strangers_silent, 0);
    });
}

#[test]
fn a_machine_with_a_certificate_joins_and_one_without_does_not() {
    real(async {
        let authority = Authority::new();
        let files = |name| Security::Mutual(authority.vouch(name, &["127.0.0.1"], Names::Hosts));
        let env = Env::real();
        let office = Config { security: files("n1"), ..local(1) };
        let peers = start_office(&env, office, Clerk::new(&env)).await.unwrap();
        let at = to(&[&peers.address().to_string()]);
        let local = |machine| {
            let addresses = Addresses { peer: "127.0.0.1:7401".to_owned(), ..admission(machine).addresses };
            Admission { addresses, ..admission(machine) }
        };
        let joined = join(&env, &JoinConfig::new(files("n2")), &at, &local(7)).await.unwrap();
        assert_eq!(joined.node, n(2));
        // Others could not reach it where it says that it is.
        let unnamed = join(&env, &JoinConfig::new(files("n4")), &at, &admission(10)).await.unwrap_err();
        let JoinError::Denied { denied, .. } = unnamed else { panic!("{unnamed}") };
        assert_eq!(denied.why, Denial::Certificate);
        assert!(denied.text.contains("n2:7401") && denied.text.contains("--advertise"), "{denied}");
        assert_eq!(peers.stats().denied(Denial::Certificate), 1);
        let bare = JoinConfig { patience: Duration::ZERO, ..JoinConfig::new(Security::PlaintextOnLoopback) };
        assert!(join(&env, &bare, &at, &admission(8)).await.is_err());
        let elsewhere = Authority::new();
        let foreign = Security::Mutual(elsewhere.vouch("n3", &["127.0.0.1"], Names::Hosts));
        // It does not ask again and again: what its authority says does not change.
        let text = join(&env, &JoinConfig::new(foreign), &at, &local(9)).await.unwrap_err().to_string();
        assert!(text.contains("invalid peer certificate") && text.contains("--peer-authority"), "{text}");
        assert_eq!(peers.stats().joins_admitted, 1);
    });
}

#[test]
fn a_node_without_a_registrar_admits_nobody() {
    real(async {
        let (peers, _) = begin(local(1)).await;
        let config =
            JoinConfig { patience: Duration::ZERO, ..JoinConfig::new(Security::PlaintextOnLoopback) };
        let at = to(&[&peers.address().to_string()]);
        let text = join(&Env::real(), &config, &at, &admission(7)).await.unwrap_err().to_string();
        assert!(text.contains("this node admits nobody"), "{text}");
        let nobody = join(&Env::real(), &config, &[], &admission(7)).await.unwrap_err().to_string();
        assert!(nobody.contains("no address to join"), "{nobody}");
    });
}
