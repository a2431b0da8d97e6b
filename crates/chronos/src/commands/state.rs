//! `chronos state`

use chronos_client::{Moment, Reducer, State as Request, Timestamp, Version};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::Context;
use crate::commands::read::{erased, found};
use crate::connect::Connection;
use crate::failure::{Failure, Outcome};
use crate::moment;
use crate::output::{Format, Out};

const EXAMPLES: &str = "\
Reducers:
  merge   every payload is a JSON merge patch (RFC 7396) on the ones before
  last    the last payload
  count   how many events there are
  list    all payloads, in order

--as-of takes a version of the entity (3, or v3), a time or a token; a bare number from 100000000000000 on is \
microseconds since the epoch.

Examples:
  chronos state order-7
  chronos state order-7 --as-of 1
  chronos state order-7 --as-of 2024-05-01T12:00:00Z --occurred-until 2024-04-30
  chronos state order-7 --reducer count --output json

Exit code 3 when there is no such entity.";

/// Fold an entity's events into its state, at any moment
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct State {
    /// Whose state
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// What the store knew then: a version, a time or a token
    #[arg(long, value_name = "VERSION|TIME|TOKEN", value_parser = moment::parse_as_of)]
    as_of: Option<Moment>,
    /// What had happened by then
    #[arg(long, value_name = "TIME", value_parser = moment::parse_time, allow_hyphen_values = true)]
    occurred_until: Option<Timestamp>,
    /// How events become a state
    #[arg(long, value_enum, default_value_t, value_name = "REDUCER")]
    reducer: ReducerArg,
}

/// How events become a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReducerArg {
    #[default]
    Merge,
    Last,
    Count,
    List,
}

impl From<ReducerArg> for Reducer {
    fn from(arg: ReducerArg) -> Self {
        match arg {
            ReducerArg::Merge => Self::Merge,
            ReducerArg::Last => Self::Last,
            ReducerArg::Count => Self::Count,
            ReducerArg::List => Self::List,
        }
    }
}

/// The state as one object.
#[derive(Serialize)]
struct Shown<'a> {
    entity_id: &'a str,
    version: u64,
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated_before: Option<u64>,
    state: &'a RawValue,
    token: String,
}

impl State {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let connection = Connection::open(context).await?;
        let state = connection.state(self.request()).await?;
        let json: &RawValue = serde_json::from_slice(&state.json)
            .map_err(|e| Failure::failed(format!("the server's state of {} is no JSON: {e}", self.entity)))?;
        let truncated = state.truncated_before > Version::ZERO;
        if state.events == 0 && !truncated {
            found(&connection, &self.entity).await?;
        }
        let mut out = Out::new(context.output);
        match context.output {
            Format::Json => out.object(&Shown {
                entity_id: &self.entity,
                version: state.version.get(),
                events: state.events,
                truncated_before: truncated.then(|| state.truncated_before.get()),
                state: json,
                token: state.token.to_string(),
            })?,
            Format::Table => {
                let events = if state.events == 1 { "event" } else { "events" };
                let (version, count) = (state.version, state.events);
                out.line(match (count, truncated) {
                    (0, true) => format!("{}: nothing is left of what was known then", self.entity),
                    _ => format!("{} at version {version} ({count} {events})", self.entity),
                })?;
                if truncated {
                    out.line(erased(state.truncated_before))?;
                }
                out.line(pretty(json)?)?;
            }
        }
        out.finish()
    }

    fn request(&self) -> Request {
        let mut request = Request::of(&self.entity).reducer(self.reducer.into());
        if let Some(moment) = &self.as_of {
            request = request.as_of(moment.clone());
        }
        match self.occurred_until {
            Some(time) => request.occurred_until(time),
            None => request,
        }
    }
}

fn pretty(json: &RawValue) -> Outcome<String> {
    let value: serde_json::Value = serde_json::from_str(json.get())
        .map_err(|e| Failure::failed(format!("cannot show the state: {e}")))?;
    Ok(format!("{value:#}"))
}
