//! jsonb arguments: read when their content matters, passed on without being written anew.

use std::ffi::CString;

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::direct_function_call_as_datum;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::nullable::Nullable;
use pgrx::pg_sys::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use serde_json::Value;

use crate::error::{Error, Result};

type Function = unsafe fn(pg_sys::FunctionCallInfo) -> Datum;

/// A jsonb argument as Postgres holds it, valid for as long as the call. `pgrx::JsonB` panics at what serde_json does
/// not read: numbers beyond a double, and arrays in arrays 128 deep.
#[derive(Clone, Copy)]
pub struct Jsonb(Datum);

impl Jsonb {
    /// The value, read where it lies.
    ///
    /// # Errors
    /// A text that is not in UTF-8, in a database of another encoding.
    pub fn value(&self, parameter: &'static str) -> Result<camcount_jsonb::Value<'_>> {
        let value = camcount_jsonb::Value::new(self.bytes()).map_err(unreadable(parameter))?;
        if !is_utf8() {
            // All of it, so that nothing turns out to be unreadable later.
            value.to::<Value>().map_err(unreadable(parameter))?;
        }
        Ok(value)
    }

    /// The value, taken out of the database's form.
    ///
    /// # Errors
    /// A number beyond the range of a double, or nesting deeper than 127 levels.
    pub fn read(self, parameter: &'static str) -> Result<Value> {
        self.value(parameter)?.to().map_err(unreadable(parameter))
    }

    /// Whether it is `{}`, as it is stored: nothing is read for that.
    pub fn is_empty_object(&self) -> bool {
        matches!(self.value(""), Ok(camcount_jsonb::Value::Object(object)) if object.is_empty())
    }

    /// The value as Postgres stores it, without its length word.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the datum is a varlena; what it is brought into memory as lives as long as the call.
        #[allow(unsafe_code)]
        unsafe {
            let whole = pg_sys::pg_detoast_datum(self.0.cast_mut_ptr());
            pgrx::varlena::varlena_to_byte_slice(whole)
        }
    }

    /// A list or an object that is part of another value, by its [`bytes`](camcount_jsonb::Object::bytes), or a whole
    /// value, by its own.
    pub fn part(container: &[u8]) -> Self {
        // SAFETY: a varlena of the server's memory with the container as its content.
        #[allow(unsafe_code)]
        unsafe {
            let size = pg_sys::VARHDRSZ + container.len();
            let whole = pg_sys::palloc(size).cast::<pg_sys::varlena>();
            pgrx::varlena::set_varsize_4b(whole, size as i32);
            let content = whole.cast::<u8>().add(pg_sys::VARHDRSZ);
            std::ptr::copy_nonoverlapping(container.as_ptr(), content, container.len());
            Self(Datum::from(whole))
        }
    }

    /// A value of the extension's own making.
    pub fn of(value: &Value) -> Self {
        // Serialised JSON has no NUL: it is escaped.
        let text = CString::new(value.to_string()).unwrap_or_default();
        // SAFETY: jsonb_in takes a C string, which is JSON.
        #[allow(unsafe_code)]
        let datum = unsafe { direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(text.as_ptr().into())]) };
        datum.map_or(Self(Datum::null()), Self)
    }

    /// The value in memory, uncompressed: to be taken before many parts of it are.
    pub fn fetched(self) -> Self {
        // SAFETY: the datum is a varlena.
        #[allow(unsafe_code)]
        Self(Datum::from(unsafe { pg_sys::pg_detoast_datum(self.0.cast_mut_ptr()) }))
    }

    /// An object without a key.
    pub fn without(self, key: &str) -> Self {
        key.into_datum().and_then(|key| self.call(pg_sys::jsonb_delete, key)).unwrap_or(self)
    }

    /// Both objects in one; where both have a key, `other`'s value stays.
    pub fn overlaid_with(self, other: Self) -> Self {
        self.call(pg_sys::jsonb_concat, other.0).unwrap_or(other)
    }

    fn call(self, function: Function, argument: Datum) -> Option<Self> {
        // SAFETY: each of the functions takes a jsonb and what its caller above gives it, and returns a jsonb or NULL.
        #[allow(unsafe_code)]
        unsafe { direct_function_call_as_datum(function, &[Some(self.0), Some(argument)]) }.map(Self)
    }

    /// Bytes of the value before compression.
    pub fn size(self) -> usize {
        // SAFETY: the datum is a varlena, perhaps compressed or out of line.
        #[allow(unsafe_code)]
        unsafe {
            pg_sys::toast_raw_datum_size(self.0)
        }
    }
}

fn is_utf8() -> bool {
    // SAFETY: set once when the process connects.
    #[allow(unsafe_code)]
    unsafe {
        pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_UTF8 as i32
    }
}

/// What cannot be read of an argument.
pub fn unreadable(parameter: &'static str) -> impl Fn(camcount_jsonb::Error) -> Error {
    move |error| Error::invalid(parameter, format!("cannot be read as JSON: {error}"))
}

impl FromDatum for Jsonb {
    #[allow(unsafe_code)]
    unsafe fn from_polymorphic_datum(datum: Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        (!is_null).then_some(Self(datum))
    }

    /// A copy, which outlives the statement that it is a result of.
    #[allow(unsafe_code)]
    unsafe fn from_datum_in_memory_context(
        mut context: PgMemoryContexts,
        datum: Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<Self> {
        // SAFETY: the datum is a varlena where it is not NULL.
        (!is_null).then(|| unsafe {
            context.switch_to(|_| Self(Datum::from(pg_sys::pg_detoast_datum_copy(datum.cast_mut_ptr()))))
        })
    }
}

impl IntoDatum for Jsonb {
    fn into_datum(self) -> Option<Datum> {
        Some(self.0)
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: the argument's datum outlives the call, and the value does not.
#[allow(unsafe_code)]
unsafe impl<'fcx> ArgAbi<'fcx> for Jsonb {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        let index = arg.index();
        // SAFETY: `FromDatum` takes any datum of the declared type.
        unsafe { arg.unbox_arg_using_from_datum() }
            .unwrap_or_else(|| error!("argument {index} must not be null"))
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<Self> {
        // SAFETY: `FromDatum` takes any datum of the declared type.
        unsafe { arg.unbox_arg_using_from_datum().into() }
    }
}

// SAFETY: the datum is a varlena in the caller's memory.
#[allow(unsafe_code)]
unsafe impl BoxRet for Jsonb {
    unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        // SAFETY: of the type that the function is declared to return.
        unsafe { call.return_raw_datum(self.0) }
    }
}

// SAFETY: the SQL type is the one that the datum has.
#[allow(unsafe_code)]
unsafe impl SqlTranslatable for Jsonb {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Jsonb);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: std::result::Result<SqlMappingRef, ArgumentError> =
        Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: std::result::Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
