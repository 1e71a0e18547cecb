//! Who may touch a run, by real accounts: whoever starts it, holders, voters, and strangers. Needs root and `useradd`.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod cli_support;

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cli_support::{Desk, Said, Working, wait_for};

/// The files of accounts have one lock for the machine.
static ACCOUNTS: Mutex<()> = Mutex::new(());

/// Four accounts, two groups, and a desk that everybody may enter. Removed with the value.
struct Shift {
    desk: Desk,
    bin: PathBuf,
    /// Ends every name.
    mark: String,
    _alone: MutexGuard<'static, ()>,
}

const PEOPLE: [&str; 4] = ["starter", "holder", "voter", "stranger"];

impl Shift {
    /// `None` if tests that need root are not asked for.
    fn new() -> Option<Shift> {
        if !cli_support::all_tests("accounts of the system: needs root") {
            return None;
        }
        assert!(nix::unistd::Uid::effective().is_root(), "RELEVO_TESTS=all needs root, to make accounts");
        let alone = ACCOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        let desk = Desk::new();
        let mark = format!("{:x}", std::process::id());
        let bin = desk.path("relevo");
        let built = env!("CARGO_BIN_EXE_relevo");
        std::fs::hard_link(built, &bin).or_else(|_| std::fs::copy(built, &bin).map(drop)).unwrap();
        let shift = Shift { desk, bin, mark, _alone: alone };
        for group in ["holders", "voters"] {
            system("groupadd", &[&shift.name(group)]);
        }
        for person in PEOPLE {
            let mut groups = Vec::new();
            if matches!(person, "starter" | "holder") {
                groups.push(shift.name("holders"));
            }
            if person != "stranger" {
                groups.push(shift.name("voters"));
            }
            system("useradd", &["-M", "-N", "-g", "nogroup", "-G", &groups.join(","), &shift.name(person)]);
        }
        let folder = shift.desk.folder.path();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(folder, Some(shift.uid("starter")), None).unwrap();
        std::fs::set_permissions(shift.desk.machine.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        shift.desk.steps(
            "  - { id: ok, gate: { ask: Really?, approvers: [lead] } }\n  - { id: one, needs: [ok], uses: command, with: { shell: \
             'echo one >> \"$LEDGER\"' } }\n",
        );
        let roles = format!("relevo_targets: 1\nroles: {{ lead: [{}] }}\n", shift.name("voter"));
        shift.desk.write("targets.yaml", &roles);
        for file in ["plan.yaml", "targets.yaml", "ledger"] {
            std::os::unix::fs::chown(shift.desk.path(file), Some(shift.uid("starter")), None).unwrap();
        }
        std::fs::set_permissions(shift.desk.path("ledger"), std::fs::Permissions::from_mode(0o666)).unwrap();
        Some(shift)
    }

    /// The account or group behind a part.
    fn name(&self, part: &str) -> String {
        format!("rt-{part}-{}", self.mark)
    }

    fn uid(&self, person: &str) -> u32 {
        nix::unistd::User::from_name(&self.name(person)).unwrap().unwrap().uid.as_raw()
    }

    fn gid(&self, group: &str) -> u32 {
        nix::unistd::Group::from_name(&self.name(group)).unwrap().unwrap().gid.as_raw()
    }

    /// A program as somebody, with the groups that the system gives to them.
    fn as_somebody(&self, person: &str, program: &Path, arguments: &[&str]) -> Command {
        let uid = format!("--reuid={}", self.uid(person));
        let program = program.display().to_string();
        let mut all = vec![uid.as_str(), "--regid=nogroup", "--init-groups", "--inh-caps=-all", program.as_str()];
        all.extend(arguments);
        self.desk.program("setpriv", &all)
    }

    fn start(&self, person: &str, arguments: &[&str]) -> Working {
        let command = self.as_somebody(person, &self.bin, arguments);
        self.desk.working(command)
    }

    #[track_caller]
    fn relevo(&self, person: &str, arguments: &[&str]) -> Said {
        self.start(person, arguments).wait()
    }

    /// A line of shell as somebody, in the run's directory.
    fn shell(&self, person: &str, line: &str) -> Output {
        let mut command = self.as_somebody(person, Path::new("/bin/sh"), &["-c", line]);
        // As root: the folder may be closed to them.
        command.current_dir(self.desk.run_dir()).output().unwrap()
    }

    #[track_caller]
    fn can(&self, person: &str, line: &str) {
        let done = self.shell(person, line);
        assert!(done.status.success(), "{person} cannot `{line}`: {}", String::from_utf8_lossy(&done.stderr));
    }

    #[track_caller]
    fn cannot(&self, person: &str, line: &str) {
        assert!(!self.shell(person, line).status.success(), "{person} can `{line}`");
    }

    /// Starts the plan as the starter, shared with both groups.
    fn run(&self, more: &[&str]) -> Working {
        let (holders, voters) = (self.name("holders"), self.name("voters"));
        let mut all = vec!["run", "plan.yaml", "--group", &holders, "--voters", &voters];
        all.extend(more);
        self.start("starter", &all)
    }

    /// What lies in the run directory itself.
    fn names(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.desk.run_dir()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        for pid in self.desk.living() {
            cli_support::processes::send(pid, nix::sys::signal::Signal::SIGKILL);
        }
        for person in PEOPLE {
            let _ = Command::new("userdel").arg(self.name(person)).output();
        }
        for group in ["holders", "voters"] {
            let _ = Command::new("groupdel").arg(self.name(group)).output();
        }
    }
}

fn system(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn s50_a_voter_may_read_and_vote_and_nothing_else() {
    let Some(shift) = Shift::new() else { return };
    let mut run = shift.run(&["--wait"]);
    run.wait_for_text("Really?");
    let seen = shift.relevo("voter", &["status"]).exits(0).says("Really?");
    seen.keeps_silent_about("os error");
    for closed in ["evidence", "output", "inbox", "inbox/rejected", "log", "torn"] {
        shift.cannot("voter", &format!("ls {closed}"));
    }
    for file in ["journal", "head", "lock", "plan.yaml", "plan.resolved.json", "sources/index"] {
        shift.cannot("voter", &format!("echo x >> {file}"));
        shift.cannot("voter", &format!("rm {file}"));
        shift.cannot("voter", &format!("mv {file} x"));
    }
    shift.cannot("voter", "echo x > new");
    shift.cannot("voter", "echo x > sources/new");
    shift.cannot("voter", "echo '{}' > inbox/done/new.json");
    shift.cannot("voter", "mv inbox/rejected inbox/done/x");
    shift.cannot("voter", "mv inbox x");
    // Whoever can open the lock can hold it.
    shift.cannot("voter", "cat lock");
    shift.can("voter", "cat journal plan.yaml plan.resolved.json sources/index > /dev/null");
    // Another person's letter.
    shift.can("starter", "umask 027; echo x > inbox/.mine");
    shift.cannot("voter", "rm -f inbox/.mine");
    shift.cannot("voter", "mv inbox/.mine inbox/.yours");
    shift.relevo("voter", &["verify"]).exits(0).says("closed to voters");
    let told = shift.relevo("voter", &["resume", "--yes"]).exits(8).says("may not resume").says("--group");
    told.keeps_silent_about("os error");
    shift.relevo("voter", &["decide", "ok", "go", "--reason", "counts agree"]).exits(0).says("recorded as");
    run.wait().exits(0);
    assert_eq!(shift.desk.ledger(), ["one"]);
    assert!(shift.desk.journal().contains(&shift.name("voter")), "the vote is the voter's");
    let letters = std::fs::read_dir(shift.desk.run_dir().join("inbox")).unwrap().flatten();
    assert!(letters.filter(|entry| entry.path().extension().is_some()).count() == 0, "no letter is left");
}

#[test]
fn a_holder_goes_on_with_a_run_and_makes_nothing_beside_the_journal() {
    let Some(shift) = Shift::new() else { return };
    shift.run(&[]).wait().exits(3);
    let before = shift.names();
    // A tail that a power cut tore.
    cli_support::append(&shift.desk.run_dir().join("journal"), b"0000");
    let left = shift.relevo("voter", &["decide", "ok", "go"]).exits(3).says("nobody holds the run").says("resume");
    left.keeps_silent_about("os error");
    shift.relevo("stranger", &["resume", "--yes"]).exits(8);
    shift.relevo("holder", &["resume", "--yes", "--wait"]).exits(0);
    assert_eq!(shift.desk.ledger(), ["one"]);
    assert_eq!(shift.names(), before, "a holder makes nothing in the outer folder");
    let owner = |name: &str| std::fs::metadata(shift.desk.run_dir().join(name)).unwrap().uid();
    assert_eq!(owner("torn/journal.torn-1"), shift.uid("holder"));
    assert_eq!(owner(&format!("log/{}", shift.name("holder"))), shift.uid("holder"));
    shift.relevo("starter", &["verify"]).exits(0);
    shift.relevo("starter", &["report"]).exits(0);
    shift.relevo("holder", &["note", shift.desk.run_dir().file_name().unwrap().to_str().unwrap(), "all well"]).exits(0);
}

#[test]
fn f03_a_holder_can_tell_that_the_program_of_another_holder_has_ended() {
    let Some(shift) = Shift::new() else { return };
    shift.desk.steps(
        "  - { id: long, uses: command, with: { shell: 'echo begun >> \"$LEDGER\"; until [ -e \"$LEDGER.go\" ]; do sleep 0.05; done; \
         echo ended >> \"$LEDGER\"' } }\n",
    );
    let mut run = shift.run(&[]);
    shift.desk.wait_for_line("begun");
    run.kill();
    shift.desk.write("ledger.go", "");
    shift.desk.wait_for_line("ended");
    let said = shift.relevo("holder", &["resume", "--yes"]).exits(4);
    said.keeps_silent_about("cannot be looked at").keeps_silent_about("os error");
    assert_eq!(shift.desk.ledger(), ["begun", "ended"]);
}

#[test]
fn s50_the_modes_of_a_run_with_two_circles_are_what_they_are_said_to_be() {
    let Some(shift) = Shift::new() else { return };
    shift.run(&[]).wait().exits(3);
    let (holders, voters) = (shift.gid("holders"), shift.gid("voters"));
    let dir = shift.desk.run_dir();
    let outer = std::fs::metadata(&dir).unwrap();
    assert_eq!((outer.mode() & 0o7777, outer.gid()), (0o750, voters));
    for (name, mode) in [
        ("journal", 0o664),
        ("head", 0o664),
        ("lock", 0o660),
        ("plan.yaml", 0o664),
        ("sources", 0o2775),
        ("sources/index", 0o664),
        ("inbox", 0o3773),
        ("inbox/done", 0o2775),
        ("inbox/rejected", 0o2770),
        ("evidence", 0o2770),
        ("output", 0o2770),
        ("log", 0o2770),
        ("torn", 0o2770),
    ] {
        let meta = std::fs::metadata(dir.join(name)).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.gid()), (mode, holders), "{name}: {:o}", meta.mode());
    }
}

