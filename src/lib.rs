//! camcount: people and vehicles counted by cameras, inside PostgreSQL.

::pgrx::pg_module_magic!(name, version);
