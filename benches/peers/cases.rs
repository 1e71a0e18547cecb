//! The cases, and the rounds in which they take turns.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::journal;
use super::measure::{Took, measure, probe_sync};
use super::parse::PARSE;
use super::plans::{self, Does, Graph};
use super::table::{Line, heading, median};

const RELEVO: &str = env!("CARGO_BIN_EXE_relevo");

/// How much is measured.
struct Size {
    rounds: usize,
    small: usize,
    large: usize,
    chain: usize,
    wordy: usize,
    records: u64,
    syncs: u32,
}

const FULL: Size = Size { rounds: 5, small: 1_000, large: 10_000, chain: 200, wordy: 100_000, records: 1_000_000, syncs: 100 };
const QUICK: Size = Size { rounds: 1, small: 100, large: 200, chain: 20, wordy: 200, records: 600, syncs: 5 };

/// What the command line says.
struct Wish {
    quick: bool,
    rounds: Option<usize>,
    cases: String,
}

impl Wish {
    fn of(arguments: &[String]) -> Self {
        // Cargo says `--bench` when it is a benchmark that is wanted, and nothing when it only tests that it works.
        let mut wish = Wish { quick: !arguments.iter().any(|word| word == "--bench"), rounds: None, cases: String::new() };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => wish.quick = true,
                "--full" => wish.quick = false,
                "--rounds" => wish.rounds = words.next().and_then(|number| number.parse().ok()),
                word if word.starts_with("--") => {}
                word => wish.cases.push_str(word),
            }
        }
        wish
    }

    fn wants(&self, case: char) -> bool {
        self.cases.is_empty() || self.cases.contains(case)
    }
}

/// Measures what is wished for and prints the table.
pub fn run(arguments: &[String]) -> ExitCode {
    let wish = Wish::of(arguments);
    let mut size = if wish.quick { QUICK } else { FULL };
    size.rounds = wish.rounds.unwrap_or(size.rounds).max(1);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for the benchmark");
    match rounds(folder.path(), &wish, &size) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where everything lies, and what the disk did meanwhile.
struct Bench<'a> {
    folder: &'a Path,
    syncs: u32,
    /// The disk, whenever it was asked.
    disk: Vec<Duration>,
    runs: usize,
}

fn rounds(folder: &Path, wish: &Wish, size: &Size) -> io::Result<()> {
    let mut bench = Bench { folder, syncs: size.syncs, disk: Vec::new(), runs: 0 };
    bench.prepare(wish, size)?;
    let mut lines = lines();
    let mut per_round = Vec::new();
    for round in 1..=size.rounds {
        eprintln!("round {round} of {} …", size.rounds);
        let from = bench.disk.len();
        bench.round(wish, size, &mut lines)?;
        bench.probe()?;
        let disk = &bench.disk[from..];
        per_round.push(disk.iter().map(Duration::as_secs_f64).sum::<f64>() / f64::from(u32::try_from(disk.len()).unwrap_or(1)));
    }
    report(wish, size, &lines, &mut per_round);
    Ok(())
}

fn lines() -> Vec<Line> {
    vec![
        Line::of_time('a', "`true`, layers / `make -j8`, phony", 1.4),
        Line::of_time('A', "the same, processor time", 1.4),
        Line::of_time('b', "`noop`, layers / one sync per step", 1.0),
        Line::of_time('c', "`noop`, short chain / one sync per step", 1.5),
        Line::of_time('C', "`noop`, long chain / one sync per step", 1.5),
        Line::of_time('d', "`noop`, per step: many / few", 1.1),
        Line::of_time('D', "`true`, per step: many / few", 1.1),
        Line::of_time('e', "`check` of a large plan / parsing it", 1.4),
        Line::of_memory('E', "the same, peak memory", 1.5),
        Line::of_time('f', "resume at nine tenths / `make -j8` with stamps", 1.5),
        Line::of_time('g', "a long journal opened / five seconds", 1.0),
    ]
}

fn note(lines: &mut [Line], case: char, ours: Duration, theirs: Duration) {
    lines.iter_mut().filter(|line| line.case == case).for_each(|line| line.times(ours, theirs));
}

fn times(each: Duration, steps: usize) -> Duration {
    each * u32::try_from(steps).unwrap_or(u32::MAX)
}

fn per(whole: Duration, steps: usize) -> Duration {
    whole / u32::try_from(steps).unwrap_or(u32::MAX)
}

/// This program, for the parts of a case that are a process of their own.
fn this() -> io::Result<String> {
    Ok(std::env::current_exe()?.to_string_lossy().into_owned())
}

