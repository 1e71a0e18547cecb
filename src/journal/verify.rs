//! Reads a run directory line by line and says everything that does not fit. Changes nothing, needs no lock.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::chain::{self, Broken, Chain};
use super::frame::HEADER;
use serde::Serialize;

use super::head::{self, Slots};
use super::read::{Frames, NAME, Next};
use super::recover::{may_be_torn, name_of};
use super::run_dir::{DirError, RunDir};
use super::{evidence, os};
use crate::error::Exit;
use crate::run::event::{Event, EvidenceRef, Record};

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// The line, for the journal.
    pub line: Option<u64>,
    /// Where the line starts, in bytes.
    pub offset: u64,
    /// What was found.
    pub what: String,
}

/// What a run directory looks like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The run that the first record names.
    pub run: Option<String>,
    /// Sound records from the beginning.
    pub intact: u64,
    /// The last intact record's hash: two copies with the same one hold the same history.
    pub hash: String,
    /// Length of the journal, in bytes.
    pub bytes: u64,
    /// Up to which record the journal was durable for certain.
    pub watermark: Option<u64>,
    /// Length of an incomplete end beyond the watermark, which the next holder will keep and cut off. No damage.
    pub torn: Option<u64>,
    /// True if this account may not look into `evidence/`: a voter.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub evidence_closed: bool,
    /// Files under `evidence/` that no record names. No damage: a crash came between the two.
    pub orphans: Vec<String>,
    /// Damage, in file order.
    pub findings: Vec<Finding>,
}

impl std::fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let run = self.run.as_deref().unwrap_or("a run without a name");
        writeln!(f, "{run}: {} sound records, {} bytes", self.intact, self.bytes)?;
        if let Some(seq) = self.watermark {
            writeln!(f, "durable for certain up to record {seq}")?;
        }
        if let Some(bytes) = self.torn {
            writeln!(f, "ends in the middle of a record ({bytes} bytes, never durable): `resume` keeps and cuts it; no damage")?;
        }
        if self.evidence_closed {
            writeln!(f, "the evidence is closed to voters and was not looked at; a holder may verify it")?;
        }
        for name in &self.orphans {
            writeln!(f, "evidence {name} is named by no record; no damage")?;
        }
        for finding in &self.findings {
            let line = finding.line.map_or_else(String::new, |line| format!(":{line}"));
            writeln!(f, "damaged: {}{line} (byte {}): {}", finding.path.display(), finding.offset, finding.what)?;
        }
        write!(f, "history {}: {}", self.hash, if self.sound() { "sound" } else { "DAMAGED" })
    }
}

impl VerifyReport {
    /// True if nothing is damaged.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Verifies a run directory: every line of the journal, the watermark, the stored plan, the evidence.
///
/// # Errors
/// A file cannot be read at all. What is missing or damaged is in the report instead.
pub fn verify(dir: &Path) -> io::Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let mut named = BTreeSet::new();
    let slots = watermark(dir, &mut report)?;
    journal(dir, &slots, &mut report, &mut named)?;
    stored(dir, &mut report, &named)?;
    Ok(report)
}

fn watermark(dir: &Path, report: &mut VerifyReport) -> io::Result<Slots> {
    let path = dir.join(head::NAME);
    let slots = match head::read(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Slots([None, None]),
        slots => slots?,
    };
    report.watermark = slots.best().map(|mark| mark.seq);
    for (at, slot) in slots.0.iter().enumerate() {
        if slot.is_none() {
            let what = format!("slot {} of the watermark is bad", at + 1);
            report.findings.push(Finding { path: path.clone(), line: None, offset: (at * head::SLOT) as u64, what });
        }
    }
    Ok(slots)
}

