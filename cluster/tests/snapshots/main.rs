//! Followers that are too far behind for entries take over parts: over the real transport, in a simulated world.

mod catching_up;
mod crashes;
mod node;
mod resetting;
