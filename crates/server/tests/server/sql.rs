//! SQL over both surfaces: one answer, one moment, one way to refuse.

use std::io::Cursor;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::ipc::reader::StreamReader;
use chronos_proto::v1;
use chronos_proto::v1::query_client::QueryClient;
use chronos_proto::v1::query_response::Part;
use serde_json::{Value, json};
use tonic::Code;

use crate::served::{Answer, Served, fresh, one_in_each, request};

async fn ask(served: &Served, question: Value) -> Answer {
    let mut request = request("POST", "/v1/sql", question.to_string());
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    served.send(request).await
}

/// The rows of a question that must be answered.
async fn rows(served: &Served, question: Value) -> Value {
    ask(served, question).await.ok()["rows"].clone()
}

/// One event about an entity in every partition.
async fn append_everywhere(served: &Served, n: u64) {
    for entity in one_in_each() {
        let event = json!({"entity_id": entity, "event_type": "thing.counted", "payload": {"n": n}});
        served.post(event.to_string()).await.ok();
    }
}

const SUM: &str =
    "SELECT count(*) AS events, sum(json_get_int(payload, 'n')) AS n, max(version) AS v FROM events";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_has_columns_rows_and_what_it_cost() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    let empty = ask(&served, json!({"sql": "SELECT * FROM events"})).await.ok();
    assert_eq!((&empty["rows"], empty["columns"].as_array().unwrap().len()), (&json!([]), 14));
    append_everywhere(&served, 3).await;
    let answer = ask(&served, json!({"sql": SUM})).await.ok();
    assert_eq!(answer["rows"], json!([{"events": 32, "n": 96, "v": 1}]));
    assert_eq!(answer["columns"][0], json!({"name": "events", "type": "Int64"}));
    let stats = &answer["stats"];
    assert_eq!((&stats["rows_returned"], &stats["partitions_read"]), (&json!(1), &json!(32)));
    assert_eq!(stats["file_rows_read"].as_u64().unwrap() + stats["tail_rows_read"].as_u64().unwrap(), 32);
    let entity = &one_in_each()[7];
    let sql = format!("SELECT partition, payload ->> 'n' AS n FROM events WHERE entity_id = '{entity}'");
    let answer = ask(&served, json!({"sql": sql})).await.ok();
    assert_eq!(answer["rows"], json!([{"partition": 7, "n": "3"}]));
    assert_eq!(answer["stats"]["partitions_read"], 1);
    let metrics = String::from_utf8(served.get("/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("\nchronos_queries_total 3\n"), "{metrics}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_about_a_token_has_the_same_answer_for_ever() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    append_everywhere(&served, 1).await;
    let first = ask(&served, json!({"sql": SUM})).await.ok();
    append_everywhere(&served, 2).await;
    assert_eq!(rows(&served, json!({"sql": SUM})).await, json!([{"events": 64, "n": 96, "v": 2}]));
    let token = &first["stats"]["token"];
    let again = ask(&served, json!({"sql": SUM, "as_of": token})).await.ok();
    assert_eq!(again["rows"], first["rows"]);
    assert_eq!(&again["stats"]["token"], token);
    assert_eq!(rows(&served, json!({"sql": SUM, "as_of": "2020-01-01"})).await[0]["events"], 0);
    ask(&served, json!({"sql": SUM, "as_of": "v1"})).await.problem(400, "INVALID");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_question_or_too_much_is_refused_with_what_to_do() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    append_everywhere(&served, 1).await;
    let mut refused = Vec::new();
    for sql in [
        "DROP TABLE events",
        "INSERT INTO events VALUES (1)",
        "SELECT 1; SELECT 2",
        "COPY events TO '/tmp/x'",
    ] {
        refused.push(ask(&served, json!({"sql": sql})).await.problem(400, "INVALID"));
    }
    for problem in refused {
        assert!(problem["detail"].as_str().unwrap().contains("nothing was done"), "{problem}");
    }
    for body in [
        json!({"sql": "SELEC 1"}),
        json!({"sql": "SELECT * FROM '/etc/passwd'"}),
        json!({"sql": "SELECT 1", "limits": {"rows": 0}}),
        json!({"sql": "SELECT 1", "limits": {"row": 5}}),
        json!({"query": "SELECT 1"}),
        json!({"sql": "SELECT 1", "as_of": [1]}),
    ] {
        ask(&served, body.clone()).await.problem(400, "INVALID");
    }
    let all = "SELECT position FROM events";
    assert!(ask(&served, json!({"sql": all, "limits": {"rows": 32}})).await.status.is_success());
    let long = ask(&served, json!({"sql": all, "limits": {"rows": 31}})).await.problem(413, "TOO_LARGE");
    assert_eq!(long["details"]["max"], "31");
    ask(&served, json!({"sql": all, "limits": {"time_ms": 0}})).await.problem(504, "DEADLINE_EXCEEDED");
    assert_eq!(served.stored().await, 32);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_grpc_an_answer_is_one_arrow_stream_and_then_what_it_cost() {
    let (_dir, config) = fresh();
    let served = Served::start(&config).await;
    append_everywhere(&served, 5).await;
    let mut client = QueryClient::new(served.channel().await);
    let question = |sql: &str| v1::QueryRequest { sql: sql.to_owned(), as_of: None, limits: None };
    let sql = "SELECT position, entity_id FROM events ORDER BY partition";
    let mut answer = client.query(question(sql)).await.unwrap().into_inner();
    let (mut arrow, mut stats) = (Vec::new(), None);
    while let Some(message) = answer.message().await.unwrap() {
        assert!(stats.is_none(), "nothing comes after the stats");
        match message.part.unwrap() {
            Part::Arrow(bytes) => arrow.extend_from_slice(&bytes),
            Part::Stats(told) => stats = Some(told),
        }
    }
    let batches: Vec<_> =
        StreamReader::try_new(Cursor::new(arrow), None).unwrap().collect::<Result<_, _>>().unwrap();
    let entities: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.column(1).as_string::<i32>().iter().map(|name| name.unwrap().to_owned()))
        .collect();
    assert_eq!(entities, one_in_each());
    let positions = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
    assert!(positions.into_iter().all(|position| *position == 1));
    let stats = stats.expect("the answer is whole");
    assert_eq!((stats.rows_returned, stats.token.is_empty()), (32, false));

    for (sql, code) in
        [("DELETE FROM events", Code::InvalidArgument), ("SELECT x FROM events", Code::InvalidArgument)]
    {
        let mut answer = client.query(question(sql)).await.unwrap().into_inner();
        assert_eq!(answer.message().await.unwrap_err().code(), code, "{sql}");
    }
    served.stop().await;
}
