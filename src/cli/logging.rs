//! The developers' log: a file in the run directory, as text or JSON. Never the record of what happened; that is the
//! journal. A log that cannot be written does not hold up a run.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::journal::run_dir::{LOG, open_log};

/// Arguments about the log.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// The developers' log, instead of the account's own under `log` in the run directory
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// How the log is written
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// What is logged, such as `debug` or `relevo::run=trace`
    #[arg(long, value_name = "FILTER", default_value = "info", env = "RELEVO_LOG")]
    pub log_level: String,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line per message.
    Text,
    /// A JSON object per message.
    Json,
}

/// Libraries that see messages in the clear, and tell them at their finer levels: they are never asked to.
const QUIET: &[&str] = &["ldap3", "rustls", "sspi", "picky", "picky_krb"];

/// Writes as long as that works. The first failure is told, the others are not: a full disk must not fill the screen, too.
struct Log {
    path: PathBuf,
    file: File,
    told: bool,
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.file.write_all(bytes)
            && !std::mem::replace(&mut self.told, true)
        {
            eprintln!("warning: {}: {error}; the log is incomplete, the run goes on", self.path.display());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts the log. Once per process; later calls change nothing.
pub fn start(args: &LogArgs, run_dir: &Path) {
    let mut filter = EnvFilter::try_new(&args.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    for quiet in QUIET {
        if let Ok(directive) = format!("{quiet}=warn").parse() {
            filter = filter.add_directive(directive);
        }
    }
    let opened = match &args.log {
        Some(path) => open(path).map_err(|error| (path.clone(), error)),
        None => open_log(run_dir).map_err(|error| (run_dir.join(LOG), error)),
    };
    let path = args.log.clone().unwrap_or_else(|| run_dir.join(LOG));
    let file = match opened {
        Ok(file) => file,
        Err((path, error)) => {
            eprintln!("warning: no log: {}: {error}", path.display());
            return;
        }
    };
    let log = Log { path, file, told: false };
    let builder = tracing_subscriber::fmt().with_writer(Mutex::new(log)).with_ansi(false).with_env_filter(filter);
    // Already started: the first log stays.
    let _ = match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// A file that the person named: followed wherever it leads.
fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
