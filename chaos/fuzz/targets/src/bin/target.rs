//! libFuzzer with one target, whose name the runner says.
#![no_main]
#![expect(
    clippy::disallowed_methods,
    reason = "libFuzzer's macro has a way of its own to write a file, which is not used"
)]

use chronos_fuzz_targets::campaign;

libfuzzer_sys::fuzz_target!(init: campaign::begin(), |input: &[u8]| campaign::execute(input));
