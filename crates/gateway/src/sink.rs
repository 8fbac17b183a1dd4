//! Where frames go. Nothing here knows where they come from.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls, Statement};

use crate::source::Frame;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that has vanished without a word is given up after this long; the frames are sent again.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// Stores frames of one stream.
pub trait Sink {
    /// Stores the frames in order, all or none, and returns when they are safe. Sending a frame again must do no harm:
    /// after [`SinkError::Lost`] nobody knows whether it was stored.
    ///
    /// # Errors
    /// Says what to do about the same frames: send them again, wait, or give up.
    fn send(&mut self, frames: &[Frame]) -> Result<(), SinkError>;
}

/// Why frames were not (or perhaps not) stored.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The connection broke, or the server is going down or coming up. Send again.
    #[error("{0}")]
    Lost(String),
    /// The queue is full. Send again when there may be room.
    #[error("{0}")]
    Full(String),
    /// Sending again would not help.
    #[error("{0}")]
    Refused(String),
}

/// Takes all of a batch in one statement, hence in one transaction, in the order of the arrays.
const INGEST: &str = "SELECT camcount.ingest_frame(p_camera_id => $1, p_stream_id => $2, \
    p_frame_timestamp => frame.taken_at, p_frame_number => frame.number, p_image => frame.image, \
    p_metadata => frame.metadata) \
    FROM unnest($3::timestamptz[], $4::bigint[], $5::bytea[], $6::jsonb[]) \
    AS frame(taken_at, number, image, metadata)";

/// Calls `camcount.ingest_frame` for each frame of one camera's stream.
pub struct DatabaseSink {
    config: Config,
    camera_id: String,
    stream_id: String,
    connection: Option<(Client, Statement)>,
}

impl DatabaseSink {
    /// Connects, and checks that frames can be ingested there.
    ///
    /// # Errors
    /// When the server cannot be reached or the extension is not there; nothing is tried again here, so that a
    /// wrong address is told at once.
    pub fn connect(mut config: Config, camera_id: &str, stream_id: &str) -> Result<Self, SinkError> {
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("camcount-gateway");
        }
        let connection = Some(open(&config)?);
        Ok(Self { config, camera_id: camera_id.into(), stream_id: stream_id.into(), connection })
    }

    fn ingest(&mut self, frames: &[Frame]) -> Result<usize, postgres::Error> {
        let (client, statement) = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(open_raw(&self.config)?),
        };
        let times: Vec<DateTime<Utc>> = frames.iter().map(|frame| frame.timestamp).collect();
        let numbers: Vec<i64> = frames.iter().map(|frame| frame.number).collect();
        let images: Vec<&[u8]> = frames.iter().map(|frame| frame.image.as_slice()).collect();
        let metadata: Vec<&serde_json::Value> = frames.iter().map(|frame| &frame.metadata).collect();
        let rows = client
            .query(&*statement, &[&self.camera_id, &self.stream_id, &times, &numbers, &images, &metadata])?;
        let mut acknowledged = 0;
        for row in &rows {
            acknowledged += usize::from(row.try_get::<_, Option<&str>>(0)?.is_some());
        }
        Ok(acknowledged)
    }
}

impl Sink for DatabaseSink {
    fn send(&mut self, frames: &[Frame]) -> Result<(), SinkError> {
        match self.ingest(frames) {
            Ok(acknowledged) if acknowledged == frames.len() => Ok(()),
            Ok(acknowledged) => Err(SinkError::Refused(format!(
                "camcount.ingest_frame acknowledged {acknowledged} of {} frames; is it the extension's own function?",
                frames.len()
            ))),
            Err(error) => {
                let failure = classify(&error);
                if matches!(failure, SinkError::Lost(_)) {
                    self.connection = None;
                }
                Err(failure)
            }
        }
    }
}

fn open(config: &Config) -> Result<(Client, Statement), SinkError> {
    open_raw(config).map_err(|error| classify(&error))
}

fn open_raw(config: &Config) -> Result<(Client, Statement), postgres::Error> {
    let mut client = config.connect(NoTls)?;
    let statement = client.prepare(INGEST)?;
    Ok((client, statement))
}

fn classify(error: &postgres::Error) -> SinkError {
    let told = describe(error);
    match error.code() {
        Some(state) if *state == SqlState::CONFIGURATION_LIMIT_EXCEEDED => SinkError::Full(told),
        Some(state) if passes_by_itself(state) => SinkError::Lost(told),
        Some(_) => SinkError::Refused(told),
        None if error.is_closed() || has_io_cause(error) => SinkError::Lost(told),
        None => SinkError::Refused(told),
    }
}

/// Failures of the moment rather than of the request: a connection that broke (class 08), a server that goes down,
/// comes up or has no room, and transactions that the server asks to be tried again.
fn passes_by_itself(state: &SqlState) -> bool {
    state.code().starts_with("08")
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(state)
}

fn has_io_cause(error: &postgres::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The error with all that helps: the server's detail and hint and its SQLSTATE, or the system's reason.
fn describe(error: &postgres::Error) -> String {
    let Some(server) = error.as_db_error() else {
        return match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
    };
    let mut text = format!("{} (SQLSTATE {})", server.message(), server.code().code());
    let hint = server.hint().or_else(|| own_hint(server.code()));
    for (label, line) in [("detail", server.detail()), ("hint", hint)] {
        if let Some(line) = line {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {label}: {line}");
        }
    }
    text
}

fn own_hint(state: &SqlState) -> Option<&'static str> {
    [SqlState::UNDEFINED_FUNCTION, SqlState::INVALID_SCHEMA_NAME]
        .contains(state)
        .then_some("The database needs the extension: CREATE EXTENSION camcount.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_of_the_moment_are_tried_again() {
        for code in ["08000", "08003", "08006", "08P01", "57P01", "57P02", "57P03", "53300", "40001", "40P01"]
        {
            assert!(passes_by_itself(&SqlState::from_code(code)), "{code}");
        }
        for code in ["22004", "22023", "42883", "28P01", "57014", "3D000", "53100", "XX000", "53400"] {
            assert!(!passes_by_itself(&SqlState::from_code(code)), "{code}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_a_loss_and_says_so() {
        // Port 1 of the loopback interface: nobody listens there.
        let config = "host=127.0.0.1 port=1 user=nobody".parse().unwrap();
        let Err(SinkError::Lost(told)) = DatabaseSink::connect(config, "camera", "main") else {
            panic!("a refused connection must be a loss");
        };
        assert!(told.contains("refused"), "{told}");
    }

    #[test]
    fn an_encrypted_connection_is_refused_not_tried_for_ever() {
        let config = "host=127.0.0.1 port=1 user=nobody sslmode=require".parse();
        // Whatever comes first, connecting or refusing, it must not panic.
        assert!(DatabaseSink::connect(config.unwrap(), "camera", "main").is_err());
    }
}
