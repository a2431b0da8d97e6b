use alloc::string::ToString;

use proptest::prelude::*;

use super::*;

fn tokens() -> impl Strategy<Value = Token> {
    let partition = (0..=32u8).prop_map(|n| PartitionId::of_group(n).unwrap());
    let position = prop_oneof![0..300u64, any::<u64>(), Just(u64::MAX)].prop_map(Position::new);
    prop::collection::vec((partition, position), 0..40).prop_map(Token::from_iter)
}

fn text_of(bytes: &[u8]) -> String {
    let mut all = bytes.to_vec();
    all.extend_from_slice(&check_of(bytes));
    let mut text = String::from(PREFIX);
    base64url::encode(&all, &mut text);
    text
}

fn refusal(text: &str) -> String {
    Token::parse(text).expect_err("refused").to_string()
}

proptest! {
    #[test]
    fn text_and_token_are_the_same_thing(token in tokens()) {
        let text = token.to_string();
        prop_assert!(text.len() <= TOKEN_CHARS_MAX);
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        prop_assert_eq!(Token::parse(&text), Ok(token));
    }

    #[test]
    fn a_text_that_is_accepted_is_the_one_that_is_written(vector in prop::collection::vec(any::<u8>(), 0..12)) {
        let text = text_of(&vector);
        if let Ok(token) = Token::parse(&text) {
            prop_assert_eq!(token.to_string(), text);
        }
    }

    #[test]
    fn parsing_any_text_ends_in_an_answer(text in "(c1\\.)?[A-Za-z0-9_=. é-]{0,40}") {
        let _ = Token::parse(&text);
    }

    #[test]
    fn a_merged_token_is_the_least_that_covers_both(a in tokens(), b in tokens()) {
        let mut merged = a.clone();
        merged.merge(&b);
        prop_assert!(merged.covers(&a) && merged.covers(&b));
        for p in 0..=32 {
            let p = PartitionId::of_group(p).unwrap();
            prop_assert_eq!(merged.get(p), a.get(p).max(b.get(p)));
        }
        let mut other = b.clone();
        other.merge(&a);
        prop_assert_eq!(&merged, &other);
        prop_assert_eq!(a.covers(&b), merged == a);
    }
}

#[test]
fn the_text_form_is_pinned() {
    let p = |n| PartitionId::new(n).unwrap();
    assert_eq!(Token::new().to_string(), "c1.mek");
    let token = Token::from_iter([(p(0), Position::new(1)), (p(31), Position::new(300))]);
    assert_eq!(token.to_string(), "c1.AAEfrAK1CA");
    assert_eq!(Token::from_iter([(p(31), Position::new(300)), (p(0), Position::new(1))]), token);
}

#[test]
fn a_token_that_names_every_partition_at_its_end_fits_its_bound() {
    let token = Token::from_iter((0..=32).map(|n| (PartitionId::of_group(n).unwrap(), Position::MAX)));
    let text = token.to_string();
    assert!(text.len() <= TOKEN_CHARS_MAX, "{}", text.len());
    assert_eq!(Token::parse(&text), Ok(token));
}

#[test]
fn zero_is_not_a_position_to_name() {
    let token = Token::at(PartitionId::new(3).unwrap(), Position::ZERO);
    assert!(token.is_empty());
    assert_eq!(token, Token::new());
}

#[test]
fn each_refusal_says_what_is_wrong() {
    let good = Token::at(PartitionId::new(7).unwrap(), Position::new(99)).to_string();
    let mut mistyped = good.clone().into_bytes();
    mistyped[3] = if mistyped[3] == b'A' { b'B' } else { b'A' };
    let mistyped = String::from_utf8(mistyped).unwrap();
    for (text, what) in [
        ("", "does not start with `c1.`"),
        ("42", "does not start with `c1.`"),
        ("c1.", "is cut short"),
        ("c1.%%", "has a byte at 3 that no token has"),
        ("c1.A", "is cut short or mistyped at its end"),
        (mistyped.as_str(), "does not match its check"),
        (&(good + "AAAA"), "does not match its check"),
        (&text_of(&[33, 1]), "names partition 33, which does not exist"),
        (&text_of(&[7, 1, 7, 2]), "names partition 7 out of order"),
        (&text_of(&[7, 1, 6, 2]), "names partition 6 out of order"),
        (&text_of(&[7]), "has no position for partition 7"),
        (&text_of(&[7, 0]), "has no position for partition 7"),
        (&text_of(&[7, 0x80]), "has no position for partition 7"),
        (&text_of(&[7, 0x81, 0x00]), "has no position for partition 7"),
        (
            &text_of(&[7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]),
            "has no position for partition 7",
        ),
        (&format!("c1.{}", "A".repeat(TOKEN_CHARS_MAX)), "has 515 characters"),
    ] {
        let said = refusal(text);
        assert!(said.starts_with("token ") && said.contains(what), "{text:?}: {said}");
        assert!(said.ends_with("give a token exactly as an append or a read returned it"), "{said}");
    }
}

#[test]
fn a_cut_token_is_never_another_token() {
    let token = Token::from_iter(PartitionId::all().map(|p| (p, Position::new(1000 + u64::from(p.get())))));
    let text = token.to_string();
    for end in 0..text.len() {
        assert!(Token::parse(&text[..end]).is_err(), "cut to {end}");
    }
}
