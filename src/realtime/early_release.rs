//! Counters that many sessions increment: a statement with an increment that is a transaction by itself lets go of its
//! locks when it is committed, and waits for the disk afterwards, before the client hears of the commit. So the next
//! session has the row while the disk is busy, and one write to disk serves several commits ("early lock release":
//! `DeWitt` et al., Implementation techniques for main memory database systems, SIGMOD 1984).
//!
//! What was confirmed to a client is on disk as ever, and whoever builds on another's increment comes after it in the
//! WAL. But others may read the increment, and what else the statement wrote, for the moment that it takes to reach
//! the disk, as they may with `synchronous_commit = off`.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use pgrx::prelude::*;

/// Where the current transaction is.
#[derive(Clone, Copy)]
enum State {
    /// It commits as the server does it.
    Ordinary,
    /// It is to release its locks early.
    Wanted,
    /// It is being committed; the setting is to be put back.
    Committing { synchronous_commit: c_int },
    /// It is committed and not on disk yet.
    Unflushed,
}

thread_local! {
    static STATE: Cell<State> = const { Cell::new(State::Ordinary) };
    static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Lets the current transaction release its locks early, where it is a statement by itself.
pub fn want() {
    // SAFETY: within a transaction; the functions live as long as the process and are registered once.
    #[allow(unsafe_code)]
    unsafe {
        if pg_sys::IsTransactionBlock() {
            return;
        }
        if !IS_REGISTERED.replace(true) {
            pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
            pg_sys::RegisterResourceReleaseCallback(Some(at_release), std::ptr::null_mut());
        }
    }
    STATE.set(State::Wanted);
}

#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    use pg_sys::XactEvent::*;
    match (event, STATE.get()) {
        (XACT_EVENT_PRE_COMMIT, State::Wanted) => put_off_flush(),
        (XACT_EVENT_COMMIT, State::Committing { synchronous_commit }) => {
            set(synchronous_commit);
            STATE.set(State::Unflushed);
        }
        (XACT_EVENT_ABORT, State::Committing { synchronous_commit }) => {
            set(synchronous_commit);
            STATE.set(State::Ordinary);
        }
        (XACT_EVENT_ABORT | XACT_EVENT_PREPARE, _) => STATE.set(State::Ordinary),
        _ => {}
    }
}

/// Nothing of the user's runs between this and the commit, and nothing else reads the setting.
fn put_off_flush() {
    // SAFETY: settings of this process, on its main thread; the names are a C string or NULL.
    #[allow(unsafe_code)]
    let waits_for_own_disk_alone = unsafe {
        pg_sys::synchronous_commit >= pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_LOCAL_FLUSH as c_int
            && (pg_sys::SyncRepStandbyNames.is_null() || *pg_sys::SyncRepStandbyNames == 0)
    };
    if !waits_for_own_disk_alone {
        STATE.set(State::Ordinary);
        return;
    }
    // SAFETY: as above.
    #[allow(unsafe_code)]
    let synchronous_commit = unsafe { pg_sys::synchronous_commit };
    set(pg_sys::SyncCommitLevel::SYNCHRONOUS_COMMIT_OFF as c_int);
    STATE.set(State::Committing { synchronous_commit });
}

fn set(synchronous_commit: c_int) {
    // SAFETY: a value of the setting.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::synchronous_commit = synchronous_commit;
    }
}

/// The last step of a commit that holds no lock any more, and of which the client has not heard.
#[pg_guard]
#[allow(unsafe_code)]
unsafe extern "C-unwind" fn at_release(
    phase: pg_sys::ResourceReleasePhase::Type,
    is_commit: bool,
    is_top_level: bool,
    _argument: *mut c_void,
) {
    let is_last = phase == pg_sys::ResourceReleasePhase::RESOURCE_RELEASE_AFTER_LOCKS;
    if is_last && is_commit && is_top_level && matches!(STATE.get(), State::Unflushed) {
        STATE.set(State::Ordinary);
        // SAFETY: the end of this process's last commit record.
        unsafe { pg_sys::XLogFlush(pg_sys::XactLastCommitEnd) }
    }
}
