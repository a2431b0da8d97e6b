//! The columns of a part, and how each is written.
