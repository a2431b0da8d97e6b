//! What a manifest says about a part.