impl Bench<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn prepare(&self, wish: &Wish, size: &Size) -> io::Result<()> {
        let (small, large) = (size.small, size.large);
        fs::write(self.file("true-small.yaml"), plans::plan(Graph::Layers, Does::True, small))?;
        fs::write(self.file("true-large.yaml"), plans::plan(Graph::Layers, Does::True, large))?;
        fs::write(self.file("noop-small.yaml"), plans::plan(Graph::Layers, Does::Nothing, small))?;
        fs::write(self.file("noop-large.yaml"), plans::plan(Graph::Layers, Does::Nothing, large))?;
        fs::write(self.file("chain-short.yaml"), plans::plan(Graph::Chain, Does::Nothing, size.chain))?;
        fs::write(self.file("chain-long.yaml"), plans::plan(Graph::Chain, Does::Nothing, small))?;
        fs::write(self.file("wordy.yaml"), plans::wordy_plan(size.wordy))?;
        fs::write(self.file("phony.mk"), plans::phony_makefile(Graph::Layers, small))?;
        if wish.wants('f') {
            fs::create_dir(self.file("stamps"))?;
            fs::write(self.file("stamps/Makefile"), plans::stamp_makefile(Graph::Layers, small))?;
            measure(&self.file("stamps"), &["make", "-s", "-j8"])?;
            let plan = plans::plan_with_checkpoint(Graph::Layers, Does::True, small, small / 10 * 9);
            fs::write(self.file("halt.yaml"), plan)?;
            measure(self.folder, &[RELEVO, "run", "halt.yaml", "--until", "halt", "--runs", "halted", "--run-id", "halted"])?;
        }
        if wish.wants('g') {
            measure(self.folder, &[&this()?, journal::MAKE, "many", &size.records.to_string()])?;
        }
        Ok(())
    }

    /// Asks the disk, and waits with that until what others wrote is out of the way.
    fn probe(&mut self) -> io::Result<Duration> {
        let mean = probe_sync(self.folder, self.syncs)?;
        self.disk.push(mean);
        Ok(mean)
    }

    fn run(&mut self, plan: &str) -> io::Result<Took> {
        self.runs += 1;
        let (runs, id) = (format!("runs-{}", self.runs), format!("r{}", self.runs));
        let took = measure(self.folder, &[RELEVO, "run", plan, "--runs", &runs, "--run-id", &id])?;
        fs::remove_dir_all(self.file(&runs))?;
        Ok(took)
    }

    /// A run, and what its steps would have cost with one sync each, by the disk just before and just after.
    fn run_beside_syncs(&mut self, plan: &str, steps: usize) -> io::Result<(Took, Duration)> {
        let before = self.probe()?;
        let took = self.run(plan)?;
        let after = self.probe()?;
        Ok((took, times((before + after) / 2, steps)))
    }

    fn round(&mut self, wish: &Wish, size: &Size, lines: &mut [Line]) -> io::Result<()> {
        let (small, large) = (size.small, size.large);
        if wish.wants('a') || wish.wants('d') {
            self.probe()?;
            let ours = self.run("true-small.yaml")?;
            if wish.wants('a') {
                self.probe()?;
                let theirs = measure(self.folder, &["make", "-s", "-j8", "-f", "phony.mk"])?;
                note(lines, 'a', ours.wall, theirs.wall);
                note(lines, 'A', ours.cpu, theirs.cpu);
            }
            if wish.wants('d') {
                self.probe()?;
                let many = self.run("true-large.yaml")?;
                note(lines, 'D', per(many.wall, large), per(ours.wall, small));
            }
        }
        if wish.wants('b') || wish.wants('d') {
            let (few, syncs) = self.run_beside_syncs("noop-small.yaml", small)?;
            if wish.wants('b') {
                note(lines, 'b', few.wall, syncs);
            }
            if wish.wants('d') {
                let many = self.run("noop-large.yaml")?;
                note(lines, 'd', per(many.wall, large), per(few.wall, small));
            }
        }
        if wish.wants('c') {
            let (took, syncs) = self.run_beside_syncs("chain-short.yaml", size.chain)?;
            note(lines, 'c', took.wall, syncs);
            let (took, syncs) = self.run_beside_syncs("chain-long.yaml", small)?;
            note(lines, 'C', took.wall, syncs);
        }
        if wish.wants('e') {
            let parsing = measure(self.folder, &[&this()?, PARSE, "wordy.yaml"])?;
            let checking = measure(self.folder, &[RELEVO, "check", "wordy.yaml"])?;
            note(lines, 'e', checking.wall, parsing.wall);
            lines.iter_mut().filter(|line| line.case == 'E').for_each(|line| line.peaks(checking.peak_kib, parsing.peak_kib));
        }
        if wish.wants('f') {
            self.resume(small, lines)?;
        }
        if wish.wants('g') {
            let took = measure(self.folder, &[&this()?, journal::OPEN, "many", &size.records.to_string()])?;
            note(lines, 'g', took.wall, Duration::from_secs(5));
        }
        Ok(())
    }

    fn resume(&mut self, steps: usize, lines: &mut [Line]) -> io::Result<()> {
        copy(&self.file("halted"), &self.file("resumed"))?;
        self.probe()?;
        let ours = measure(self.folder, &[RELEVO, "resume", "halted", "--yes", "--runs", "resumed"])?;
        fs::remove_dir_all(self.file("resumed"))?;
        for stamp in plans::stamps(steps / 10 * 9..steps) {
            fs::remove_file(self.file("stamps").join(stamp))?;
        }
        self.probe()?;
        let theirs = measure(&self.file("stamps"), &["make", "-s", "-j8"])?;
        note(lines, 'f', ours.wall, theirs.wall);
        Ok(())
    }
}

/// Copies a folder with its rights; it holds files and folders only.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

fn report(wish: &Wish, size: &Size, lines: &[Line], disk: &mut [f64]) {
    println!("{}", heading());
    lines.iter().filter_map(|line| line.row(!wish.quick)).for_each(|row| println!("{row}"));
    println!();
    println!(
        "few: {} steps, many: {}, short chain: {}, long chain: {0}, large plan: {}, long journal: {} records; {} rounds",
        size.small, size.large, size.chain, size.wordy, size.records, size.rounds
    );
    let middle = median(disk).unwrap_or_default();
    let (least, most) = (disk.first().copied().unwrap_or_default(), disk.last().copied().unwrap_or_default());
    println!("one sync (256 bytes appended): {:.0} µs, by round {:.0} to {:.0}", middle * 1e6, least * 1e6, most * 1e6);
    println!("the machine may have done other work at the same time: compare the ratios of one call, not times of two");
    if wish.quick {
        println!("quick: this shows that the benchmark works, and says nothing about speed");
    } else if most > 2.0 * least {
        println!("void: the disk varied more than twofold between the rounds; measure again when it is quiet");
    }
}