/// Goes on after a bad line with the next one, so that each altered line is named and not only the first.
///
/// - `chain` follows the file as it is, not as it should be: after a finding it takes the next sound record as it comes.
/// - What follows a bad line cannot be held against that line's hash, only against its number.
fn journal(dir: &Path, slots: &Slots, report: &mut VerifyReport, named: &mut BTreeSet<EvidenceRef>) -> io::Result<()> {
    let path = dir.join(NAME);
    let found = |line, offset, what| Finding { path: path.clone(), line, offset, what };
    let mut file = match os::open_regular(&path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            report.findings.push(found(None, 0, "the file is missing".into()));
            return Ok(());
        }
        file => file?,
    };
    report.bytes = file.metadata()?.len();
    let clean_before = report.findings.len();
    let mut frames = Frames::new(file.try_clone()?, 0);
    let mut chain = Chain::start();
    let (mut line, mut bad_lines) = (0, 0);
    // Where the last stretch without any sound frame starts, and how many findings there were before it.
    let mut tail: Option<(u64, usize)> = None;
    loop {
        let offset = frames.offset();
        line += 1;
        let frame = match frames.next()? {
            Next::End => break,
            Next::Frame(range) => frames.bytes(range),
            Next::Bad(fault) => {
                tail.get_or_insert((offset, report.findings.len()));
                report.findings.push(found(Some(line), offset, fault.to_string()));
                bad_lines += 1;
                frames.skip_line()?;
                continue;
            }
        };
        tail = None;
        let hash = chain::hash(frame);
        let linked = chain.accept(frame);
        let record = match linked {
            Ok(record) => record,
            Err(broken) => {
                let Ok(record) = serde_json::from_slice::<Record>(&frame[HEADER..frame.len() - 1]) else {
                    report.findings.push(found(Some(line), offset, broken.to_string()));
                    bad_lines += 1;
                    continue;
                };
                let expected = chain.seq + 1 + bad_lines;
                if record.seq != expected {
                    report.findings.push(found(Some(line), offset, Broken::Seq { expected, found: record.seq }.to_string()));
                } else if bad_lines == 0 {
                    report.findings.push(found(Some(line), offset, broken.to_string()));
                }
                chain = Chain { seq: record.seq, epoch: record.epoch, hash };
                record
            }
        };
        bad_lines = 0;
        if report.findings.len() == clean_before {
            report.intact = record.seq;
            chain::text(&hash).clone_into(&mut report.hash);
        }
        if slots.0.iter().flatten().any(|mark| mark.seq == record.seq && mark.hash != hash) {
            let what = format!("record {} is not the one that was published", record.seq);
            report.findings.push(found(Some(line), offset, what));
        }
        match record.event {
            Event::RunStarted { run, .. } if record.seq == 1 => report.run = Some(run),
            Event::AttemptStarted { before_image: Some(reference), .. } | Event::EvidenceStored { evidence: reference, .. } => {
                named.insert(reference);
            }
            _ => {}
        }
    }

    if let Some((start, findings)) = tail
        && findings == clean_before
        && Some(report.intact) >= report.watermark
        && may_be_torn(&mut file, start)?
    {
        report.findings.truncate(findings);
        report.torn = Some(report.bytes - start);
    }
    if Some(chain.seq) < report.watermark {
        let what = format!("record {} was durable and is not there", chain.seq + 1);
        report.findings.push(found(Some(line), frames.offset(), what));
    }
    Ok(())
}

/// The plan as stored, the evidence, and the directory's name.
fn stored(dir: &Path, report: &mut VerifyReport, named: &BTreeSet<EvidenceRef>) -> io::Result<()> {
    let general = |path: &Path, what: String| Finding { path: path.to_owned(), line: None, offset: 0, what };
    let id = name_of(dir);
    if let Some(run) = report.run.as_ref().filter(|run| **run != id) {
        let what = format!("the journal is of run `{run}`, but lies in the directory of run `{id}`");
        report.findings.push(general(dir, what));
    }
    let run_dir = RunDir::untrusted(dir);
    for error in [run_dir.sources().err(), run_dir.resolved().err()].into_iter().flatten() {
        // What cannot be read is not known to be damaged.
        let error = match error {
            DirError::Io { source, path } if Exit::of_io(&source) != Exit::Damaged => {
                return Err(io::Error::new(source.kind(), format!("{}: {source}", path.display())));
            }
            error => error,
        };
        report.findings.push(general(dir, error.to_string()));
    }
    let entries = match fs::read_dir(dir.join(evidence::NAME)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            report.evidence_closed = true;
            return Ok(());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        entries => Some(entries?),
    };
    let store = run_dir.evidence();
    for reference in named {
        if let Err(error) = store.load(reference) {
            let path = dir.join(evidence::NAME).join(&reference.sha256);
            if Exit::of_io(&error) != Exit::Damaged {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
            report.findings.push(general(&path, format!("evidence ({}): {error}", reference.kind)));
        }
    }
    for entry in entries.into_iter().flatten() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !named.iter().any(|reference| reference.sha256 == name) {
            report.orphans.push(name);
        }
    }
    report.orphans.sort();
    Ok(())
}
