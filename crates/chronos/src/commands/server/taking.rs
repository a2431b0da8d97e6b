//! Taking what an earlier process of this node may still hold, its ports and its directory: one that was killed a moment ago
//! lets go of them only when the system has done away with it, and that takes the longer the more memory it had.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

/// How long an earlier process may take to end.
const ENDING_MAX: Duration = Duration::from_secs(5);
/// How often it is seen whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Tries until nobody else has it any more, or for as long as an earlier process may take to end. The first error of that
/// kind is told, the last one given.
pub(super) async fn take<T, E: Display>(
    what: impl Display,
    is_taken: impl Fn(&E) -> bool,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let (began, mut is_told) = (Instant::now(), false);
    loop {
        match attempt().await {
            Err(error) if is_taken(&error) && began.elapsed() < ENDING_MAX => {
                if !std::mem::replace(&mut is_told, true) {
                    eprintln!(
                        "warning: {what} is taken, perhaps by a process of this node that is just ending ({error}); trying \
                         again for {} s",
                        ENDING_MAX.as_secs()
                    );
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            done => return done,
        }
    }
}

/// Whether somebody else has that port.
pub(super) fn is_port_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_taken_is_tried_again_and_what_cannot_be_had_at_all_is_not() {
        let mut tries = 0;
        let third = take(
            "it",
            |taken: &bool| *taken,
            async || {
                tries += 1;
                if tries == 3 { Ok(()) } else { Err(true) }
            },
        );
        assert_eq!(third.await, Ok(()));
        assert_eq!(tries, 3);
        let mut tries = 0;
        let never = take(
            "it",
            |taken: &bool| *taken,
            async || {
                tries += 1;
                Err::<(), _>(false)
            },
        );
        assert_eq!(never.await, Err(false));
        assert_eq!(tries, 1);
    }
}
