//! Files between nodes.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use chronos_cluster::NodeId;
use chronos_cluster::peer::{BulkFile, BulkItem, BulkSource, CallError, Config, Limits, Peers, Refusal};
use chronos_env::sim::{Link, World};
use futures::future::BoxFuture;

use crate::node::{config, echo, host, introduce, n, start_with};

/// Has files whose names are their sizes.
struct Shelf;

static CONTENT: LazyLock<Bytes> =
    LazyLock::new(|| (0..5_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect());

fn content(bytes: usize) -> Bytes {
    CONTENT.slice(..bytes)
}

/// The first so many bytes of the content.
struct Beginning(usize);

impl BulkSource for Shelf {
    fn open(&self, _: NodeId, item: &BulkItem) -> BoxFuture<'static, Result<Arc<dyn BulkFile>, Refusal>> {
        let Ok(bytes) = item.name.parse::<usize>() else {
            return Box::pin(async { Err(Refusal::new(404, "no such file")) });
        };
        Box::pin(async move { Ok(Arc::new(Beginning(bytes)) as Arc<dyn BulkFile>) })
    }
}

impl BulkFile for Beginning {
    fn bytes(&self) -> u64 {
        self.0 as u64
    }

    fn read(&self, offset: u64, len: usize) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let from = usize::try_from(offset).unwrap();
        let data = content(self.0).slice(from..from + len);
        Box::pin(async move { Ok(data) })
    }
}

fn item(bytes: usize) -> BulkItem {
    BulkItem { group: 5, name: bytes.to_string() }
}

fn paced(number: u64) -> Config {
    let limits = Limits {
        bulk_bytes_per_second: 1_000_000,
        bulk_chunk_bytes: 50_000,
        bulk_streams_max: 2,
        ..Limits::default()
    };
    Config { limits, ..config(number) }
}

async fn pair(world: &World) -> [Peers; 2] {
    let hosts = [host(world, 1), host(world, 2)];
    let (first, _) = start_with(&hosts[0].env(), paced(1), Arc::new(Shelf)).await.unwrap();
    let (second, _) = start_with(&hosts[1].env(), paced(2), Arc::new(Shelf)).await.unwrap();
    introduce(&first, &[2]);
    introduce(&second, &[1]);
    [first, second]
}

async fn fetch(peers: &Peers, bytes: usize, offset: u64) -> Result<Vec<u8>, CallError> {
    let mut bulk = peers.bulk(n(2), item(bytes), offset).await?;
    let mut read = Vec::new();
    while let Some(data) = bulk.next().await? {
        read.extend_from_slice(&data);
        assert_eq!(bulk.offset(), offset + read.len() as u64);
    }
    assert_eq!(bulk.total_bytes(), Some(bytes as u64));
    Ok(read)
}

#[test]
fn a_file_arrives_whole_from_any_offset_at_the_wanted_rate() {
    let world = World::new(1);
    world.run(async {
        let [peers, other] = pair(&world).await;
        let clock = world.env().clock;
        for (bytes, offset) in
            [(0, 0), (1, 0), (1, 1), (49_999, 0), (50_000, 0), (50_001, 0), (180_000, 60_001)]
        {
            let read = fetch(&peers, bytes, offset as u64).await.unwrap();
            assert!(read == content(bytes)[offset..], "{bytes} bytes from {offset}");
        }
        let began = clock.monotonic();
        fetch(&peers, 5_000_000, 0).await.unwrap();
        let took = clock.monotonic() - began;
        assert!((4900..5500).contains(&took.as_millis()), "5 MB at 1 MB/s took {took:?}");
        assert_eq!(other.stats().bulk_bytes_sent, peers.stats().bulk_bytes_received);
    });
}

#[test]
fn what_cannot_be_had_is_refused() {
    let world = World::new(2);
    world.run(async {
        let [peers, _other] = pair(&world).await;
        let mut missing = peers.bulk(n(2), BulkItem { group: 5, name: "missing".into() }, 0).await.unwrap();
        let refused = missing.next().await.unwrap_err();
        assert_eq!(refused.to_string(), "n2 refused: no such file (code 404)");
        let beyond = fetch(&peers, 100, 101).await.unwrap_err();
        assert!(
            matches!(&beyond, CallError::Refused { refusal, .. } if refusal.code == Refusal::MALFORMED),
            "{beyond}"
        );
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut bulk = peers.bulk(n(2), item(5_000_000), 0).await.unwrap();
            bulk.next().await.unwrap();
            open.push(bulk);
        }
        let busy = fetch(&peers, 100, 0).await.unwrap_err();
        assert!(
            matches!(&busy, CallError::Refused { refusal, .. } if refusal.code == Refusal::BUSY),
            "{busy}"
        );
        drop(open);
        world.env().clock.sleep(Duration::from_secs(1)).await;
        fetch(&peers, 100, 0).await.unwrap();
    });
}

#[test]
fn a_broken_transfer_goes_on_where_it_stopped() {
    let world = World::new(3);
    world.run(async {
        let [peers, _other] = pair(&world).await;
        let env = world.env();
        let (mut read, mut breaks) = (Vec::new(), 0);
        while read.len() < 3_000_000 {
            let Ok(mut bulk) = peers.bulk(n(2), item(3_000_000), read.len() as u64).await else { continue };
            let patience = Duration::from_millis(200 + env.entropy.below(500));
            let fetching = async {
                while let Ok(Some(data)) = bulk.next().await {
                    read.extend_from_slice(&data);
                }
            };
            let breaking = async {
                env.clock.sleep(patience).await;
                world.net().reset("n1", "n2");
            };
            let fetched = tokio::select! {
                biased;
                () = fetching => true,
                () = breaking => false,
            };
            breaks += u32::from(!fetched);
        }
        assert!(breaks > 3, "it broke {breaks} times");
        assert!(read == content(3_000_000));
    });
}

#[test]
fn a_silent_sender_is_given_up() {
    let world = World::new(4);
    world.run(async {
        let [peers, _other] = pair(&world).await;
        let clock = world.env().clock;
        let mut bulk = peers.bulk(n(2), item(3_000_000), 0).await.unwrap();
        bulk.next().await.unwrap();
        world.net().wedge("n1", "n2");
        let began = clock.monotonic();
        let error = loop {
            match bulk.next().await {
                Ok(data) => assert!(data.is_some(), "a wedged transfer ended well"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
        let took = clock.monotonic() - began;
        assert!(took < Duration::from_secs(4), "it took {took:?}");
    });
}

#[test]
fn small_messages_are_not_late_beside_files() {
    let world = World::new(5);
    world.run(async {
        let [peers, _other] = pair(&world).await;
        let clock = world.env().clock;
        echo(&peers, 2, "warm").await.unwrap();
        world.net().set_link("n2", "n1", Link { bytes_per_second: Some(2_000_000), ..Link::default() });
        let beating = async {
            let mut longest = Duration::ZERO;
            for _ in 0..200 {
                let began = clock.monotonic();
                echo(&peers, 2, "beat").await.unwrap();
                longest = longest.max(clock.monotonic() - began);
                clock.sleep(Duration::from_millis(10)).await;
            }
            longest
        };
        let (read, longest) = tokio::join!(fetch(&peers, 4_000_000, 0), beating);
        read.unwrap();
        assert!(longest < Duration::from_millis(60), "a heartbeat took {longest:?}");
    });
}
