//! Whole processes, measured: wall time, processor time and peak memory of a command and everything it waited for.
//!
//! The system adds up what *all* children of a process used, so each command gets a parent of its own: this program
//! again, as `--measure`, which starts one command, waits for it and prints four numbers.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

/// The first argument of the measuring parent.
pub const MEASURE: &str = "--measure";

/// What a command took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// From before its start until after its end.
    pub wall: Duration,
    /// On processors, for user and system, with its children.
    pub cpu: Duration,
    /// The largest of its processes at its peak, in KiB.
    pub peak_kib: u64,
}

/// Runs a command in `folder` and measures it. What it prints goes nowhere, what it complains about to this terminal.
///
/// # Errors
/// It could not be run, or did not end with 0.
pub fn measure(folder: &Path, argv: &[&str]) -> io::Result<Took> {
    let output = Command::new(std::env::current_exe()?)
        .arg(MEASURE)
        .args(argv)
        .current_dir(folder)
        .env("RELEVO_MACHINE", folder.join("machine"))
        // Cargo's own jobs are none of make's business.
        .env_remove("MAKEFLAGS")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut numbers = said.split_ascii_whitespace().map_while(|word| word.parse::<u64>().ok());
    match (output.status.success(), numbers.next(), numbers.next(), numbers.next()) {
        (true, Some(wall), Some(cpu), Some(peak_kib)) => {
            Ok(Took { wall: Duration::from_micros(wall), cpu: Duration::from_micros(cpu), peak_kib })
        }
        _ => Err(io::Error::other(format!("`{}` failed: {}", argv.join(" "), said.trim()))),
    }
}

/// The measuring parent.
pub fn parent(argv: &[String]) -> ExitCode {
    match one(argv) {
        Ok(took) => {
            println!("{} {} {}", took.wall.as_micros(), took.cpu.as_micros(), took.peak_kib);
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn one(argv: &[String]) -> io::Result<Took> {
    let (program, arguments) = argv.split_first().ok_or_else(|| io::Error::other("no command"))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let from = Instant::now();
    let status = command.status()?;
    let wall = from.elapsed();
    if !status.success() {
        return Err(io::Error::other(status.to_string()));
    }
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    Ok(Took {
        wall,
        cpu: Duration::from_micros(cpu.unsigned_abs()),
        // macOS counts bytes.
        peak_kib: used.max_rss().unsigned_abs() / if cfg!(target_vendor = "apple") { 1024 } else { 1 },
    })
}

/// The mean time of appending 256 bytes and making them durable, on the disk of `folder`.
///
/// # Errors
/// The file cannot be written.
pub fn probe_sync(folder: &Path, times: u32) -> io::Result<Duration> {
    let path = folder.join("sync-probe");
    let mut file = File::options().create(true).append(true).open(&path)?;
    // What others left unwritten in the file system's own journal is not to be paid here.
    file.sync_all()?;
    let from = Instant::now();
    for _ in 0..times {
        file.write_all(&[b'x'; 256])?;
        file.sync_data()?;
    }
    let mean = from.elapsed() / times;
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(mean)
}