#[test]
fn a_run_with_voters_alone_is_its_owners_to_resume() {
    let Some(shift) = Shift::new() else { return };
    let voters = shift.name("voters");
    shift.start("starter", &["run", "plan.yaml", "--voters", &voters]).wait().exits(3);
    shift.relevo("holder", &["resume", "--yes"]).exits(8).says("has not allowed anybody else to resume it");
    for (file, mode) in [("journal", 0o644), ("inbox", 0o3733), ("inbox/done", 0o755), ("evidence", 0o700), ("lock", 0o600)] {
        let found = std::fs::metadata(shift.desk.run_dir().join(file)).unwrap().mode() & 0o7777;
        assert_eq!(found, mode, "{file}: {found:o}");
    }
    shift.relevo("voter", &["decide", "ok", "go"]).exits(3);
    shift.relevo("starter", &["resume", "--yes", "--wait"]).exits(0);
    assert_eq!(shift.desk.ledger(), ["one"]);
}

#[test]
fn a_stranger_is_told_what_is_missing_and_by_which_option_it_is_given() {
    let Some(shift) = Shift::new() else { return };
    shift.run(&[]).wait().exits(3);
    let id = shift.desk.run_dir().file_name().unwrap().to_str().unwrap().to_owned();
    let verbs: [&[&str]; 9] = [
        &["status", &id],
        &["status"],
        &["status", "--follow"],
        &["verify", &id],
        &["report", &id],
        &["decide", &id, "ok", "go"],
        &["abort", &id, "--reason", "x"],
        &["resume", &id, "--yes"],
        &["resume", &id, "--take-over", "x/1"],
    ];
    for words in verbs {
        let said = shift.relevo("stranger", words).exits(8).says(&shift.name("voters")).says("--voters");
        said.says(&shift.name("starter")).keeps_silent_about("os error").keeps_silent_about("denied");
    }
    shift.relevo("stranger", &["status", "--list"]).exits(0).says("closed");
    // Not even the folder of runs.
    let runs = shift.desk.path("runs");
    std::fs::set_permissions(&runs, std::fs::Permissions::from_mode(0o700)).unwrap();
    for words in [&["status", "--list"] as &[&str], &["status", &id], &["resume", "--yes"], &["abort", "--reason", "x"]] {
        let said = shift.relevo("stranger", words).exits(8).says("--voters").says(&shift.name("starter"));
        said.keeps_silent_about("os error").keeps_silent_about("denied");
    }
}

