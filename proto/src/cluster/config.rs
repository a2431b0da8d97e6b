//! What nodes are told about how to run.

use chronos_domain::Invalid;

use super::{NodeId, each, v1};
use crate::error::Failure;

/// One setting of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As in the configuration file, with its table.
    pub key: String,
    /// As JSON. What is secret is not shown.
    pub value: String,
    /// Whether it can be changed while the node runs.
    pub is_live: bool,
    /// What the node was started with, where that is something else.
    pub started_with: Option<String>,
}

impl From<Setting> for v1::Setting {
    fn from(of: Setting) -> Self {
        Self { key: of.key, value: of.value, live: of.is_live, started_with: of.started_with }
    }
}

impl From<v1::Setting> for Setting {
    fn from(message: v1::Setting) -> Self {
        Self {
            key: message.key,
            value: message.value,
            is_live: message.live,
            started_with: message.started_with,
        }
    }
}

/// All settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Which node.
    pub node: NodeId,
    /// By key, or why it did not say.
    pub settings: Result<Vec<Setting>, Failure>,
}

impl From<NodeConfig> for v1::NodeConfig {
    fn from(of: NodeConfig) -> Self {
        let node = of.node.get();
        match of.settings {
            Ok(settings) => {
                Self { node, settings: settings.into_iter().map(Into::into).collect(), failure: None }
            }
            Err(failure) => Self { node, settings: Vec::new(), failure: Some(failure.into()) },
        }
    }
}

impl TryFrom<v1::NodeConfig> for NodeConfig {
    type Error = Invalid;

    fn try_from(message: v1::NodeConfig) -> Result<Self, Invalid> {
        let settings = match message.failure {
            Some(failure) => Err(failure.try_into()?),
            None => Ok(message.settings.into_iter().map(Into::into).collect()),
        };
        Ok(Self { node: NodeId::new(message.node), settings })
    }
}

/// What a node made of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChanged {
    /// Which node.
    pub node: NodeId,
    /// What it was and what it is, as JSON, and whether the next start of the node has it, too; or why it was not changed.
    pub outcome: Result<(String, String, bool), Failure>,
}

impl From<SettingChanged> for v1::SettingChanged {
    fn from(of: SettingChanged) -> Self {
        let node = of.node.get();
        match of.outcome {
            Ok((before, after, kept)) => Self { node, before, after, kept, failure: None },
            Err(failure) => Self { node, failure: Some(failure.into()), ..Self::default() },
        }
    }
}

impl TryFrom<v1::SettingChanged> for SettingChanged {
    type Error = Invalid;

    fn try_from(message: v1::SettingChanged) -> Result<Self, Invalid> {
        let outcome = match message.failure {
            Some(failure) => Err(failure.try_into()?),
            None => Ok((message.before, message.after, message.kept)),
        };
        Ok(Self { node: NodeId::new(message.node), outcome })
    }
}

impl SettingChanged {
    /// What nodes made of a setting, out of the messages of an answer.
    ///
    /// # Errors
    /// [`Invalid`] when one of them cannot be read.
    pub fn all(messages: Vec<v1::SettingChanged>) -> Result<Vec<Self>, Invalid> {
        each(messages)
    }
}
