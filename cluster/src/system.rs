//! The cluster's own data: who its members are, how it is set, and where its groups have been.
//!
//! It is event-sourced on the store it describes: one entity, `cluster` of the tenant `$system`, in a partition of its own
//! that every node holds a replica of. A change is one event ([`Change`]), appended on condition that nothing has changed
//! since it was decided on, so that rules are checked against the very state they change. The entity's version is the
//! *epoch*. Every node folds the events as they are applied to its replica ([`State`]), and asks nobody.
//!
//! | question | module |
//! |---|---|
//! | what can change, and how is it written? | [`change`] |
//! | what follows from all changes? | [`state`] |
//! | which changes are allowed? | [`rules`] |
//! | how do they get into the log and out of it? | [`ledger`] |
//! | what is asked of whoever may write? | [`ask`] |

mod ask;
mod change;
mod ledger;
mod rules;
mod state;
mod token;

pub(crate) use ask::{Ask, decode_done, encode_done};
pub(crate) use change::{Change, Entrant};
pub(crate) use ledger::{Ledger, NotWritten};
pub(crate) use rules::{Decided, Newcomer};
pub(crate) use state::{Placed, State, odd};
pub(crate) use token::TokenHash;
