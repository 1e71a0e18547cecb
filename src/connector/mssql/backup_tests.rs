use super::super::instance::Instance;
use super::*;

const KEY: &str = "relevo run r1 step save";

fn args() -> Args {
    let with = json!({ "instance": "sql01\\RTC" });
    let call = call(with.as_object().cloned().unwrap_or_default());
    Args {
        place: Place::read(&call).unwrap_or_else(|why| panic!("{why}")),
        database: "mgc".to_owned(),
        file: FilePath::parse("D:\\mig\\mgc.bak").unwrap_or_else(|why| panic!("{why}")),
        copy_only: true,
        checksum: true,
        compression: None,
        overwrite: false,
        key: KEY.to_owned(),
    }
}

fn call(with: Map<String, serde_json::Value>) -> Call {
    Call {
        run: std::sync::Arc::from("r1"),
        step: crate::plan::StepId::new("save"),
        attempt: 1,
        uses: "mssql.backup".to_owned(),
        with,
        outputs: std::sync::Arc::from([]),
        identity: Identity::new(),
        folder: std::sync::Arc::from(std::path::Path::new(".")),
        scratch: std::path::PathBuf::new(),
        targets: std::sync::Arc::default(),
        excluded: std::sync::Arc::from([]),
        before_image: None,
        handle: None,
        timeout: None,
        effect: Effect::Keyed,
        probed: false,
        assumed: false,
        until: None,
        sent: crate::run::connector::Sent::default(),
    }
}

fn set(id: i64, description: &str) -> BackupSet {
    BackupSet {
        id,
        uuid: format!("u{id}"),
        media: id,
        position: 1,
        description: description.to_owned(),
        database: "MGC".to_owned(),
        copy_only: true,
        damaged: false,
        bytes: Some(1),
        first_lsn: None,
        last_lsn: None,
        finished: Some("2026-11-28T01:00:00".to_owned()),
        files: vec!["d:\\MIG\\mgc.bak".to_owned()],
    }
}

fn seen(sets: Vec<BackupSet>, size: Option<i64>) -> Seen {
    Seen { sets, under_way: Vec::new(), sees_all: true, size: Ok(size) }
}

fn before(existed: bool) -> Option<Before> {
    Some(Before { relevo_mssql_backup: 1, file: String::new(), existed })
}

fn verdict(seen: &Seen, before: Option<&Before>) -> Verdict {
    meaning(&args(), seen, before).0
}

#[test]
fn done_is_our_set_finished_and_its_file_with_something_in_it() {
    let ours = || vec![set(7, KEY), set(5, "nightly")];
    // An older one in a file of that name, written over or moved away, is nothing against it.
    let mut elsewhere = ours();
    assert_eq!(verdict(&seen(elsewhere.clone(), Some(9)), None), Verdict::Done);
    assert_eq!(verdict(&seen(elsewhere.clone(), Some(0)), None), Verdict::Partial);
    assert_eq!(verdict(&seen(elsewhere.clone(), None), None), Verdict::Partial);
    elsewhere[0].finished = None;
    assert_eq!(verdict(&seen(elsewhere, Some(9)), None), Verdict::Unknown);
}

#[test]
fn a_set_of_another_database_or_in_a_file_that_was_written_over_is_a_conflict() {
    let mut other = set(7, KEY);
    other.database = "rtc".to_owned();
    assert_eq!(verdict(&seen(vec![other], Some(9)), None), Verdict::Conflict);
    assert_eq!(verdict(&seen(vec![set(8, "nightly"), set(7, KEY)], Some(9)), None), Verdict::Conflict);
    let mut damaged = set(7, KEY);
    damaged.damaged = true;
    assert_eq!(verdict(&seen(vec![damaged], Some(9)), None), Verdict::Conflict);
}

#[test]
fn a_file_that_was_there_before_is_never_taken_for_ours() {
    assert_eq!(verdict(&seen(Vec::new(), Some(9)), None), Verdict::Conflict);
    assert_eq!(verdict(&seen(Vec::new(), Some(9)), before(true).as_ref()), Verdict::Conflict);
    assert_eq!(verdict(&seen(Vec::new(), Some(9)), before(false).as_ref()), Verdict::Partial);
    assert_eq!(verdict(&seen(vec![set(8, "relevo run r1 step save2")], Some(9)), None), Verdict::Conflict);
}

#[test]
fn not_done_needs_a_look_at_what_is_under_way() {
    assert_eq!(verdict(&seen(Vec::new(), None), before(false).as_ref()), Verdict::NotDone);
    let blind = Seen { sees_all: false, ..seen(Vec::new(), None) };
    assert_eq!(verdict(&blind, before(false).as_ref()), Verdict::Unknown);
    assert_eq!(verdict(&blind, None), Verdict::NotDone);
    let request = UnderWay { command: "BACKUP DATABASE".to_owned(), database: None, session: 51, percent: Some("40".to_owned()) };
    let busy = Seen { under_way: vec![request], ..seen(Vec::new(), None) };
    assert_eq!(verdict(&busy, None), Verdict::Unknown);
    let unseen = Seen { size: Err("denied".to_owned().into()), ..seen(Vec::new(), None) };
    assert_eq!(verdict(&unseen, None), Verdict::Unknown);
    let folder = Seen { size: Err(NoSize::Folder("it is a folder".to_owned())), ..seen(Vec::new(), None) };
    assert_eq!(verdict(&folder, None), Verdict::Conflict, "that is known, and no look will say otherwise");
}

#[test]
fn the_file_is_written_over_only_where_the_plan_says_so() {
    assert!(args().command().get("Initialize").is_none());
    assert!(Args { overwrite: true, ..args() }.command().get("Initialize").is_some());
    let line = by_hand::line(&args().command());
    let expected = "Backup-SqlDatabase -ServerInstance 'sql01\\RTC' -Database 'mgc' -BackupFile 'D:\\mig\\mgc.bak' -BackupSetName 'relevo' \
                    -BackupSetDescription 'relevo run r1 step save' -CopyOnly -Checksum -ErrorAction 'Stop'";
    assert_eq!(line, expected);
    assert_eq!(Instance::parse("sql01\\RTC").map(|it| it.to_string()), Ok("sql01\\RTC".to_owned()));
}

#[test]
fn by_hand_a_file_that_is_there_is_not_written_over_either() {
    let guarded = |args: &Args| {
        let lines = args.by_hand();
        let line = lines.iter().find(|line| line.contains("Backup-SqlDatabase")).cloned().unwrap_or_default();
        line.split_once("{ Backup-SqlDatabase").map(|(before, _)| before.to_owned()).unwrap_or_default()
    };
    assert_eq!(guarded(&args()), "if (-not $done -and -not $busy -and -not (Test-Path -LiteralPath 'D:\\mig\\mgc.bak')) ");
    assert_eq!(guarded(&Args { overwrite: true, ..args() }), "if (-not $done -and -not $busy) ");
    let lines = args().by_hand();
    assert!(
        lines[1].contains("msdb.dbo.backupset") && lines[1].contains("$_.description -eq 'relevo run r1 step save'"),
        "{lines:?}"
    );
}

#[test]
fn a_key_is_of_the_step_and_not_of_the_attempt() {
    let first = call(Map::new());
    let second = Call { attempt: 2, ..first.clone() };
    assert_eq!(key(&first), key(&second));
    let long = Call { step: crate::plan::StepId::new(&format!("save[{}]", "x".repeat(300))), ..first };
    assert!(key(&long).len() <= LONGEST_KEY && key(&long) != key(&second));
}
