//! `chronos append`

use std::io::Read;

use bytes::Bytes;
use chronos_client::{Append as Request, Appended, Draft};
use chronos_domain::{
    ContentType, EntityId, EventId, EventType, Expectation, Invalid, Tag, Timestamp, Version,
};
use chronos_env::Env;
use clap::Args;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::ingest::same::trim;
use crate::moment;
use crate::output::{Format, Out};
use crate::table::{Align, Table};

const EXAMPLES: &str = "\
What --expect may be:
  any      always passes (the default)
  none     the entity has no event yet: create once
  N        the entity is at version N: nobody was faster (optimistic concurrency)
  exists   the entity has at least one event

Examples:
  chronos append order-7 order.placed '{\"total\":42}' --expect none
  chronos append order-7 order.paid '{\"paid\":true}' --expect 1 --tag vip --tag region:eu
  chronos append order-7 note.added - < note.json
  chronos append logo-1 image.uploaded - --content-type image/png < logo.png

White space around the JSON is not stored. JSON is nested 127 levels deep at most.

An event id is looked up in the partition of the event's entity: the same id under an entity of another partition is \
not noticed. The token names that partition alone: with --as-of it shows the others empty; for a moment of all of them \
there is `chronos watermarks --token`.

Acknowledged means written and synced to disk. Exit code 4: a rule said no, nothing was written. Exit code 5: unknown; \
repeat the command with the --id that is printed: if it was stored, it is not stored again.";

/// Append one event to an entity
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Append {
    /// What the event is about
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// What kind of fact it states, such as order.placed
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// The fact, as JSON; - reads standard input
    #[arg(value_name = "JSON")]
    payload: String,
    /// What the entity's version must be: any, none, exists or a number
    #[arg(long, default_value = "any", value_name = "EXPECTATION", value_parser = expectation)]
    expect: Expectation,
    /// The event's UUID; the same id never is stored twice [default: a new one]
    #[arg(long, value_name = "UUID", value_parser = EventId::parse)]
    id: Option<EventId>,
    /// A label, for filters and conditions; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// A JSON object about the event: correlation_id, causation_id, actor, anything
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// When it happened, if not just now: 2024-05-01T12:00:00Z, 2024-05-01, or microseconds
    #[arg(long, value_name = "TIME", value_parser = moment::parse_time, allow_hyphen_values = true)]
    occurred_at: Option<Timestamp>,
    /// How to read the payload, when it is not JSON
    #[arg(long, default_value = "application/json", value_name = "TYPE")]
    content_type: String,
}

fn expectation(text: &str) -> Result<Expectation, String> {
    match text {
        "any" => Ok(Expectation::Any),
        "none" => Ok(Expectation::NoEntity),
        "exists" => Ok(Expectation::Exists),
        number => match number.parse() {
            Ok(version) => Ok(Expectation::Exact(Version::new(version))),
            Err(_) => Err("give any, none, exists, or the version the entity must have".to_owned()),
        },
    }
}

impl Append {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let expect = self.expect;
        let draft = self.draft()?;
        let event_id = draft.event_id;
        let entity_id = draft.entity_id.clone();
        let request = Request::of(vec![draft]).and(&entity_id).expect(expect);
        let connection = Connection::open(context).await?;
        let appended = connection.append(request).await.map_err(|why| doubt(&why, event_id))?;
        print(context.output, event_id, &entity_id, &appended)
    }

    /// A broken rule is a broken rule, whoever notices it.
    fn draft(self) -> Outcome<Draft> {
        let rejected = |invalid: Invalid| Failure::new(Exit::Rejected, invalid);
        let content_type = ContentType::parse(&self.content_type).map_err(rejected)?;
        let mut payload = read_payload(self.payload)?;
        if content_type.is_json() {
            payload = trim(&payload);
        }
        if content_type == ContentType::json() {
            check_json("payload", &payload)?;
        }
        let metadata = Bytes::from(self.metadata.unwrap_or_default());
        if !metadata.is_empty() {
            check_json("metadata", &metadata)?;
        }
        let metadata = trim(&metadata);
        if self.id.is_some_and(EventId::is_nil) {
            let text = "event_id is the nil UUID, which names nothing; give another or leave --id out";
            return Err(Failure::new(Exit::Rejected, text));
        }
        let tags: Result<_, _> = self.tags.iter().map(|tag| Tag::parse(tag)).collect();
        Ok(Draft {
            event_id: self.id.unwrap_or_else(new_id),
            entity_id: EntityId::parse(&self.entity).map_err(rejected)?,
            event_type: EventType::parse(&self.event_type).map_err(rejected)?,
            content_type,
            payload,
            metadata,
            tags: tags.map_err(rejected)?,
            occurred_at: self.occurred_at,
        })
    }
}

