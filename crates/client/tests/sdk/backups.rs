//! What whoever waits for a backup is told until it begins.

use std::pin::Pin;

use chronos_client::{Client, Options};
use chronos_proto::v1;
use chronos_proto::v1::backup_server::{Backup, BackupServer};
use chronos_proto::v1::copy_request::Ask;
use chronos_proto::v1::copy_response::{Answer, Listing, Waiting};
use futures::{Stream, StreamExt, stream};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use crate::server::spawn;

/// A node that is ready after two steps, and says so to who wants to know.
struct Slow;

#[tonic::async_trait]
impl Backup for Slow {
    type CopyStream = Pin<Box<dyn Stream<Item = Result<v1::CopyResponse, Status>> + Send>>;

    async fn copy(
        &self,
        request: Request<Streaming<v1::CopyRequest>>,
    ) -> Result<Response<Self::CopyStream>, Status> {
        let mut asks = request.into_inner();
        // The caller begins when the call stands.
        let answers = async move {
            let Ok(Some(v1::CopyRequest { ask: Some(Ask::Begin(begin)) })) = asks.message().await else {
                panic!("a backup starts with begin")
            };
            let message = |answer| Ok(v1::CopyResponse { answer: Some(answer) });
            stream::iter(answers(begin.tell).into_iter().map(message))
        };
        Ok(Response::new(Box::pin(stream::once(answers).flatten())))
    }
}

fn answers(tells: bool) -> Vec<Answer> {
    let waiting = |text: &str| Answer::Waiting(Waiting { text: text.to_owned() });
    let listing = |bytes: &'static str, last| Answer::Listing(Listing { bytes: bytes.into(), last });
    let mut answers = vec![listing("all ", false), listing("there is", true)];
    if tells {
        answers.splice(..0, [waiting("one of two"), waiting("two of two")]);
    }
    answers
}

#[tokio::test]
async fn what_is_waited_for_is_told_until_the_listing_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tonic::transport::Server::builder()
        .add_service(BackupServer::new(Slow))
        .serve_with_incoming(TcpListenerStream::new(listener));
    spawn(async move { server.await.unwrap() });
    let client = Client::connect_with(&address, Options::default()).unwrap();
    let mut told = Vec::new();
    let backup = client.backup_telling(|text| told.push(text.to_owned())).await.unwrap();
    assert_eq!(told, ["one of two", "two of two"]);
    assert_eq!(backup.listing(), "all there is");
}
