//! Events as rows of Arrow arrays, and back.
