//! HTTP and JSON for the same verbs as gRPC, and what operators ask: health, metrics, the interface's description.
//!
//! [`table`] is the list of everything that is served; a test holds `openapi.json` against it.

mod admin;
mod append;
mod body;
mod health;
mod moment;
mod node;
mod problem;
mod query;
mod read;
pub(crate) mod sql;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use http::{Method, Uri};

pub(crate) use problem::Problem;

use crate::edge::Edge;

type Route = (&'static str, &'static str, MethodRouter<Arc<Edge>>);

/// Method, path and handler of everything served over HTTP.
fn table() -> Vec<Route> {
    vec![
        ("post", "/v1/events", post(append::append)),
        ("get", "/v1/events", get(read::all)),
        ("get", "/v1/events/{event_id}", get(read::event)),
        ("get", "/v1/entities/{entity_id}/events", get(read::entity)),
        ("get", "/v1/entities/{entity_id}/state", get(read::state)),
        ("get", "/v1/partitions/{partition}/events", get(read::partition)),
        ("get", "/v1/route/{entity_id}", get(node::route)),
        ("post", SQL, post(sql::ask)),
        ("post", "/v1/entities/{entity_id}/truncate", post(admin::truncate)),
        ("post", "/v1/compact", post(admin::compact)),
        ("get", "/v1/digest", get(admin::digest)),
        ("get", "/v1/prove/{event_id}", get(admin::prove)),
        ("get", "/v1/sample", get(admin::sample)),
        ("get", "/v1/stats", get(admin::stats)),
        ("get", "/v1/watermarks", get(node::watermarks)),
        ("get", "/v1/info", get(node::info)),
        ("get", "/v1/placement", get(node::placement)),
        ("get", "/v1/openapi.json", get(node::openapi)),
        ("get", "/healthz", get(health::alive)),
        ("get", "/readyz", get(health::ready)),
        ("get", "/metrics", get(health::metrics)),
    ]
}

/// Everything served over HTTP, beside the gRPC services in `grpc`.
pub(crate) fn router(edge: &Arc<Edge>, grpc: Router) -> Router {
    let routes =
        table().into_iter().fold(Router::new(), |router, (_, path, handler)| router.route(path, handler));
    let rest: Router = routes.method_not_allowed_fallback(no_method).with_state(edge.clone());
    // Last, so that it also stands in for the fallback of the gRPC routes.
    with_no_route(grpc.merge(rest), edge, Port::Clients)
}

/// Which of a node's ports somebody speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Clients,
    Operators,
}

/// Answers whoever asks for something that is not served at this port, and says where it is if it is elsewhere.
pub(crate) fn with_no_route(router: Router, edge: &Arc<Edge>, port: Port) -> Router {
    let edge = edge.clone();
    router.fallback(async move |headers: http::HeaderMap, uri: Uri| {
        crate::grpc::no_route(&edge, port, &headers, uri.path())
    })
}

/// How long the head of an answer may take: as long as the caller says, within the server's limits, and a little for the
/// answer's own words about that. A question in SQL says in its body how long it may take, and keeps to it by itself.
pub(crate) fn patience(edge: &Edge, uri: &Uri) -> Duration {
    let most = Duration::from_millis(edge.limits.deadline_max_ms);
    let asked = uri.query().and_then(query::asked);
    let patience = if uri.path() == SQL { most } else { edge.limits.patience(asked) };
    patience + GRACE
}

const SQL: &str = "/v1/sql";
const GRACE: Duration = Duration::from_secs(2);

async fn no_method(method: Method, uri: Uri) -> Problem {
    Problem::no_method(&method, uri.path())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// Every (method, path) that the document describes.
    fn described(document: &Value) -> BTreeSet<(String, String)> {
        let paths = document["paths"].as_object().expect("a document has paths");
        let methods = |(path, item): (&String, &Value)| -> Vec<(String, String)> {
            let methods = item.as_object().expect("a path has methods").keys();
            methods.map(|method| (method.clone(), path.clone())).collect()
        };
        paths.iter().flat_map(methods).collect()
    }

    #[test]
    fn the_document_describes_exactly_what_is_served() {
        let document: Value = serde_json::from_str(node::OPENAPI).expect("the document is JSON");
        let served = table().into_iter().map(|(method, path, _)| (method.to_owned(), path.to_owned()));
        assert_eq!(described(&document), served.collect());
    }

    /// Every `$ref` in a value.
    fn references(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                into.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| references(value, into));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, into)),
            _ => {}
        }
    }

    #[test]
    fn everything_the_document_refers_to_is_in_it() {
        let document: Value = serde_json::from_str(node::OPENAPI).expect("the document is JSON");
        let mut all = BTreeSet::new();
        references(&document, &mut all);
        assert!(!all.is_empty());
        for reference in all {
            let pointer = reference.strip_prefix('#').expect("references stay inside the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn every_parameter_in_a_path_is_described() {
        let document: Value = serde_json::from_str(node::OPENAPI).expect("the document is JSON");
        for (method, path, _) in table() {
            let Some(name) =
                path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| name)
            else {
                continue;
            };
            let parameters =
                document["paths"][path][method]["parameters"].as_array().expect("it has parameters");
            let named = |parameter: &Value| {
                let pointer = parameter["$ref"].as_str().and_then(|text| text.strip_prefix('#'));
                let parameter = pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(parameter);
                parameter["name"] == name && parameter["in"] == "path"
            };
            assert!(parameters.iter().any(named), "{method} {path} does not describe {name}");
        }
    }
}
