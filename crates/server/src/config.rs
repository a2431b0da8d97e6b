//! What an operator may decide, as a TOML file and as plain values.

mod compaction;
mod membership;
mod scrub;
mod small;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use chronos_domain::limits::PARTITIONS;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::Limits;
use crate::telemetry::Log;

pub use compaction::Compaction;
pub use membership::{DEFAULT_ADMIN_PORT, DEFAULT_PEER_PORT, Membership, Tls};
pub use scrub::Scrub;
pub use small::Small;

/// How one server runs. A key that is not known is refused with its name, so that a typing error cannot pass for a
/// decision.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data directory; everything the node keeps is below it.
    pub data: PathBuf,
    /// Where gRPC and HTTP are served, both on this one port; see [`Config::listen`] for what holds otherwise.
    pub listen: Option<SocketAddr>,
    /// Rows of log files, each with one writer thread and one fdatasync for all partitions that write to it.
    /// May be changed at any restart.
    pub lanes: u8,
    /// Bytes of one log file.
    pub segment_bytes: u64,
    /// Memory for events that are not in parts yet, all partitions together; what does not fit is read from the log.
    pub cache_bytes: u64,
    /// Memory for pages of parts that are read again, all partitions together.
    pub parts_cache_bytes: u64,
    /// When and how fast events go from the log into parts.
    pub compaction: Compaction,
    /// How damage on disk is looked for.
    pub scrub: Scrub,
    /// How the node belongs to a cluster.
    pub cluster: Membership,
    /// Bounds on what callers may ask.
    pub limits: Limits,
    /// What the server writes to its standard error.
    pub log: Log,
    /// May be written down, as 32, and never changed.
    pub partitions: Partitions,
    /// Never in a file; see there.
    #[serde(skip)]
    pub small: Option<Small>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::new(),
            listen: None,
            lanes: 1,
            segment_bytes: 64 << 20,
            cache_bytes: 512 << 20,
            parts_cache_bytes: 128 << 20,
            compaction: Compaction::default(),
            scrub: Scrub::default(),
            cluster: Membership::default(),
            limits: Limits::default(),
            log: Log::default(),
            partitions: Partitions,
            small: None,
        }
    }
}

/// The port a server listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 7400;

impl Config {
    /// Reads a TOML text. Keys that are absent keep their defaults.
    ///
    /// # Errors
    /// With the line and what to write there instead.
    pub fn from_toml(text: &str) -> Result<Self, Invalid> {
        let config = Self::parse(text)?;
        config.check()?;
        Ok(config)
    }

    /// As [`Config::from_toml`], for who puts other things in the place of what is written there before it is used.
    ///
    /// # Errors
    /// Those of a single key; relations between several are left to [`Config::check`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        toml::from_str(text).map_err(|error| Invalid(error.to_string()))
    }

    /// Where gRPC and HTTP are served.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)))
    }

    /// Checks the relations between the values, wherever they came from.
    ///
    /// # Errors
    /// With the key and what to write there instead.
    pub fn check(&self) -> Result<(), Invalid> {
        let lanes_max = PARTITIONS + 1;
        if self.lanes == 0 || self.lanes > lanes_max {
            return invalid(format!("lanes is {}; give 1 to {lanes_max}", self.lanes));
        }
        let given = self.segment_bytes;
        let fits = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&given);
        if !fits || !given.is_multiple_of(SEGMENT_BYTES_STEP) {
            return invalid(format!(
                "segment_bytes is {given}; give a multiple of {SEGMENT_BYTES_STEP} from {SEGMENT_BYTES_MIN} to \
                 {SEGMENT_BYTES_MAX}"
            ));
        }
        within("parts_cache_bytes", self.parts_cache_bytes, PARTS_CACHE_BYTES_MIN..=PARTS_CACHE_BYTES_MAX)?;
        self.compaction.check()?;
        self.scrub.check()?;
        self.cluster.check()?;
        self.limits.check()
    }

    /// Lowers the number of connections to what a process can hold that may open `files` files, with a warning.
    ///
    /// # Errors
    /// If hardly any connection would be left; says which limit to raise, and how far.
    pub fn fit_open_files(&mut self, files: u64) -> Result<(), Invalid> {
        let (wanted, allowed) = (self.limits.connections_max, self.limits.connections_within(files)?);
        if allowed < wanted {
            tracing::warn!(
                "limits.connections_max is {wanted}, but the process may open only {files} files: at most {allowed} \
                 connections are accepted at once; raise the limit of open files (ulimit -n, LimitNOFILE=)"
            );
            self.limits.connections_max = allowed;
        }
        Ok(())
    }
}

