//! Backups over the wire: what a caller is given, what is refused, and that a slow one is nobody's burden.

use chronos_proto::v1::backup_client::BackupClient;
use chronos_proto::v1::copy_request::{Ask, Begin, Fetch};
use chronos_proto::v1::copy_response::Answer;
use chronos_proto::{Failure, v1};
use chronos_store::backup::{Listing, NamedFile};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::served::{Served, fresh};

/// A call, as any client of the protocol could make it.
struct Call {
    asks: mpsc::Sender<v1::CopyRequest>,
    answers: Streaming<v1::CopyResponse>,
}

impl Call {
    async fn open(served: &Served) -> Result<Call, Status> {
        let mut client = BackupClient::new(served.channel().await);
        let (asks, requests) = mpsc::channel(16);
        let answers = client.copy(ReceiverStream::new(requests)).await?.into_inner();
        Ok(Call { asks, answers })
    }

    async fn ask(&self, ask: Option<Ask>) {
        self.asks.send(v1::CopyRequest { ask }).await.unwrap();
    }

    async fn fetch(&self, file: &NamedFile, offset: u64) {
        let (partition, name) = (file.partition.get().into(), file.name.clone());
        self.ask(Some(Ask::Fetch(Fetch { partition, name, offset }))).await;
    }

    async fn answer(&mut self) -> Answer {
        self.answers.message().await.unwrap().unwrap().answer.unwrap()
    }

    async fn begin(&mut self) -> Listing {
        self.ask(Some(Ask::Begin(Begin::default()))).await;
        let mut bytes = Vec::new();
        loop {
            let Answer::Listing(piece) = self.answer().await else { panic!("a listing comes first") };
            bytes.extend_from_slice(&piece.bytes);
            if piece.last {
                return Listing::decode(&bytes, "/listing".as_ref()).unwrap();
            }
        }
    }

    /// The rest of a file.
    async fn file(&mut self, file: &NamedFile, offset: u64) -> Vec<u8> {
        self.fetch(file, offset).await;
        let mut bytes = Vec::new();
        loop {
            let Answer::Chunk(chunk) = self.answer().await else { panic!("a file was asked for") };
            assert_eq!(chunk.offset, offset + bytes.len() as u64);
            bytes.extend_from_slice(&chunk.bytes);
            if chunk.last {
                return bytes;
            }
        }
    }

    /// Why the call ends now.
    async fn refusal(&mut self) -> Failure {
        loop {
            match self.answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended without a reason"),
                Err(status) => return Failure::from_status(&status),
            }
        }
    }
}

async fn with_events(count: u64) -> (tempfile::TempDir, Served) {
    let (dir, config) = fresh();
    let served = Served::start(&config).await;
    append(&served, 1, count).await;
    (dir, served)
}

async fn append(served: &Served, first: u64, count: u64) {
    for n in first..first + count {
        let pad = "x".repeat(500);
        let body =
            format!(r#"{{"events":[{{"entity_id":"e-{n}","event_type":"t","payload":{{"pad":"{pad}"}}}}]}}"#);
        served.post(body).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_names_what_is_applied_and_its_files_can_be_read_from_any_byte() {
    let (_dir, served) = with_events(50).await;
    let mut call = Call::open(&served).await.unwrap();
    let listing = call.begin().await;
    assert_eq!(listing.events(), 50);
    for file in listing.files() {
        let whole = call.file(&file, 0).await;
        assert_eq!(whole.len() as u64, file.meta.bytes);
        let half = file.meta.bytes / 2;
        assert_eq!(call.file(&file, half).await, whole[usize::try_from(half).unwrap()..]);
        assert!(call.file(&file, file.meta.bytes).await.is_empty());
    }
    drop(call.asks);
    assert!(call.answers.message().await.unwrap().is_none(), "a caller that is done ends the call");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused() {
    let (_dir, served) = with_events(3).await;
    let file = {
        let mut call = Call::open(&served).await.unwrap();
        call.begin().await.files().next().unwrap()
    };
    let mut early = Call::open(&served).await.unwrap();
    early.fetch(&file, 0).await;
    assert_eq!(early.refusal().await.reason, "INVALID");
    let stranger = NamedFile { name: "../IDENTITY".to_owned(), ..file.clone() };
    let wrong = [(stranger, 0), (file.clone(), file.meta.bytes + 1)];
    for (file, offset) in wrong {
        let mut call = Call::open(&served).await.unwrap();
        call.begin().await;
        call.fetch(&file, offset).await;
        assert_eq!(call.refusal().await.reason, "INVALID", "{file:?} from {offset}");
    }
    for ask in [None, Some(Ask::Begin(Begin::default()))] {
        let mut call = Call::open(&served).await.unwrap();
        call.begin().await;
        call.ask(ask).await;
        assert_eq!(call.refusal().await.reason, "INVALID");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_do_not_read_hold_up_nobody_and_are_few() {
    let (_dir, served) = with_events(40).await;
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut call = Call::open(&served).await.unwrap();
        let listing = call.begin().await;
        for file in listing.files() {
            call.fetch(&file, 0).await;
            if call.asks.capacity() == 0 {
                break;
            }
        }
        slow.push((call, listing));
    }
    append(&served, 41, 20).await;
    let mut quick = Call::open(&served).await.unwrap();
    let listing = quick.begin().await;
    assert_eq!(listing.events(), 60);
    for file in listing.files() {
        assert_eq!(quick.file(&file, 0).await.len() as u64, file.meta.bytes);
    }
    let fifth = Call::open(&served).await.map(drop).unwrap_err();
    assert_eq!(Failure::from_status(&fifth).reason, "RESOURCE_EXHAUSTED");
    // A slow one finds what it was promised, whatever has happened since.
    let (call, listing) = &mut slow[0];
    assert_eq!(listing.events(), 40);
    let Answer::Chunk(chunk) = call.answer().await else { panic!("a file was asked for") };
    assert_eq!(chunk.offset, 0);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_ends_its_backups_with_a_reason() {
    let (_dir, served) = with_events(5).await;
    let mut call = Call::open(&served).await.unwrap();
    call.begin().await;
    let stopped = served.stop();
    let (refusal, ()) = tokio::join!(call.refusal(), stopped);
    assert_eq!(refusal.reason, "UNAVAILABLE");
    assert!(refusal.message.contains("run the backup again"), "{refusal}");
}
