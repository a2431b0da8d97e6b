//! What is asked.

use chronos_block::Recorded;
use chronos_query::{Answer, Error};
use chronos_store::{Fault, Leftovers};

use crate::node::{MINUTE, Node, START, entities};

const ALL: &str = "SELECT partition, position, version, event_id, entity_id, event_type, content_type, payload, \
                   CAST(occurred_at AS BIGINT), CAST(recorded_at AS BIGINT), array_length(tags), erased \
                   FROM events ORDER BY partition, position";

/// The same row by hand.
fn row(event: &Recorded) -> Vec<String> {
    let said = event.event();
    let kept = |text: String| if event.erased { "NULL".to_owned() } else { text };
    vec![
        event.partition.to_string(),
        event.position.to_string(),
        event.version.to_string(),
        said.event_id.to_string(),
        said.entity_id.to_owned(),
        said.event_type.to_owned(),
        said.content_type.to_owned(),
        kept(String::from_utf8(said.payload.to_vec()).unwrap()),
        said.occurred_at.map_or_else(|| "NULL".to_owned(), |at| at.to_string()),
        event.recorded_at.to_string(),
        if event.erased { "0".to_owned() } else { said.tags.len().to_string() },
        event.erased.to_string(),
    ]
}

/// Partition 0 wholly in parts but for its last events, one half in parts, one all in memory; two tenants; an entity
/// truncated before it was compacted, and one after.
async fn lived() -> Node {
    let node = Node::open();
    for at in 0..3 {
        let (own, other) = (entities("default", at, 20), entities("other", at, 5));
        for _ in 0..12 {
            node.append(at, "default", &own).await;
            node.append(at, "other", &other).await;
        }
        node.truncate(at, "default", &own[3], 6).await;
        node.append(at, "default", &own[..5]).await;
    }
    node.compact(0, usize::MAX);
    node.compact(1, 2);
    for at in 0..3 {
        node.truncate(at, "default", &entities("default", at, 6)[5], 9).await;
    }
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_sees_exactly_what_reads_see_wherever_it_lies() {
    let node = lived().await;
    let shelves: Vec<usize> = node.partitions.iter().map(|partition| partition.shelf().parts.len()).collect();
    assert!(shelves[0] > 2 && shelves[1] > 0 && shelves[2] == 0, "{shelves:?}");
    for owner in ["default", "other"] {
        let heads = node.heads();
        for bounds in [heads.clone(), heads.iter().map(|head| head / 3).collect(), vec![0, 7, heads[2]]] {
            let (rows, stats) = node.ask(owner, &bounds, ALL).await.unwrap();
            let expected: Vec<_> = node.events(owner, &bounds).iter().map(row).collect();
            assert_eq!(rows, expected, "{owner} as of {bounds:?}");
            assert_eq!(stats.rows_returned, expected.len() as u64);
        }
    }
    let erased =
        node.ask("default", &node.heads(), "SELECT count(*) FROM events WHERE erased").await.unwrap().0;
    assert_eq!(erased.concat(), [(3 * (5 + 8)).to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_about_one_entity_reads_a_small_part() {
    let node = lived().await;
    let heads = node.heads();
    let entity = &entities("default", 0, 1)[0];
    let sql = format!("SELECT version FROM events WHERE entity_id = '{entity}' ORDER BY version");
    let (rows, stats) = node.ask("default", &heads, &sql).await.unwrap();
    assert_eq!(rows.concat(), (1..=13).map(|version| version.to_string()).collect::<Vec<_>>());
    assert_eq!(stats.partitions_read, 1);
    // Exactly its own rows from the parts; of the tail at most what shares its name's beginning.
    assert_eq!(stats.file_rows_read + stats.tail_rows_read, 13, "{stats:?}");
    let all: u64 = heads.iter().sum();
    assert!(stats.rows_read() * 10 < all, "{stats:?} of {all}");
    // It is in every part of its partition, and an entity that is nowhere is in none.
    let nobody = entities("default", 0, 60).pop().unwrap();
    let sql = format!("SELECT version FROM events WHERE entity_id = '{nobody}'");
    let (rows, stats) = node.ask("default", &heads, &sql).await.unwrap();
    assert!(rows.is_empty());
    assert_eq!((stats.files_read, stats.rows_read()), (0, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_of_positions_and_moments_leave_whole_files_out() {
    let node = lived().await;
    let heads = node.heads();
    let (_, all) = node.ask("default", &heads, "SELECT max(version) FROM events").await.unwrap();
    let last = node.events("default", &heads).iter().map(|event| event.recorded_at.get()).min().unwrap()
        + 9 * MINUTE;
    for sql in [
        "SELECT * FROM events WHERE position <= 10 AND partition = 0".to_owned(),
        "SELECT * FROM events WHERE position BETWEEN 3 AND 5".to_owned(),
        format!(
            "SELECT * FROM events WHERE recorded_at <= arrow_cast({last}, 'Timestamp(Microsecond, Some(\"UTC\"))')"
        ),
    ] {
        let (rows, stats) = node.ask("default", &heads, &sql).await.unwrap();
        assert!(!rows.is_empty(), "{sql}");
        assert!(stats.files_read < all.files_read, "{sql}: {stats:?}");
        assert!(stats.rows_read() < all.rows_read() / 5, "{sql}: {stats:?} of {all:?}");
    }
    assert!(START < last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_found_by_its_id_without_reading_anything_else() {
    let node = lived().await;
    let heads = node.heads();
    let events = node.events("default", &heads);
    for event in events.iter().step_by(97) {
        let id = event.event().event_id;
        let sql = format!("SELECT partition, position FROM events WHERE event_id = '{id}'");
        let (rows, stats) = node.ask("default", &heads, &sql).await.unwrap();
        assert_eq!(rows, [[event.partition.to_string(), event.position.to_string()]]);
        assert_eq!((stats.rows_read(), stats.id_rows_read), (1, 1));
        assert!(node.ask("other", &heads, &sql).await.unwrap().0.is_empty(), "nobody else's");
    }
    let (last, first) = (events.last().unwrap(), &events[0]);
    let sql = format!(
        "SELECT count(*) FROM events WHERE event_id IN ('{}', '{}', 'nonsense')",
        first.event().event_id,
        last.event().event_id
    );
    assert_eq!(node.ask("default", &heads, &sql).await.unwrap().0.concat(), ["2"]);
    let before: Vec<u64> = vec![heads[0], heads[1], last.position.get() - 1];
    assert_eq!(node.ask("default", &before, &sql).await.unwrap().0.concat(), ["1"], "not yet as of then");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_changes_no_answer() {
    let node = lived().await;
    let heads = node.heads();
    let questions = [
        ALL,
        "SELECT event_type, count(*), sum(json_get_int(payload, 'n')) FROM events GROUP BY event_type ORDER BY 1",
        "SELECT a.entity_id, max(b.position) FROM events a JOIN events b ON a.entity_id = b.entity_id \
         WHERE a.event_type = 'made' AND b.event_type IN ('moved', 'gone') GROUP BY a.entity_id ORDER BY 1",
        "SELECT * FROM entity_counts ORDER BY entity_id",
        "SELECT event_id FROM recent_changes LIMIT 30",
    ];
    let mut before = Vec::new();
    for sql in questions {
        before.push(node.ask("default", &heads, sql).await.unwrap().0);
    }
    for at in 0..3 {
        node.compact(at, usize::MAX);
    }
    for (sql, rows) in questions.into_iter().zip(before) {
        assert!(!rows.is_empty(), "{sql}");
        assert_eq!(node.ask("default", &heads, sql).await.unwrap().0, rows, "{sql}");
    }
}

/// Says that the replica is gone, which is no damage.
fn is_gone<T>(answer: Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Storage { fault, .. }) if matches!(fault.as_ref(), Fault::Stopped(_)))
}

async fn drain(mut answer: Answer) -> Result<usize, Error> {
    let mut rows = 0;
    while let Some(batch) = answer.next().await? {
        rows += batch.num_rows();
    }
    Ok(rows)
}

/// What the question was bounded by was true when it was bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_discarded_before_it_is_read_is_an_error_and_no_shorter_answer() {
    for at in 0..3 {
        let node = lived().await;
        let (heads, partition) = (node.heads(), node.partitions[at].id());
        let last = node.events("default", &heads);
        let last = last.iter().rfind(|event| event.partition == partition).unwrap().event().event_id;
        let held = node.held(&heads);
        node.partitions[at].reset(Leftovers::Remove).await.unwrap();
        for sql in [
            "SELECT count(*) FROM events".to_owned(),
            "SELECT count(*) FROM events WHERE erased".to_owned(),
            format!("SELECT * FROM events WHERE partition = {partition} AND position <= 3"),
            format!("SELECT * FROM events WHERE event_id = '{last}'"),
        ] {
            let answer = match node.begin("default", held.clone(), &sql).await {
                Ok(answer) => drain(answer).await,
                Err(error) => Err(error),
            };
            assert!(is_gone(answer), "partition {partition}: {sql}");
        }
        // Of the others there is an answer still.
        let others = format!("SELECT count(*) FROM events WHERE partition <> {partition}");
        let answer = node.begin("default", held, &others).await;
        assert!(answer.is_ok());
    }
}

/// What is not in files the partition itself refuses to go on with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_discarded_while_it_is_read_ends_the_answer_with_an_error() {
    let node = Node::open();
    let names = entities("default", 2, 250);
    for _ in 0..64 {
        node.append(2, "default", &names).await;
    }
    let held = node.held(&node.heads());
    let mut answer = node.begin("default", held, "SELECT position, payload FROM events").await.unwrap();
    assert!(answer.next().await.unwrap().is_some_and(|batch| batch.num_rows() > 0));
    node.partitions[2].reset(Leftovers::Remove).await.unwrap();
    assert!(is_gone(drain(answer).await));
}

/// The files stay open, so that only the replica's life says that what they have is not all: its truncations are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_discarded_while_its_files_are_read_ends_the_answer_with_an_error() {
    let node = Node::open();
    let names = entities("default", 0, 250);
    for _ in 0..64 {
        node.append(0, "default", &names).await;
    }
    node.compact(0, usize::MAX);
    let heads = node.heads();
    assert_eq!(node.partitions[0].shelf().compacted().get(), heads[0], "everything is in files");
    node.truncate(0, "default", &names[0], 30).await;
    let sql = "SELECT position, payload FROM events WHERE NOT erased";
    let mut answer = node.begin("default", node.held(&heads), sql).await.unwrap();
    let first = answer.next().await.unwrap().map_or(0, |batch| batch.num_rows());
    assert!((1..8000).contains(&first), "most is still to be read");
    node.partitions[0].reset(Leftovers::Remove).await.unwrap();
    assert!(is_gone(drain(answer).await));
}
