//! Files that people import: lines of our own, CloudEvents, the history of a git repository; compressed or not.

use chronos_block::{Compression, Draft, Packer};
use chronos_cli::{Format, git_history, lines};
use chronos_domain::{PartitionId, Position, TenantId, Timestamp, Version};
use chronos_proto::Event;
use chronos_proto::json::{Layout, write};

use super::Target;
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    // What a line may be at most, twice, and a chunk of what follows it.
    memory_bytes_max: 64 << 20,
    ..Target::new(
        "import",
        "what an import reads a server takes, and exported it reads as the same event",
        run,
        seeds,
    )
};

/// Of what is packed 255 times as tight only the beginning is read.
const LINES_MAX: usize = 2000;

/// An input is a format, then a file.
fn run(input: &[u8]) {
    let mut input = Input::new(input);
    match input.u8() % 3 {
        0 => lines_of(input.rest(), Format::Ndjson),
        1 => lines_of(input.rest(), Format::Cloudevents),
        _ => {
            let events = git_history(input.rest(), "shop").expect("a name that names");
            events.iter().for_each(check);
        }
    }
}

fn lines_of(file: &[u8], format: Format) {
    let mut before = 0;
    for line in lines(file.to_vec(), format).take(LINES_MAX).flatten() {
        assert!(line.number > before, "line {} comes behind line {before}", line.number);
        before = line.number;
        match line.event {
            Ok(draft) => check(&draft),
            Err(reason) => assert!(!reason.is_empty(), "a line is refused without a reason"),
        }
    }
}

fn check(draft: &Draft) {
    let mut packer = Packer::new();
    packer.push(draft.clone()).expect("what is read keeps the rules of an event");
    packer.finish(Compression::None).expect("it has an event");
    let mut line = Vec::new();
    write(&mut line, &stored(draft), Layout::Line);
    assert!(!line.contains(&b'\n'), "an exported event has two lines");
    let read: Vec<_> = lines(line, Format::Ndjson).collect();
    let [Some(read)] = read.as_slice() else { panic!("an exported event is read as {} lines", read.len()) };
    let again = read.event.as_ref().expect("what was exported is read");
    // White space between the tokens of a payload that has a line break in it may be lost; its content not.
    let facts = |draft: &Draft| {
        let Draft { event_id, entity_id, event_type, content_type, tags, occurred_at, .. } = draft.clone();
        (event_id, entity_id, event_type, content_type, tags, occurred_at)
    };
    assert_eq!(facts(again), facts(draft), "an exported event is read as another one");
    if !draft.payload.contains(&b'\n') && !draft.payload.contains(&b'\r') {
        assert_eq!(again.payload, draft.payload, "an exported payload is read as another one");
    }
}

/// The event as it would be stored.
fn stored(draft: &Draft) -> Event {
    Event {
        event_id: draft.event_id,
        tenant_id: TenantId::default_tenant(),
        entity_id: draft.entity_id.clone(),
        event_type: draft.event_type.clone(),
        payload: draft.payload.clone(),
        content_type: draft.content_type.clone(),
        metadata: draft.metadata.clone(),
        tags: draft.tags.clone(),
        occurred_at: draft.occurred_at,
        recorded_at: Timestamp::new(1),
        version: Version::new(1),
        position: Position::new(1),
        partition: PartitionId::new(0).expect("below 32"),
        erased: false,
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let ours = concat!(
        r#"{"event_id":"fea5aa07-35ab-5ad2-bf22-9c5cec4e35a3","entity_id":"order-{7}","event_type":"order.placed","#,
        r#""occurred_at":5,"payload":{ "b" : 1.00, "a":"\u00e9"},"metadata":{"actor": "é"},"tags":["x:y","\"z\""]}"#,
        "\n\n",
        r#"{"entity_id":"a","event_type":"t","content_type":"image/png","payload":"Zm9v","version":2,"tenant_id":"default"}"#,
        "\n",
    );
    let cloud = concat!(
        r#"{"specversion":"1.0","id":"fea5aa07-35ab-5ad2-bf22-9c5cec4e35a3","source":"/s","subject":"a/b","type":"t","#,
        r#""time":"2024-05-01T12:00:00Z","datacontenttype":"text/plain","data":"a\nb","traceparent":"x"}"#,
        "\n",
        r#"{"specversion":"1.0","id":"7","source":"//host/a","type":"t","data_base64":"Zm9v"}"#,
        "\n",
    );
    let git = concat!(
        "\x010123456789abcdef0123456789abcdef01234567\0Ann\0",
        "1700000000\0add it\0\0:000000 100644 0000 1111 A\0src/a b.rs\0",
        ":100644 100644 1111 2222 M\0x\0",
        "\x01fedcba9876543210fedcba9876543210fedcba98\0Bo\0-5\0\0\0\n:100644 000000 1111 0000 D\0x\0",
    );
    let packed = zstd::encode_all(ours.as_bytes(), 1).expect("memory is no file");
    let kinds = [(0, ours.as_bytes()), (0, packed.as_slice()), (1, cloud.as_bytes()), (2, git.as_bytes())];
    kinds.iter().map(|(kind, file)| joined(&[&[*kind], *file])).collect()
}