#[test]
fn a_private_run_is_closed_to_everybody_and_says_so() {
    let Some(shift) = Shift::new() else { return };
    shift.start("starter", &["run", "plan.yaml"]).wait().exits(3);
    assert_eq!(std::fs::metadata(shift.desk.run_dir()).unwrap().mode() & 0o7777, 0o700);
    std::fs::set_permissions(shift.desk.path("runs"), std::fs::Permissions::from_mode(0o755)).unwrap();
    for verb in ["status", "resume", "verify"] {
        let said = shift.relevo("holder", &[verb]).exits(8).says("shared it with nobody").says("--group");
        said.keeps_silent_about("os error");
    }
}

#[test]
fn f42_what_a_voter_drops_into_the_inbox_stops_nothing() {
    let Some(shift) = Shift::new() else { return };
    let mut run = shift.run(&["--wait"]);
    run.wait_for_text("Really?");
    let named = |n: u32| format!("inbox/0000000000000-{n:016x}.json");
    shift.can("voter", "mkdir -m 700 inbox/0-folder && mkdir inbox/0-folder/inside");
    shift.can("voter", "mkfifo inbox/0-fifo && ln -s /etc/shadow inbox/0-link && truncate -s 1T inbox/0-huge");
    shift.can("voter", &format!("mkdir {0} && ln -s lock {1} && mkfifo {2}", named(1), named(2), named(3)));
    shift.can("voter", &format!("echo x > {0} && ln {0} inbox/0-second", named(4)));
    shift.can("voter", &format!("umask 077; echo x > {}", named(5)));
    shift.can("voter", &format!("umask 000; echo x > {}", named(6)));
    shift.cannot("voter", "ln inbox/done inbox/x");
    shift.cannot("voter", "rmdir inbox/rejected");
    // A name that was typed is nobody's, and a vote under it counts for nothing.
    let id = format!("0000000000000-{:016x}", 7);
    let vote = format!(
        r#"{{"id":"{id}","claimed":"{}","order":{{"vote":{{"step":"ok","go":true,"reason":"x"}}}}}}"#,
        shift.name("voter")
    );
    shift.can("voter", &format!("umask 027; echo '{vote}' > inbox/.x && mv inbox/.x inbox/{id}.json"));
    shift.relevo("holder", &["abort", "--reason", "stop"]).exits(0).says("recorded as");
    let ended = run.wait();
    assert_ne!(ended.code, Some(0), "{}", ended.all());
    assert!(shift.desk.ledger().is_empty());
    // The folder of runs is whole, and the run can be read and verified.
    shift.relevo("voter", &["status"]).exits(0);
    shift.relevo("starter", &["verify"]).exits(0);
}

