//! A partition's directory of parts.