/// One entry must fit: the largest block behind a full load of smaller ones.
const SEGMENT_BYTES_MIN: u64 = 32 << 20;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
const SEGMENT_BYTES_STEP: u64 = 4096;
/// One page of each kind that a read goes through must fit beside another.
const PARTS_CACHE_BYTES_MIN: u64 = 16 << 20;
const PARTS_CACHE_BYTES_MAX: u64 = 1 << 40;

/// The configuration cannot be used; says which key, and what to give instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {0}")]
pub struct Invalid(pub String);

fn invalid(text: String) -> Result<(), Invalid> {
    Err(Invalid(text))
}

/// Whether the value of a key lies within its range.
fn within(key: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), Invalid> {
    if range.contains(&value) {
        return Ok(());
    }
    invalid(format!("{key} is {value}; give {} to {}", range.start(), range.end()))
}

/// The number of partitions: 32, for the life of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partitions;

impl<'de> Deserialize<'de> for Partitions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fixed;
        impl Visitor<'_> for Fixed {
            type Value = Partitions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "the number {PARTITIONS}")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Partitions, E> {
                if number == i64::from(PARTITIONS) {
                    return Ok(Partitions);
                }
                Err(E::custom(format!(
                    "partitions is {number}, but every cluster has {PARTITIONS} for life: which partition owns an \
                     entity follows from that number, so another one would lose sight of stored events; remove the \
                     key"
                )))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Partitions, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
        deserializer.deserialize_any(Fixed)
    }
}

