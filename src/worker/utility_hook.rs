//! Makes way for statements that want a database for themselves: workers are connections, and a database with
//! connections can be neither dropped nor copied nor renamed.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::time::{Duration, Instant};

use pgrx::prelude::*;

use super::registry;

/// Longest wait for workers to leave; a model run ends within it.
const PATIENCE: Duration = Duration::from_secs(5);

#[allow(unsafe_code)]
static mut PREVIOUS: pg_sys::ProcessUtility_hook_type = None;

/// Installs the hook. Called once, during preload.
#[allow(unsafe_code)]
pub fn install() {
    // SAFETY: the postmaster is single-threaded and nothing else writes these.
    unsafe {
        PREVIOUS = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

#[pg_guard]
#[allow(unsafe_code, clippy::too_many_arguments)]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the server passes a valid statement; the node's tag says what it is.
    unsafe {
        let node = (*statement).utilityStmt;
        let name = wanted_alone(node);
        if !name.is_null() {
            let database = pg_sys::get_database_oid(name, true);
            if may_clear(database) {
                clear_of_workers(database);
            }
        }
        let (query_tree, target) = (read_only_tree, destination);
        match PREVIOUS {
            Some(previous) => pg_sys::ffi::pg_guard_ffi_boundary(|| {
                previous(statement, query, query_tree, context, parameters, environment, target, completion);
            }),
            None => pg_sys::standard_ProcessUtility(
                statement,
                query,
                query_tree,
                context,
                parameters,
                environment,
                target,
                completion,
            ),
        }
    }
}

/// The database that the statement needs without connections; null for other statements.
#[allow(unsafe_code)]
unsafe fn wanted_alone(node: *mut pg_sys::Node) -> *const c_char {
    // SAFETY: the tag says what the node is; its names end with a zero byte.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_DropdbStmt => (*node.cast::<pg_sys::DropdbStmt>()).dbname,
            pg_sys::NodeTag::T_CreatedbStmt => template(node.cast()),
            pg_sys::NodeTag::T_RenameStmt => {
                let rename = node.cast::<pg_sys::RenameStmt>();
                let is_database = (*rename).renameType == pg_sys::ObjectType::OBJECT_DATABASE;
                if is_database { (*rename).subname } else { ptr::null() }
            }
            _ => ptr::null(),
        }
    }
}

/// The database that CREATE DATABASE copies, where the statement names it.
#[allow(unsafe_code)]
unsafe fn template(statement: *mut pg_sys::CreatedbStmt) -> *const c_char {
    // SAFETY: the options are a list of DefElem.
    unsafe {
        let options = pgrx::PgList::<pg_sys::DefElem>::from_pg((*statement).options);
        let mut templates = options
            .iter_ptr()
            .filter(|option| CStr::from_ptr((**option).defname) == c"template" && !(**option).arg.is_null());
        templates.next().map_or(ptr::null(), |option| pg_sys::defGetString(option).cast_const())
    }
}

/// Only the owner of the database moves its workers.
#[allow(unsafe_code)]
unsafe fn may_clear(database: pg_sys::Oid) -> bool {
    // SAFETY: catalog look-ups in the statement's transaction.
    unsafe { database != pg_sys::InvalidOid && owns_database(database) }
}

#[allow(unsafe_code)]
unsafe fn owns_database(database: pg_sys::Oid) -> bool {
    // SAFETY: as above.
    unsafe {
        #[cfg(feature = "pg15")]
        return pg_sys::pg_database_ownercheck(database, pg_sys::GetUserId());
        #[cfg(not(feature = "pg15"))]
        pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, pg_sys::GetUserId())
    }
}

#[allow(unsafe_code)]
fn clear_of_workers(database: pg_sys::Oid) {
    let workers = registry::bar(database);
    for pid in &workers {
        // SAFETY: a signal to a worker of ours, which ends on SIGTERM.
        unsafe { libc::kill(*pid as c_int, libc::SIGTERM) };
    }
    let deadline = Instant::now() + PATIENCE;
    while workers.iter().any(|pid| registry::is_alive(*pid)) && Instant::now() < deadline {
        // SAFETY: an ordinary wait in a backend.
        unsafe { pg_sys::pg_usleep(10_000) };
        check_for_interrupts!();
    }
}
