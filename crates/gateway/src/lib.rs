//! Brings frames from cameras and recordings to camcount, over an ordinary database connection.
//!
//! A [`source`] yields numbered, timestamped, encoded pictures and knows nothing of the database; a [`sink`] stores
//! them and knows nothing of where they come from; [`feed`] joins the two at the pace of [`pace`], and sees each
//! frame acknowledged.

pub mod feed;
pub mod pace;
pub mod progress;
pub mod sink;
pub mod source;
pub mod stop;
