//! The list of a partition's parts: the only truth about which files exist.
