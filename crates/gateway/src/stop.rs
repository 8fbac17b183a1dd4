//! A wish to end, that waits can be woken by.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Shared by whoever may wish to end and whoever has to; once set, it stays set.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<Option<i32>>, Condvar)>);

impl Stop {
    /// Is set by Ctrl-C or SIGTERM. A second signal ends the process at once.
    ///
    /// # Errors
    /// When the signals cannot be caught.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Self::default();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let setter = stop.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                if setter.signal().is_some() {
                    std::process::exit(128 + signal);
                }
                setter.set(signal);
            }
        });
        Ok(stop)
    }

    /// Wishes the end, because of this signal.
    pub fn set(&self, signal: i32) {
        let (wish, changed) = &*self.0;
        *wish.lock().unwrap_or_else(PoisonError::into_inner) = Some(signal);
        changed.notify_all();
    }

    /// The signal that asked for the end, if any has.
    pub fn signal(&self) -> Option<i32> {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this long, or until the end is wished.
    pub fn wait(&self, duration: Duration) {
        let (wish, changed) = &*self.0;
        let guard = wish.lock().unwrap_or_else(PoisonError::into_inner);
        // A poisoned lock still holds a plain value, and a shorter wait does no harm.
        let _ = changed.wait_timeout_while(guard, duration, |signal| signal.is_none());
    }
}

/// The passing of time, as far as feeding needs it.
pub trait Clock {
    /// Since the clock was made.
    fn elapsed(&self) -> Duration;

    /// Lets this much time pass, or less when the end is wished.
    fn sleep(&self, duration: Duration);

    /// Whether the end is wished.
    fn stopped(&self) -> bool;
}

/// The machine's monotonic clock.
#[derive(Debug)]
pub struct SystemClock {
    began: Instant,
    stop: Stop,
}

impl SystemClock {
    /// Starts now; its sleeps are woken by `stop`.
    pub fn new(stop: Stop) -> Self {
        Self { began: Instant::now(), stop }
    }
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        self.stop.wait(duration);
    }

    fn stopped(&self) -> bool {
        self.stop.signal().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_end_wakes_a_wait() {
        let stop = Stop::default();
        let clock = SystemClock::new(stop.clone());
        let setter = thread::spawn(move || stop.set(SIGTERM));
        clock.sleep(Duration::from_secs(600));
        assert!(clock.stopped() && clock.elapsed() < Duration::from_secs(600));
        setter.join().unwrap();
    }
}
