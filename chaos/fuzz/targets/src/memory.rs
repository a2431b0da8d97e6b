//! A limit on what may be allocated while something runs.
//!
//! It is the allocator that refuses, so that a claimed size is caught even where nothing is ever written to what was
//! allocated; the process aborts then, as it does wherever memory runs out.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Takes the limit back however a run ends.
struct Limit;

impl Drop for Limit {
    fn drop(&mut self) {
        ALLOCATOR.set_limit(usize::MAX).expect("nothing is more than everything");
    }
}

/// Runs `work`, during which the whole process may hold at most `bytes` more than it does now. For one at a time.
pub fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let limit = ALLOCATOR.allocated().saturating_add(bytes);
    ALLOCATOR.set_limit(limit).expect("the limit is above what is allocated");
    let _limit = Limit;
    work()
}

/// What the process holds now, in bytes.
pub fn held() -> usize {
    ALLOCATOR.allocated()
}
