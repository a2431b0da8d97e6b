//! One file per command: its flags, its help, and what it does.

pub(crate) mod append;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod cluster;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod digest;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod import_git;
pub(crate) mod partitions;
pub(crate) mod prove;
pub(crate) mod read;
pub(crate) mod restore;
pub(crate) mod route;
pub(crate) mod sample;
pub(crate) mod server;
pub(crate) mod sql;
pub(crate) mod state;
pub(crate) mod stats;
pub(crate) mod torture;
pub(crate) mod truncate;
pub(crate) mod verify;
pub(crate) mod watermarks;
