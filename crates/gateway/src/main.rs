//! `camcount-gateway`: the command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use camcount_gateway::feed::{FeedOptions, Summary, feed};
use camcount_gateway::pace::Rate;
use camcount_gateway::progress::ConsoleProgress;
use camcount_gateway::sink::DatabaseSink;
use camcount_gateway::source::{self, FrameRate, SourceOptions};
use camcount_gateway::stop::{Stop, SystemClock};
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use clap::{Args, Parser, Subcommand};
use postgres::Config;

const MAX_ID_CHARS: usize = 100;

/// Brings frames to camcount, over an ordinary database connection.
#[derive(Parser)]
#[command(name = "camcount-gateway", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Feed a video file or a folder of images (.jpg, .jpeg, .png) into the queue of one stream.
    ///
    /// Frames are numbered from 1 and timed from --start by the source's frame rate. Each is acknowledged once; after a
    /// lost connection those in doubt are sent again, which does no harm.
    Feed(FeedArgs),
}

#[derive(Args)]
struct FeedArgs {
    /// Database, as a URL or as libpq's key=value pairs [default: from PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD].
    /// The connection is not encrypted.
    #[arg(long, env = "CAMCOUNT_URL", hide_env_values = true)]
    url: Option<String>,
    /// Camera that the frames are of.
    #[arg(long, value_parser = id)]
    camera: String,
    /// Stream of that camera.
    #[arg(long, value_parser = id, default_value = "main")]
    stream: String,
    /// How fast: `realtime`, `max` (as fast as the queue takes them), or a number of frames a second.
    #[arg(long, default_value = "realtime")]
    rate: Rate,
    /// When the first frame was taken, such as 2026-05-01T08:00:00+07:00 [default: now].
    #[arg(long)]
    start: Option<DateTime<Utc>>,
    /// Frame rate of the source, in place of its own, such as 25 or 30000/1001.
    #[arg(long)]
    fps: Option<FrameRate>,
    /// Stop after so many frames.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// JPEG quantiser for frames of a video: 2 is best, 31 is smallest. Images of a folder are sent as they are.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=31))]
    quality: u8,
    /// Give up when the connection has been lost for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    retry_for: u64,
    /// Say nothing but errors.
    #[arg(long)]
    quiet: bool,
    /// Video file or folder of images.
    source: PathBuf,
}

fn main() -> ExitCode {
    let Command::Feed(args) = Cli::parse().command;
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("camcount-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: FeedArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals().context("cannot catch signals")?;
    let start = args.start.unwrap_or_else(|| Utc::now().trunc_subsecs(6));
    let options = SourceOptions { start, rate: args.fps, quality: args.quality };
    let mut source = source::open(&args.source, options)?;
    let mut sink = DatabaseSink::connect(database(args.url.as_deref())?, &args.camera, &args.stream)
        .context("cannot feed this database")?;

    let expected = [source.frame_count(), args.limit].into_iter().flatten().min();
    let mut progress = ConsoleProgress::new(expected, args.quiet);
    let clock = SystemClock::new(stop.clone());
    let retry_for = Duration::from_secs(args.retry_for);
    let options = FeedOptions { rate: args.rate, limit: args.limit, retry_for };
    let outcome = feed(source.as_mut(), &mut sink, &clock, &mut progress, options);
    progress.finish();

    let summary = outcome?;
    if !args.quiet {
        println!("{}", describe(&summary, start));
    }
    let signal = stop.signal().filter(|_| summary.stopped);
    Ok(signal.map_or(ExitCode::SUCCESS, |signal| ExitCode::from(u8::try_from(128 + signal).unwrap_or(1))))
}

fn describe(summary: &Summary, start: DateTime<Utc>) -> String {
    let how = if summary.stopped { "stopped after" } else { "fed" };
    let rates = summary.volume.rates(summary.elapsed);
    let start = start.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let (frames, seconds) = (summary.volume.frames, summary.elapsed.as_secs_f64());
    format!("{how} {frames} frames in {seconds:.1} s ({rates}); frame 1 is of {start}")
}

/// The database to feed. The address is never echoed: it may hold a password.
fn database(url: Option<&str>) -> anyhow::Result<Config> {
    match url {
        Some(url) => url.parse().context("the database address (--url or CAMCOUNT_URL) is not valid"),
        None => database_from_environment(|name| std::env::var(name).ok().filter(|value| !value.is_empty())),
    }
}

fn database_from_environment(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Config> {
    let mut config = Config::new();
    config.host(variable("PGHOST").as_deref().unwrap_or("localhost"));
    if let Some(port) = variable("PGPORT") {
        match port.parse() {
            Ok(port) => config.port(port),
            Err(_) => bail!("PGPORT is {port:?}; give a number from 1 to 65535"),
        };
    }
    if let Some(user) = variable("PGUSER") {
        config.user(&user);
    }
    if let Some(password) = variable("PGPASSWORD") {
        config.password(password);
    }
    if let Some(database) = variable("PGDATABASE") {
        config.dbname(&database);
    }
    Ok(config)
}

fn id(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=MAX_ID_CHARS => Ok(text.into()),
        length => Err(format!("an id has 1 to {MAX_ID_CHARS} characters, not {length}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn libpq_variables_give_the_database() {
        let set = |name: &str| match name {
            "PGHOST" => Some("db.example".into()),
            "PGPORT" => Some("5433".into()),
            "PGDATABASE" => Some("site".into()),
            _ => None,
        };
        let config = database_from_environment(set).unwrap();
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!(config.get_dbname(), Some("site"));
        let wrong = database_from_environment(|name| (name == "PGPORT").then(|| "x".into()));
        assert!(wrong.unwrap_err().to_string().contains("PGPORT"));
    }

    #[test]
    fn ids_are_checked_before_anything_is_sent() {
        assert!(id("cam-1").is_ok() && id(&"é".repeat(100)).is_ok());
        assert!(id("").is_err() && id(&"x".repeat(101)).is_err());
    }

    #[test]
    fn a_bad_address_is_not_echoed() {
        let error = database(Some("postgres://user:secret@host:port/db")).unwrap_err();
        assert!(!format!("{error:#}").contains("secret"), "{error:#}");
    }
}
