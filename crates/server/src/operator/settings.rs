//! What this node was told about how to run, and the little of it that can be changed while it does.
//!
//! A live change holds until the next start: flags, environment and file are the operator's, and this process does not
//! write them. What is changed here is only what cannot make a node fail or disagree with others: what is logged, and how
//! fast work in the background goes.

use std::sync::Arc;

use chronos_app::{Class, Error, Reason};
use chronos_cluster::Groups;
use chronos_proto::cluster::Setting;
use parking_lot::Mutex;
use serde_json::Value;

use crate::config::Config;
use crate::telemetry;

/// Settings that can be changed while a node runs.
const LIVE: [&str; 4] = [TRANSFER, "compaction.bytes_per_second", LOG_FILTER, "scrub.bytes_per_second_max"];
/// How fast parts are sent to other nodes.
const TRANSFER: &str = "cluster.transfer_bytes_per_second";
/// What is logged.
pub(crate) const LOG_FILTER: &str = "log.filter";
/// What is shown of a secret that there is.
const HIDDEN: &str = "(hidden)";

/// The settings of a node. Clones are the same settings.
#[derive(Clone)]
pub(crate) struct Settings(Arc<Shared>);

struct Shared {
    started: Config,
    now: Mutex<Config>,
}

impl Settings {
    /// Those of a node that starts.
    pub(crate) fn new(started: Config) -> Self {
        Self(Arc::new(Shared { now: Mutex::new(started.clone()), started }))
    }

    /// As they are now.
    pub(crate) fn now(&self) -> Config {
        self.0.now.lock().clone()
    }

    /// All of them, by key.
    pub(super) fn list(&self) -> Vec<Setting> {
        let (now, started) = (flat(&self.now()), flat(&self.0.started));
        let each = now.into_iter().zip(started).map(|((key, value), (_, was))| Setting {
            is_live: LIVE.contains(&key.as_str()),
            started_with: (was != value).then(|| was.to_string()),
            value: value.to_string(),
            key,
        });
        each.collect()
    }

    /// Changes one, and says what it was, what it is, and that the next start does not have it.
    ///
    /// # Errors
    /// When there is no such setting, it needs a restart, or the value is none for it; nothing has changed.
    pub(super) fn set(
        &self,
        key: &str,
        value: &str,
        groups: &Groups,
    ) -> Result<(String, String, bool), Error> {
        let mut now = self.0.now.lock();
        let before = self.may_set(&now, key)?;
        let mut wanted = now.clone();
        match key {
            LOG_FILTER => wanted.log.filter = text(value),
            TRANSFER => wanted.cluster.transfer_bytes_per_second = number(key, value)?,
            "compaction.bytes_per_second" => wanted.compaction.bytes_per_second = number(key, value)?,
            "scrub.bytes_per_second_max" => wanted.scrub.bytes_per_second_max = number(key, value)?,
            _ => unreachable!("what is live is listed above"),
        }
        wanted.check().map_err(|invalid| refused(key, invalid.to_string()))?;
        match key {
            LOG_FILTER => {
                telemetry::set_filter(&wanted.log.filter).map_err(|error| refused(key, error.to_string()))?;
            }
            _ => {
                groups.set_compaction_rate(wanted.compaction.bytes_per_second);
                groups.set_scrub_rate(wanted.scrub.bytes_per_second_max);
                groups.set_transfer_rate(wanted.cluster.transfer_bytes_per_second);
            }
        }
        let after = value_of(&wanted, key).unwrap_or(Value::Null);
        tracing::info!(key, %before, %after, "a setting was changed until the next start");
        *now = wanted;
        Ok((before.to_string(), after.to_string(), false))
    }

    /// The value of a setting that can be changed.
    fn may_set(&self, now: &Config, key: &str) -> Result<Value, Error> {
        match value_of(now, key) {
            Some(value) if LIVE.contains(&key) => Ok(value),
            Some(_) => Err(refused(
                key,
                format!(
                    "{key} is read when a node starts: change it in its file, environment or flags, and start it again. \
                     While nodes run these can be changed: {}",
                    changeable()
                ),
            )),
            None => {
                let text = format!(
                    "there is no setting {key:?}; while nodes run these can be changed: {}; all others shows `chronos cluster \
                     config get`",
                    changeable()
                );
                Err(Error::not_found(text).with("key", key))
            }
        }
    }
}

/// What can be changed while nodes run: on each of them, and by the cluster.
fn changeable() -> String {
    format!("{}, cluster.replication", LIVE.join(", "))
}

fn refused(key: &str, text: String) -> Error {
    Error::new(Class::Rejected, Reason::Invalid, text).with("key", key)
}

/// A text, as JSON or as it stands.
fn text(value: &str) -> String {
    match serde_json::from_str(value) {
        Ok(Value::String(text)) => text,
        _ => value.to_owned(),
    }
}

fn number(key: &str, value: &str) -> Result<u64, Error> {
    value.parse().map_err(|_| refused(key, format!("{key} is {value:?}; give a whole number")))
}

fn value_of(config: &Config, key: &str) -> Option<Value> {
    flat(config).into_iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// Every setting with its table before its name, in order; secrets without what they are.
fn flat(config: &Config) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let tree = serde_json::to_value(config).expect("a configuration has text keys and plain values");
    flatten(String::new(), tree, &mut all);
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

fn flatten(key: String, value: Value, all: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(key, member, all);
            }
        }
        value if is_secret(&key) && !value.is_null() => all.push((key, HIDDEN.into())),
        value => all.push((key, value)),
    }
}

fn is_secret(key: &str) -> bool {
    key.rsplit('.').next().is_some_and(|name| name.contains("token") || name.contains("secret"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_listed_once_by_its_key_in_the_file() {
        let settings = Settings::new(Config::default()).list();
        let keys: Vec<&str> = settings.iter().map(|setting| setting.key.as_str()).collect();
        for key in ["lanes", "listen", "limits.deadline_max_ms", "scrub.period_s", "log.format", "partitions"]
        {
            assert!(keys.contains(&key), "{key} is missing in {keys:?}");
        }
        assert!(keys.is_sorted());
        let live: Vec<&str> = settings.iter().filter(|one| one.is_live).map(|one| one.key.as_str()).collect();
        assert_eq!(live, LIVE);
        assert!(settings.iter().all(|setting| setting.started_with.is_none()));
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut all = Vec::new();
        let tree = serde_json::json!({"cluster": {"token": "s3cret", "name": "db1"}, "join_token": null});
        flatten(String::new(), tree, &mut all);
        assert!(all.contains(&("cluster.token".to_owned(), HIDDEN.into())), "{all:?}");
        assert!(all.contains(&("join_token".to_owned(), Value::Null)), "{all:?}");
        assert!(!format!("{all:?}").contains("s3cret"));
    }

    #[test]
    fn what_needs_a_restart_or_does_not_exist_is_refused_with_what_to_do() {
        let settings = Settings::new(Config::default());
        let why = |key| settings.may_set(&settings.now(), key).unwrap_err().message;
        assert!(why("lanes").contains("start it again") && why("lanes").contains("log.filter"));
        assert!(why("lane").contains("chronos cluster config get") && why("lane").contains("log.filter"));
        assert_eq!(settings.may_set(&settings.now(), LOG_FILTER).unwrap(), "info");
    }
}