fn read_payload(argument: String) -> Outcome<Bytes> {
    if argument != "-" {
        return Ok(argument.into());
    }
    let mut payload = Vec::new();
    let read = std::io::stdin().read_to_end(&mut payload);
    read.map_err(|e| Failure::failed(format!("cannot read standard input: {e}")))?;
    Ok(payload.into())
}

fn check_json(field: &str, text: &[u8]) -> Outcome {
    let checked = serde_json::from_slice::<IgnoredAny>(text);
    checked.map(|_| ()).map_err(|e| Failure::new(Exit::Rejected, format!("{field} is not valid JSON: {e}")))
}

fn new_id() -> EventId {
    let env = Env::real();
    let millis = u64::try_from(env.clock.wall_micros() / 1000).unwrap_or_default();
    let random = u128::from(env.entropy.u64()) << 64 | u128::from(env.entropy.u64());
    EventId::new_v7(millis, random)
}

/// Only who knows the id can find out.
fn doubt(why: &Failure, event_id: EventId) -> Failure {
    match why.exit() {
        Exit::Unknown => {
            Failure::new(Exit::Unknown, format!("{why}; repeat the command with --id {event_id} to find out"))
        }
        _ => why.clone(),
    }
}

fn print(format: Format, event_id: EventId, entity_id: &EntityId, appended: &Appended) -> Outcome {
    let (version, position) = (appended.versions[0], appended.position(0));
    let mut out = Out::new(format);
    match format {
        Format::Json => out.object(&json!({
            "event_id": event_id.to_string(),
            "entity_id": entity_id.as_str(),
            "version": version.get(),
            "position": position.get(),
            "partition": appended.partition.get(),
            "recorded_at": appended.recorded_at.get(),
            "deduplicated": appended.deduplicated,
            "durability": appended.durability,
            "token": appended.token.to_string(),
        }))?,
        Format::Table => {
            let mut table = Table::new(&[
                ("ENTITY", Align::Left),
                ("VERSION", Align::Right),
                ("PARTITION", Align::Right),
                ("POSITION", Align::Right),
                ("EVENT ID", Align::Left),
                ("DURABILITY", Align::Left),
                ("TOKEN", Align::Left),
            ]);
            table.row([
                entity_id.to_string(),
                version.to_string(),
                appended.partition.to_string(),
                position.to_string(),
                event_id.to_string(),
                appended.durability.clone(),
                appended.token.to_string(),
            ]);
            out.table(&table)?;
            if appended.deduplicated {
                out.line("this event was there already; these are its original numbers")?;
            }
        }
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_have_names_and_numbers() {
        assert_eq!(expectation("any"), Ok(Expectation::Any));
        assert_eq!(expectation("none"), Ok(Expectation::NoEntity));
        assert_eq!(expectation("0"), Ok(Expectation::NoEntity));
        assert_eq!(expectation("exists"), Ok(Expectation::Exists));
        assert_eq!(expectation("12"), Ok(Expectation::Exact(Version::new(12))));
        for text in ["", "-1", "some", "1.5"] {
            assert!(expectation(text).is_err(), "{text}");
        }
    }
}
