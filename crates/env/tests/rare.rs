//! Marks of rare events where nobody counts, and where a process does: alone in a process of its own, because who counts
//! is known to all of it.

use std::cell::Cell;
use std::thread;

use chronos_env::sim::World;
use chronos_env::{coverage, sometimes};

#[test]
#[expect(clippy::disallowed_methods, reason = "marks are passed on real threads")]
fn a_condition_is_looked_at_while_somebody_counts_and_a_process_counts_all_its_threads_and_no_world() {
    let looked = Cell::new(0);
    let mark = || {
        sometimes!("wal.torn_tail_cut", {
            looked.set(looked.get() + 1);
            true
        });
    };

    // Nobody counts.
    mark();
    assert_eq!(looked.get(), 0);

    // A world does, as long as it runs.
    let world = World::new(1);
    world.run(async { mark() });
    mark();
    assert_eq!((looked.get(), world.rare()["wal.torn_tail_cut"]), (1, 1));

    // The process does from now on.
    let counts = coverage::of_process();
    assert!(counts.all().is_empty(), "what happened before was not counted: {:?}", counts.all());
    let count = || (0..1000).for_each(|_| sometimes!("wal.torn_tail_cut"));
    let threads: Vec<_> = (0..4).map(|_| thread::spawn(count)).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    world.run(async { mark() });
    assert_eq!((counts.all()["wal.torn_tail_cut"], world.rare()["wal.torn_tail_cut"]), (4000, 2));
    assert_eq!(coverage::of_process().all(), counts.all(), "who asks again sees the same counts");
}
