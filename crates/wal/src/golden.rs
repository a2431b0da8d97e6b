//! Comparison with committed bytes. A fixture is never edited: a new layout is a new format with fixtures of its own.

/// Compares `bytes` with hex text, in which white space does not count.
pub(crate) fn check(golden: &str, bytes: &[u8]) {
    let golden: String = golden.split_whitespace().collect();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, golden, "the bytes differ from the committed fixture: this would be another format");
}
