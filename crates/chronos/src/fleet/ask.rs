//! One question to one node, answered by that node or not at all.
//!
//! The SDK goes on to another node when one fails, which is what callers want and what a comparison of nodes must never
//! do. So this asks over HTTP, on a connection of its own.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::{Failure, Outcome};

/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The JSON that the node at `address` serves there.
pub(crate) async fn json(address: &str, path: &str) -> Outcome<Value> {
    let failed = |why: String| Failure::failed(format!("{address}{path}: {why}"));
    let text = match timeout(ANSWER_MAX, get(address, path)).await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed(format!("no answer within {} s", ANSWER_MAX.as_secs()))),
    };
    let body = body(&text).map_err(failed)?;
    serde_json::from_slice(body).map_err(|e| failed(format!("the answer is no JSON: {e}")))
}

/// The text that the node at `address` serves there.
pub(crate) async fn text(address: &str, path: &str) -> Outcome<String> {
    let failed = |why: String| Failure::failed(format!("{address}{path}: {why}"));
    let answer = timeout(ANSWER_MAX, get(address, path)).await;
    let answer = answer.map_err(|_| failed(format!("no answer within {} s", ANSWER_MAX.as_secs())))?;
    let answer = answer.map_err(|error| failed(error.to_string()))?;
    body(&answer).map(|body| String::from_utf8_lossy(body).into_owned()).map_err(failed)
}

/// HTTP/1.0, so that the end of the connection is the end of the answer.
async fn get(address: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// What follows the head of an answer that says 200.
fn body(answer: &[u8]) -> Result<&[u8], String> {
    match parted(answer)? {
        (200, body) => Ok(body),
        (status, body) => Err(format!("{status}: {}", String::from_utf8_lossy(body).trim())),
    }
}

/// The status of an answer and what follows its head.
fn parted(answer: &[u8]) -> Result<(u16, &[u8]), String> {
    let end =
        answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("the answer has no end of its head")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.lines().next().unwrap_or_default();
    let number = status.split(' ').nth(1).and_then(|number| number.parse().ok());
    Ok((number.ok_or_else(|| format!("{status:?} is no status"))?, &answer[end + 4..]))
}

/// A value as part of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes every text");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_taken_only_from_an_answer_that_says_200() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\na: b\r\n\r\n{}"), Ok(&b"{}"[..]));
        assert!(body(b"HTTP/1.0 503 Not Now\r\n\r\nlater").unwrap_err().contains("503: later"));
        assert!(body(b"HTTP/1.0 200 OK\r\n").is_err());
    }

    #[test]
    fn what_a_query_must_not_hold_is_encoded() {
        assert_eq!(encoded("p0:5,p31:7+ä"), "p0%3A5%2Cp31%3A7%2B%C3%A4");
    }
}
