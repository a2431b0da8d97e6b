//! Requests as bytes: how long a body may be and may take, and what a path names.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use bytes::Bytes;
use chronos_app::{Class, Error, Reason};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::Problem;
use crate::edge::Edge;

/// The whole body of a JSON request, read before the deadline.
pub(super) async fn json(
    edge: &Edge,
    headers: &HeaderMap,
    body: Body,
    deadline: Duration,
) -> Result<Bytes, Problem> {
    check_form(headers)?;
    check_encoding(headers)?;
    let bytes_max = edge.limits.http_body_bytes_max;
    let clock = &edge.env.clock;
    let whole = Limited::new(body, bytes_max).collect();
    match clock.timeout(deadline.saturating_sub(clock.monotonic()), whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text =
                format!("the body is longer than the {bytes_max} bytes allowed; send less in one request");
            let error = Error::new(Class::Rejected, Reason::TooLarge, text);
            Err(error.with("limit", "http body bytes").with("max", bytes_max).into())
        }
        Ok(Err(error)) => {
            let text = format!("the body broke off: {error}; nothing was done, send it again");
            Err(Error::new(Class::NotApplied, Reason::Invalid, text).into())
        }
        Err(_) => {
            let text = "the body did not arrive before the deadline; nothing was done, send it again";
            Err(Error::new(Class::NotApplied, Reason::DeadlineExceeded, text).into())
        }
    }
}

/// JSON, or nothing said of the form.
fn check_form(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(form) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let form = form.to_str().unwrap_or("not text");
    let media = form.split(';').next().unwrap_or(form).trim();
    if media.eq_ignore_ascii_case("application/json") { Ok(()) } else { Err(Problem::media_type(form)) }
}

/// Plain bytes: what unpacks to no known length is not unpacked.
fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    for encoding in headers.get_all(header::CONTENT_ENCODING) {
        let encoding = encoding.to_str().unwrap_or("not text");
        if !encoding.trim().eq_ignore_ascii_case("identity") {
            return Err(Problem::content_encoding(encoding));
        }
    }
    Ok(())
}

/// The one thing a path names.
pub(super) fn path(named: Result<Path<String>, PathRejection>) -> Result<String, Error> {
    named.map(|Path(text)| text).map_err(|error| {
        Error::invalid(format!("the path is not percent-encoded UTF-8 ({}); encode it", error.body_text()))
    })
}
