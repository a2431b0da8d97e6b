//! What else may turn up at the port: it gets a clean no, is counted, and disturbs nobody.

use chronos_cluster::peer::{Config, Limits, Peers};
use chronos_env::{Connection, Env};
use chronos_proto::peer::v1::{self as peer, link_response, peer_client::PeerClient};
use chronos_proto::v1::DigestRequest;
use chronos_proto::v1::admin_client::AdminClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;
use tonic::transport::Channel;

use crate::doors::{begin, local, patient, real};
use crate::node::{LONG, SECOND, echo_at_last, n, until};

async fn visit(host: &Peers) -> Connection {
    Env::real().net.connect(&host.address().to_string(), SECOND).await.unwrap()
}

async fn channel(host: &Peers) -> Channel {
    let address = format!("http://{}", host.address());
    Channel::from_shared(address).unwrap().connect().await.unwrap()
}

/// Everything the host says before it hangs up; a reset is hanging up, too.
async fn farewell(connection: &mut Connection) -> Vec<u8> {
    let mut said = Vec::new();
    let hung_up = Env::real().clock.timeout(LONG, connection.read_to_end(&mut said)).await;
    assert!(hung_up.is_ok(), "the host did not hang up");
    said
}

/// The host still serves its own.
async fn is_fine(host: &Peers) {
    let (friend, _) = begin(local(2)).await;
    friend.set_peer(n(1), &host.address().to_string());
    echo_at_last(&Env::real().clock, &friend, 1).await;
}

#[test]
fn garbage_is_hung_up_on() {
    real(async {
        let (host, _) = begin(local(1)).await;
        let garbage: [&[u8]; 3] = [b"\x16\x03\x01\x02\x00", &[0; 1000], b"P"];
        for bytes in garbage {
            let mut stranger = visit(&host).await;
            stranger.write_all(bytes).await.unwrap();
            let _ = stranger.shutdown().await;
            assert_eq!(farewell(&mut stranger).await, b"");
        }
        let clock = Env::real().clock;
        until(&clock, "all are counted", || host.stats().strangers_garbage == 3).await;
        is_fine(&host).await;
    });
}

#[test]
fn whoever_speaks_http_1_is_told_in_its_own_words_what_it_has_come_to() {
    real(async {
        let (host, _) = begin(local(1)).await;
        let requests: [&[u8]; 3] = [
            b"GET /v1/watermarks HTTP/1.1\r\nhost: x\r\naccept: */*\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
            b"PRI * HTTP/1.9\r\n\r\n",
        ];
        for request in requests {
            let mut stranger = visit(&host).await;
            stranger.write_all(request).await.unwrap();
            let said = String::from_utf8(farewell(&mut stranger).await).unwrap();
            let (head, body) = said.split_once("\r\n\r\n").expect("it is an answer");
            assert!(head.starts_with("HTTP/1.1 421 "), "{said}");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{said}");
            assert!(body.contains("this port is for the nodes") && body.contains("--listen"), "{said}");
        }
        let clock = Env::real().clock;
        until(&clock, "all are counted", || host.stats().strangers_garbage == 3).await;
        // Who only looks whether somebody listens is no reason to write a line.
        drop(visit(&host).await);
        until(&clock, "it is counted", || host.stats().strangers_silent == 1).await;
        is_fine(&host).await;
    });
}

#[test]
fn garbage_behind_a_sound_beginning_is_hung_up_on() {
    real(async {
        let (host, _) = begin(local(1)).await;
        let mut stranger = visit(&host).await;
        stranger.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stranger.write_all(&[0xAA; 4096]).await.unwrap();
        farewell(&mut stranger).await;
        is_fine(&host).await;
    });
}

#[test]
fn who_says_nothing_is_hung_up_on() {
    real(async {
        let limits = Limits { connect_timeout: SECOND / 5, ..patient() };
        let (host, _) = begin(Config { limits, ..local(1) }).await;
        let mut mute = visit(&host).await;
        // Speaks HTTP/2 and answers probes, but has nothing to say.
        let _polite = channel(&host).await;
        // Begins a call and never greets.
        let mut shy = PeerClient::new(channel(&host).await);
        let calling = Env::real().tasks.spawn("shy", async move {
            let _ = shy.link(futures::stream::pending()).await;
        });
        assert_eq!(farewell(&mut mute).await, b"");
        let clock = Env::real().clock;
        until(&clock, "all three are counted", || host.stats().strangers_silent == 3).await;
        calling.abort();
        is_fine(&host).await;
    });
}

#[test]
fn a_client_at_the_wrong_port_is_told_so() {
    real(async {
        let (host, _) = begin(local(1)).await;
        let mut client = AdminClient::new(channel(&host).await);
        let refused = client.digest(DigestRequest::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented);
        assert!(
            refused.message().starts_with("this port is for the nodes of a Chronos cluster"),
            "{refused}"
        );
        assert_eq!(host.stats().strangers_other_service, 1);
        is_fine(&host).await;
    });
}

#[test]
fn a_call_that_does_not_begin_with_a_greeting_is_turned_away() {
    real(async {
        let (host, scribe) = begin(local(1)).await;
        let mut client = PeerClient::new(channel(&host).await);
        let request = peer::Request { id: 1, group: 5, kind: 0, body: "x".into(), patience_ms: 1000 };
        let requests = peer::Requests { requests: vec![request], cancelled: vec![] };
        let message = Some(peer::link_request::Message::Requests(requests));
        let odd = [
            vec![peer::LinkRequest { message: message.clone() }],
            vec![peer::LinkRequest { message: None }],
            vec![
                peer::LinkRequest {
                    message: Some(peer::link_request::Message::Hello(peer::Hello::default())),
                },
                peer::LinkRequest { message },
            ],
            vec![],
        ];
        for messages in odd {
            let mut answers = client.link(futures::stream::iter(messages)).await.unwrap().into_inner();
            let first = answers.message().await.unwrap().unwrap().message;
            let Some(link_response::Message::Turned(turned)) = first else { panic!("{first:?}") };
            assert_eq!(turned.why(), peer::turned::Why::Malformed);
            assert_eq!(answers.message().await.unwrap(), None);
        }
        let mut bulk = client.bulk(peer::BulkRequest::default()).await.unwrap().into_inner();
        let first = bulk.message().await.unwrap().unwrap().message;
        assert!(matches!(first, Some(peer::bulk_response::Message::Turned(_))), "{first:?}");
        assert!(scribe.bodies().is_empty());
        is_fine(&host).await;
    });
}

#[test]
fn a_crowd_of_strangers_keeps_no_node_out() {
    real(async {
        let limits = Limits { connections_max: 3, ..patient() };
        let (host, _) = begin(Config { limits, ..local(1) }).await;
        let mut strangers = Vec::new();
        for _ in 0..5 {
            strangers.push(visit(&host).await);
        }
        for early in &mut strangers[..2] {
            assert_eq!(farewell(early).await, b"");
        }
        assert_eq!(host.stats().connections_too_many, 2);
        is_fine(&host).await;
    });
}

#[test]
fn no_node_leaves_for_whoever_comes() {
    real(async {
        let limits = Limits { connections_max: 1, ..patient() };
        let (host, _) = begin(Config { limits, ..local(1) }).await;
        let (friend, _) = begin(local(2)).await;
        friend.set_peer(n(1), &host.address().to_string());
        echo_at_last(&Env::real().clock, &friend, 1).await;
        let mut stranger = visit(&host).await;
        assert_eq!(farewell(&mut stranger).await, b"");
        assert_eq!((host.stats().connections_too_many, host.stats().connections_accepted), (1, 2));
    });
}