impl Serialize for Partitions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PARTITIONS.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Config::from_toml(text).expect_err("must be refused").to_string()
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::from_toml("").unwrap(), Config::default());
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn the_smallest_segment_holds_the_largest_entry() {
        const OTHERS_AND_NAMES: usize = 2 << 20;
        let log = chronos_wal::Config {
            segment_bytes: SEGMENT_BYTES_MIN,
            ..chronos_wal::Config::new("/data/wal".into(), 1)
        };
        assert!(log.payload_bytes_max() >= chronos_block::BLOCK_BYTES_MAX + OTHERS_AND_NAMES);
    }

    #[test]
    fn every_key_can_be_written() {
        let text = r#"
            data = "/var/lib/chronos"
            listen = "0.0.0.0:7500"
            lanes = 4
            segment_bytes = 33554432
            cache_bytes = 1000000
            parts_cache_bytes = 20000000
            partitions = 32
            [compaction]
            background = false
            bytes_per_second = 2000000
            wal_segments_max = 16
            debt_events_max = 200000
            debt_bytes_max = 100000000
            [scrub]
            background = false
            period_s = 3600
            bytes_per_second_max = 1000000
            [limits]
            deadline_max_ms = 30000
            [cluster]
            id = "01890a5d-ac96-774b-bcce-b302099a8057"
            [log]
            format = "json"
            filter = "debug"
        "#;
        let config = Config::from_toml(text).unwrap();
        assert_eq!(config.listen().port(), 7500);
        assert_eq!(Config::default().listen(), ([127, 0, 0, 1], DEFAULT_PORT).into());
        assert_eq!((config.lanes, config.segment_bytes, config.cache_bytes), (4, 32 << 20, 1_000_000));
        assert_eq!(config.parts_cache_bytes, 20_000_000);
        let compaction = Compaction {
            background: false,
            bytes_per_second: 2_000_000,
            wal_segments_max: 16,
            debt_events_max: 200_000,
            debt_bytes_max: 100_000_000,
        };
        assert_eq!(config.compaction, compaction);
        assert_eq!(
            config.scrub,
            Scrub { background: false, period_s: 3600, bytes_per_second_max: 1_000_000 }
        );
        assert_eq!(config.cluster.id, Some(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057));
        assert_eq!(config.limits.deadline_max_ms, 30_000);
        assert_eq!(config.limits.deadline_default_ms, Limits::default().deadline_default_ms);
        assert_eq!(config.log.filter, "debug");
    }

    #[test]
    fn another_number_of_partitions_is_refused_with_the_reason() {
        for number in ["31", "33", "0", "-1", "64"] {
            let why = refusal(&format!("partitions = {number}"));
            assert!(why.contains(number) && why.contains("for life"), "{why}");
        }
        assert!(refusal("partitions = \"32\"").contains("the number 32"));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        assert!(refusal("lane = 2").contains("lane"));
        assert!(refusal("[limits]\nstream_max = 2").contains("stream_max"));
        assert!(refusal("[small]\ncut_events = 2").contains("small"), "that is for simulations");
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        for (text, key) in [
            ("lanes = 0", "lanes"),
            ("lanes = 34", "lanes"),
            ("segment_bytes = 33550336", "segment_bytes"),
            ("segment_bytes = 33554433", "segment_bytes"),
            ("parts_cache_bytes = 1000", "parts_cache_bytes"),
            ("[compaction]\nbytes_per_second = 0", "compaction.bytes_per_second"),
            ("[compaction]\nwal_segments_max = 1", "compaction.wal_segments_max"),
            ("[compaction]\ndebt_events_max = 0", "compaction.debt_events_max"),
            ("[compaction]\ndebt_bytes_max = 0", "compaction.debt_bytes_max"),
            ("[scrub]\nperiod_s = 0", "scrub.period_s"),
            ("[scrub]\nbytes_per_second_max = 0", "scrub.bytes_per_second_max"),
            ("cluster = \"x\"", "cluster"),
            ("listen = \"nowhere\"", "listen"),
            ("[limits]\ndeadline_default_ms = 60001", "deadline_default_ms"),
            ("[limits]\nsession_appends_max = 0", "session_appends_max"),
            ("[log]\nformat = \"xml\"", "format"),
        ] {
            let why = refusal(text);
            assert!(why.contains(key), "{text}: {why}");
        }
    }

    #[test]
    fn limits_that_http_2_cannot_keep_are_refused_with_value_and_range() {
        for (key, value, range) in [
            ("connections_max", 0, "1 to 1048576"),
            ("connections_max", i64::MAX, "1 to 1048576"),
            ("streams_per_connection_max", 0, "1 to 1048576"),
            ("stream_window_bytes", 0, "1 to 2147483647"),
            ("stream_window_bytes", 1 << 31, "1 to 2147483647"),
            ("connection_window_bytes", 65_534, "65535 to 2147483647"),
            ("connection_window_bytes", 1 << 31, "65535 to 2147483647"),
            ("session_appends_max", 0, "1 to 1048576"),
            ("frame_bytes_max", 16_383, "16384 to 16777215"),
            ("frame_bytes_max", 16_777_216, "16384 to 16777215"),
        ] {
            let why = refusal(&format!("[limits]\n{key} = {value}"));
            let wanted = format!("limits.{key} is {value}; give {range}");
            assert!(why.contains(&wanted), "{why}");
        }
    }

    #[test]
    fn limits_at_the_ends_of_their_ranges_are_taken() {
        let least = "connections_max = 1\nstreams_per_connection_max = 1\nstream_window_bytes = 1\n\
                     connection_window_bytes = 65535\nframe_bytes_max = 16384";
        let most = "connections_max = 1048576\nstreams_per_connection_max = 1048576\n\
                    stream_window_bytes = 2147483647\nconnection_window_bytes = 2147483647\n\
                    frame_bytes_max = 16777215";
        for limits in [least, most] {
            Config::from_toml(&format!("[limits]\n{limits}")).unwrap();
        }
    }

    #[test]
    fn connections_are_lowered_to_what_the_open_files_allow() {
        let mut config = Config::default();
        config.fit_open_files(u64::MAX).unwrap();
        assert_eq!(config, Config::default());
        config.fit_open_files(1024).unwrap();
        assert_eq!(config.limits.connections_max, 768);
        assert!(config.fit_open_files(256).is_err());
    }
}
