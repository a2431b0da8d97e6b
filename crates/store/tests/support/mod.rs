//! A partition on a simulated machine, and a plain account of what it must hold.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod commands;
pub(crate) mod node;
pub(crate) mod oracle;
pub(crate) mod run;