#[test]
fn f42_a_log_that_is_a_link_is_not_followed() {
    let Some(shift) = Shift::new() else { return };
    let group = shift.name("holders");
    shift.start("starter", &["run", "plan.yaml", "--group", &group]).wait().exits(3);
    let dir = shift.desk.run_dir();
    // A run of before: its members may write into its own folder.
    assert_eq!(std::fs::metadata(&dir).unwrap().mode() & 0o7777, 0o2770);
    shift.can("holder", "rm -r log torn 2> /dev/null; ln -s /etc/motd-of-nobody log");
    // A link in the place of a folder is told; and in a file's place it is not written through.
    shift.relevo("starter", &["resume", "--yes"]).exits(3).says("symbolic links are not followed").says("no log");
    assert!(!Path::new("/etc/motd-of-nobody").exists());
    shift.can("holder", "rm log");
    shift.relevo("starter", &["resume", "--yes"]).exits(3);
    assert!(dir.join("log").is_file(), "a run of before keeps its log where it was");
}

#[test]
fn holders_that_are_not_voters_are_named_before_the_run_starts() {
    let Some(shift) = Shift::new() else { return };
    system("gpasswd", &["-d", &shift.name("holder"), &shift.name("voters")]);
    let said = shift.run(&[]).wait().exits(3).says("holders must be voters as well");
    said.says(&format!("`{}` is in group", shift.name("holder")));
    shift.relevo("holder", &["resume", "--yes"]).exits(8).says(&shift.name("voters")).keeps_silent_about("os error");
    let same = shift.name("holders");
    shift.start("starter", &["run", "plan.yaml", "--group", &same, "--voters", &same]).wait().exits(2).says("the same group");
    let foreign = ["run", "plan.yaml", "--voters", "root"];
    shift.start("starter", &foreign).wait().exits(2).says("is not in that group").keeps_silent_about("os error");
    wait_for("one run", || shift.desk.run_dirs().len() == 1);
}

#[test]
fn what_others_may_write_is_told_file_by_file() {
    let Some(shift) = Shift::new() else { return };
    let set = |name: &str, mode| {
        std::fs::set_permissions(shift.desk.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    shift.relevo("starter", &["check", "plan.yaml"]).exits(0).keeps_silent_about("warning");
    std::os::unix::fs::chown(shift.desk.path("targets.yaml"), Some(shift.uid("stranger")), None).unwrap();
    set("plan.yaml", 0o666);
    for verb in ["check", "rehearse", "run"] {
        let said = shift.relevo("starter", &[verb, "plan.yaml"]);
        let said = said.says("plan.yaml: everybody may write to it (mode 0666)");
        said.says(&format!("targets.yaml: it belongs to `{}`", shift.name("stranger")));
    }
    set("runs", 0o777);
    shift.relevo("starter", &["resume", "--yes"]).exits(3).says("runs: everybody may write to it");
}
