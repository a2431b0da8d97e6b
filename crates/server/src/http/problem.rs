//! Errors as `application/problem+json` (RFC 9457), and the one table of their status codes.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use chronos_app::{Class, Error, Reason};
use chronos_domain::{Invalid, Rejection};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// An [`Error`] on its way to an HTTP caller.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    error: Error,
}

/// The status code of every reason.
pub(crate) const fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::Invalid | Reason::CrossPartition => StatusCode::BAD_REQUEST,
        Reason::Unauthenticated => StatusCode::UNAUTHORIZED,
        Reason::Forbidden => StatusCode::FORBIDDEN,
        Reason::NotFound => StatusCode::NOT_FOUND,
        Reason::WrongExpectedVersion | Reason::ConditionFailed | Reason::IdempotencyConflict => {
            StatusCode::CONFLICT
        }
        // Asked of the wrong node: its details say which is the right one.
        Reason::NotLeader => StatusCode::MISDIRECTED_REQUEST,
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        Reason::Corrupt | Reason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Reason::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Reason::NotCaughtUp | Reason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Reason::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Reason::ResourceExhausted => StatusCode::INSUFFICIENT_STORAGE,
    }
}

impl Problem {
    /// A request for something that this interface does not have.
    pub(crate) fn no_route(path: &str) -> Self {
        let text = format!(
            "nothing is served at {path}; see /v1/openapi.json (a slash inside an entity id is written %2F in a path)"
        );
        Self::from(Error::not_found(text))
    }

    /// A path that exists, asked with a method that it does not have.
    pub(crate) fn no_method(method: &http::Method, path: &str) -> Self {
        let text = format!("{path} does not take {method}; see /v1/openapi.json");
        Self { status: StatusCode::METHOD_NOT_ALLOWED, error: Error::invalid(text) }
    }

    /// A body in a form that this interface does not read.
    pub(crate) fn media_type(given: &str) -> Self {
        let text = format!("the body is {given:?}; send application/json");
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, error: Error::invalid(text) }
    }

    /// A body that is packed; this interface reads plain ones.
    pub(crate) fn content_encoding(given: &str) -> Self {
        let text = format!("the body has content-encoding {given:?}; send it plain, without that header");
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, error: Error::invalid(text) }
    }

    /// The handler panicked: whether it did anything is not known.
    pub(crate) fn panicked() -> Self {
        let text = "the server failed while it handled this request; its log says where. If it was an append, send \
                    it again with the same event ids to find out whether it happened";
        Self::from(Error::new(Class::Unknown, Reason::Internal, text))
    }

    /// Nothing was answered by the deadline, whatever the handler waited for.
    pub(crate) fn late() -> Self {
        let text = "the request was not answered by its deadline; nodes that it needs may be gone, cut off or slow: see \
                    `chronos cluster status`. If it was an append, send it again with the same event ids to find out \
                    whether it happened";
        Self::from(Error::new(Class::Unknown, Reason::DeadlineExceeded, text))
    }

    /// The body: the members of RFC 9457, then ours.
    pub(crate) fn body(&self) -> Value {
        let reason = self.error.reason.as_str();
        let details: Map<String, Value> =
            self.error.details.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let mut body = json!({
            "type": format!("urn:chronos:problem:{}", reason.to_ascii_lowercase()),
            "title": reason.to_ascii_lowercase().replace('_', " "),
            "status": self.status.as_u16(),
            "detail": self.error.message,
            "reason": reason,
            "class": self.error.class.as_str(),
            "details": details,
        });
        if let Some(milliseconds) = self.error.retry_after_ms {
            body["retry_after_ms"] = json!(milliseconds);
        }
        body
    }

    fn retry_after(&self) -> Option<HeaderValue> {
        self.error.retry_after_ms.map(|milliseconds| HeaderValue::from(milliseconds.div_ceil(1000)))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        // Whom else to ask is only known where a node is named.
        let is_named = error
            .details
            .iter()
            .any(|(name, value)| matches!(*name, "leader_node" | "holders") && !value.is_empty());
        let status = match error.reason {
            Reason::NotLeader if !is_named => StatusCode::SERVICE_UNAVAILABLE,
            reason => status(reason),
        };
        Self { status, error }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Self::from(Error::from(rejection))
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::from(Rejection::from(invalid))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        const PROBLEM: (HeaderName, HeaderValue) =
            (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = (self.status, [PROBLEM], Body::from(self.body().to_string())).into_response();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_an_error_status_and_a_body_that_names_it() {
        for reason in Reason::ALL {
            let error = Error::new(Class::Failed, reason, "what and where").with("partition", 7);
            let body = Problem::from(error.retry_after_ms(1500)).body();
            assert!(status(reason).is_client_error() || status(reason).is_server_error(), "{reason:?}");
            let unnamed = reason == Reason::NotLeader;
            assert_eq!(body["status"], if unnamed { 503 } else { status(reason).as_u16() });
            assert_eq!(body["reason"], reason.as_str());
            assert_eq!(body["details"]["partition"], "7");
            assert_eq!(body["retry_after_ms"], 1500);
        }
    }

    #[test]
    fn only_who_is_told_whom_to_ask_is_sent_there() {
        let not_here = || Error::new(Class::Failed, Reason::NotLeader, "not here");
        let status = |error| Problem::from(error).body()["status"].clone();
        assert_eq!(status(not_here().with("holders", "n2")), 421);
        assert_eq!(status(not_here().with("leader_node", 2)), 421);
        assert_eq!(status(not_here().with("holders", "")), 503);
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        let error = Error::new(Class::NotApplied, Reason::ResourceExhausted, "full").retry_after_ms(1001);
        assert_eq!(Problem::from(error).into_response().headers()[header::RETRY_AFTER], "2");
    }
}
