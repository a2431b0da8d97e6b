//! The token that clients hold: what is accepted is the one text of what it says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chronos_domain::xxh64::xxh64;
use chronos_domain::{PartitionId, Position, Token};

use super::Target;

pub(super) static TARGET: Target = Target {
    input_bytes_max: 1024,
    tried_by_test: 20_000,
    ..Target::new("token", "a token's text says one thing, and nothing else says it", run, seeds)
};

const PREFIX: &str = "c1.";

/// An input is a text, or else the bytes behind its encoding, which are given their check.
fn run(input: &[u8]) {
    match std::str::from_utf8(input) {
        Ok(text) if text.starts_with(PREFIX) => check(text),
        _ => {
            let mut bytes = input.to_vec();
            bytes.extend_from_slice(&(xxh64(input, 0) as u16).to_le_bytes());
            check(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)));
        }
    }
}

fn check(text: &str) {
    let Ok(token) = Token::parse(text) else { return };
    assert_eq!(token.to_string(), text, "a token has a second text");
    let mut again = Token::new();
    for (partition, position) in token.iter() {
        assert!(!position.is_zero(), "a token names a position that is none");
        again.advance(partition, position);
    }
    assert_eq!(again, token);
    assert!(token.covers(&again) && again.covers(&token), "a token does not cover itself");
}

fn seeds() -> Vec<Vec<u8>> {
    let all = PartitionId::all().map(|id| (id, Position::new(1 << (2 * id.get()))));
    let tokens =
        [Token::new(), Token::at(PartitionId::new(7).expect("below 32"), Position::MAX), all.collect()];
    let texts = tokens.iter().map(|token| token.to_string().into_bytes());
    texts.chain([vec![3, 5], vec![0, 0x80, 1, 31, 0xff, 0xff, 3]]).collect()
}
