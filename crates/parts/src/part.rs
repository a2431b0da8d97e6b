//! An open part: everything a reader may ask of it.
