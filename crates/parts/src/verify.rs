//! Whether a part is what its manifest says it is.
