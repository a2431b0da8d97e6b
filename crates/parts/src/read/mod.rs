//! The Parquet half of a part, read through checked bytes.
