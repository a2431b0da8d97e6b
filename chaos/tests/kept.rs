//! Plans that once found something find nothing any more.

use chronos_chaos::campaign::kept;
use chronos_chaos::trial::{Ask, Place, Runner};

#[test]
fn nothing_that_was_found_once_is_found_again() {
    let runner = Runner::new(env!("CARGO_BIN_EXE_chronos-chaos"));
    let dir = tempfile::tempdir().unwrap();
    for kept in kept().unwrap() {
        let record = runner.run(&kept.plan, &Place::new(dir.path(), &kept.name()), &Ask::default()).unwrap();
        assert_eq!(record.failure, None, "{} once found: {}", kept.name(), kept.found.unwrap_or_default());
    }
}
