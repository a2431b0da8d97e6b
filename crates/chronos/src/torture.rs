//! A campaign against a cluster of one's own: faults every few seconds while events go in, and afterwards the count of
//! what was lost.
//!
//! It is part of the binary and not of a test crate, because whoever considers trusting a store should be able to break it
//! on his own machine with nothing but the program he would run. It touches only processes and networks that it made.

pub(crate) mod campaign;
pub(crate) mod damage;
pub(crate) mod fault;
pub(crate) mod load;
pub(crate) mod report;
pub(crate) mod steady;
