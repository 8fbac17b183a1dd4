//! Waiting for a condition instead of for a time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const POLL_EVERY: Duration = Duration::from_millis(50);

/// Polls until `condition` holds.
///
/// # Errors
/// The condition's own error at once; or, after `timeout`, one that says what was waited for.
pub fn wait_until(what: &str, timeout: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !condition()? {
        if began.elapsed() > timeout {
            bail!("waited {} s in vain until {what}", timeout.as_secs());
        }
        thread::sleep(POLL_EVERY);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut polls = 0;
        wait_until("polled thrice", Duration::from_secs(60), || {
            polls += 1;
            Ok(polls == 3)
        })
        .unwrap();
        assert_eq!(polls, 3);
    }

    #[test]
    fn a_wait_in_vain_says_for_what() {
        let error = wait_until("pigs fly", Duration::ZERO, || Ok(false)).unwrap_err();
        assert_eq!(error.to_string(), "waited 0 s in vain until pigs fly");
    }
}
