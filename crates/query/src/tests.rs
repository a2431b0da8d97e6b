//! The engine over plain vectors, against answers worked out by hand and by loops.

mod fact;
mod generated;
mod guard;
mod limits;
mod plain;
mod questions;
