//! Pages that were read and checked, kept within a bound of bytes.
