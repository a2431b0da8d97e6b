use datafusion::logical_expr::{cast, col, lit};

use super::*;

fn set(words: &[&str]) -> Option<BTreeSet<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

fn micros(number: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampMicrosecond(Some(number), Some("UTC".into())), None)
}

fn nanos(number: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampNanosecond(Some(number), Some("UTC".into())), None)
}

#[test]
fn conditions_on_one_column_meet_under_and_and_join_under_or() {
    let a = || col("entity_id").eq(lit("a"));
    let b = || col("entity_id").eq(lit("b"));
    assert_eq!(Wanted::of(&a()).entities, set(&["a"]));
    assert_eq!(Wanted::of(&a().or(b())).entities, set(&["a", "b"]));
    assert_eq!(Wanted::of(&a().and(b())).entities, set(&[]));
    assert_eq!(
        Wanted::of(&col("entity_id").in_list(vec![lit("a"), lit("b")], false)).entities,
        set(&["a", "b"])
    );
    assert_eq!(Wanted::all_of(&[a(), col("event_type").eq(lit("t"))]).types, set(&["t"]));
}

#[test]
fn a_choice_between_different_columns_rules_nothing_out() {
    let either = col("entity_id").eq(lit("a")).or(col("event_type").eq(lit("t")));
    assert_eq!(Wanted::of(&either), Wanted::default());
    let both_sides = col("entity_id").eq(lit("a")).and(col("position").gt(lit(5i64)));
    let either = both_sides.or(col("entity_id").eq(lit("b")));
    assert_eq!(Wanted::of(&either), Wanted { entities: set(&["a", "b"]), ..Wanted::default() });
}

#[test]
fn what_a_sort_has_found_out_rules_out_what_is_older() {
    let newer =
        col("recorded_at").gt(micros(50)).and(col("partition").is_null().or(col("partition").gt(lit(3))));
    let tied = col("recorded_at").eq(micros(50)).and(col("partition").gt(lit(3)));
    let running = Wanted::of(&col("recorded_at").is_null().or(newer).or(tied));
    assert_eq!(running.recorded, Some(Span { from: 50, to: i64::MAX }));
    let extent = |recorded| Extent { partitions: 0..=0, positions: 1..=9, recorded };
    assert!(!running.may_be_within(&extent(10..=49)));
    assert!(running.may_be_within(&Extent { partitions: 4..=4, ..extent(10..=50) }));
}

#[test]
fn what_is_not_plain_rules_nothing_out() {
    let a = col("entity_id").eq(lit("a"));
    let not_plain = [
        Expr::Not(Box::new(a)),
        col("entity_id").not_eq(lit("a")),
        col("entity_id").gt(lit("a")),
        col("entity_id").in_list(vec![lit("a")], true),
        col("entity_id").in_list(vec![lit("a"), col("event_type")], false),
        col("entity_id").eq(col("event_type")),
        col("payload").eq(lit("a")),
        col("position").eq(lit(1.5)),
        cast(col("position"), DataType::Utf8).eq(lit("1")),
        cast(col("recorded_at"), DataType::Date32).eq(micros(5)),
        cast(col("recorded_at"), DataType::Timestamp(TimeUnit::Second, None)).eq(micros(5)),
    ];
    for condition in not_plain {
        assert!(!Wanted::of(&condition).is_narrow(), "{condition}");
    }
}

#[test]
fn comparisons_with_numbers_give_the_numbers_that_pass_whichever_side_the_column_is_on() {
    let position = || col("position");
    let cases = [
        (position().eq(lit(5i64)), Span { from: 5, to: 5 }),
        (position().lt(lit(5i64)), Span { from: i64::MIN, to: 4 }),
        (position().lt_eq(lit(5i64)), Span { from: i64::MIN, to: 5 }),
        (position().gt(lit(5i32)), Span { from: 6, to: i64::MAX }),
        (lit(5i64).lt(position()), Span { from: 6, to: i64::MAX }),
        (lit(5i64).gt_eq(position()), Span { from: i64::MIN, to: 5 }),
        (position().between(lit(2i64), lit(5i64)), Span { from: 2, to: 5 }),
        (position().gt(lit(i64::MAX)), Span::EMPTY),
        (position().eq(lit(ScalarValue::Int64(None))), Span::EMPTY),
        (position().eq(lit(2i64)).or(position().eq(lit(9i64))), Span { from: 2, to: 9 }),
    ];
    for (condition, span) in cases {
        assert_eq!(Wanted::of(&condition).positions, Some(span), "{condition}");
    }
}

#[test]
fn a_moment_in_nanoseconds_is_widened_and_never_narrowed_to_microseconds() {
    let fine = cast(col("recorded_at"), DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())));
    let cases = [
        (col("recorded_at").gt(micros(5)), Span { from: 6, to: i64::MAX }),
        (fine.clone().gt(nanos(5_500)), Span { from: 5, to: i64::MAX }),
        (fine.clone().gt_eq(nanos(5_000)), Span { from: 5, to: i64::MAX }),
        (fine.clone().lt(nanos(5_500)), Span { from: i64::MIN, to: 6 }),
        (fine.lt_eq(nanos(-1)), Span { from: i64::MIN, to: 0 }),
    ];
    for (condition, span) in cases {
        assert_eq!(Wanted::of(&condition).recorded, Some(span), "{condition}");
    }
}

#[test]
fn an_entity_is_looked_for_in_its_own_partition_only() {
    let home = place("default", "order-7");
    let wanted = Wanted::of(&col("entity_id").eq(lit("order-7")));
    let may_be_in = |partition: &PartitionId| wanted.may_be_in("default", *partition);
    assert_eq!(PartitionId::all().filter(may_be_in).collect::<Vec<_>>(), [home]);
    let both = Wanted::all_of(&[
        col("entity_id").eq(lit("order-7")),
        col("partition").not_eq(lit(i32::from(home.get()))),
        col("partition").lt(lit(i32::from(home.get()))),
    ]);
    assert!(!PartitionId::all().any(|partition| both.may_be_in("default", partition)));
}

#[test]
fn ids_are_those_that_a_stored_id_can_equal_as_text() {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let upper = id.to_uppercase();
    let wanted = Wanted::of(&col("event_id").in_list(vec![lit(id), lit(upper), lit("no id")], false));
    assert_eq!(wanted.ids(), Some(vec![EventId::parse(id).unwrap()]));
    assert_eq!(Wanted::default().ids(), None);
}
