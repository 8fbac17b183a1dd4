//! Threads that leave signals to the process's own.

use nix::sys::signal::{SigSet, SigmaskHow};

/// Runs `body` with every signal blocked for this thread, so that threads it starts never take a signal meant for the
/// process they live in. The mask is put back however `body` ends.
pub fn without_signals<R>(body: impl FnOnce() -> R) -> R {
    let _mask = Mask(SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).ok());
    body()
}

/// The mask to put back.
struct Mask(Option<SigSet>);

impl Drop for Mask {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // It fails only for an unknown `how`.
            let _ = before.thread_set_mask();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::thread;

    use nix::sys::signal::Signal;

    use super::*;

    fn mask() -> SigSet {
        SigSet::thread_get_mask().unwrap()
    }

    #[test]
    fn a_thread_started_inside_takes_none_and_the_mask_is_put_back_even_after_a_panic() {
        let before = mask();
        assert!(!before.contains(Signal::SIGTERM));
        let inside = without_signals(|| thread::spawn(mask)).join().unwrap();
        assert!(inside.contains(Signal::SIGTERM) && inside.contains(Signal::SIGUSR1));
        assert_eq!(mask(), before);
        assert!(catch_unwind(|| without_signals(|| panic!("on purpose"))).is_err());
        assert_eq!(mask(), before);
    }
}
