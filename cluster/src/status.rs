//! How every replica of every node does, as told once a second.
//!
//! Each node asks every other one for a [`NodeReport`] and writes down on its [`Board`] what it said last and when. So
//! every node sees the whole cluster, a second or two late, also when there is no leader anywhere.

mod board;
mod poll;
mod report;
mod wire;

pub use board::DOWN_AFTER;
pub(crate) use board::{Board, Heard, leader_in_term, leader_of};
pub(crate) use poll::Poll;
pub(crate) use report::{NodeReport, Report, own};
pub(crate) use wire::encode;
