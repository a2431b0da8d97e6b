//! What can be wrong with a part, and which file it is.
