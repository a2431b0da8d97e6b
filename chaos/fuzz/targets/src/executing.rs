//! One execution, and whether anything broke in it.
//!
//! A panic counts wherever it happened: in a task or a thread whose end somebody else would pass over, too.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::Target;

static EXECUTES: AtomicBool = AtomicBool::new(false);
static FIRST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Runs one input; one at a time.
///
/// # Errors
/// What panicked first, and where.
pub fn checked(target: &Target, input: &[u8]) -> Result<(), String> {
    watch_panics();
    FIRST_PANIC.lock().take();
    EXECUTES.store(true, Ordering::SeqCst);
    let ended = panic::catch_unwind(AssertUnwindSafe(|| target.execute(input)));
    EXECUTES.store(false, Ordering::SeqCst);
    match FIRST_PANIC.lock().take() {
        Some(panic) => Err(panic),
        None => ended.map_err(|_| "it unwound without a panic".to_owned()),
    }
}

fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if EXECUTES.load(Ordering::SeqCst) {
                FIRST_PANIC.lock().get_or_insert_with(|| panic.to_string());
            } else {
                usual(panic);
            }
        }));
    });
}
