//! From rows to a verified part.
