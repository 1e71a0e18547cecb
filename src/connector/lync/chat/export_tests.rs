use std::sync::Arc;

use super::*;
use crate::plan::StepId;
use crate::run::event::Identity;

fn call(with: &serde_json::Value) -> Call {
    Call {
        run: Arc::from("20261128-2200"),
        step: StepId::new("export[a]"),
        attempt: 2,
        uses: "lync.chat.export".to_owned(),
        with: with.as_object().cloned().unwrap_or_default(),
        outputs: Arc::from([]),
        identity: Identity::new(),
        folder: Arc::from(std::path::Path::new(".")),
        scratch: std::path::PathBuf::new(),
        targets: Arc::default(),
        excluded: Arc::from([]),
        before_image: None,
        handle: None,
        timeout: None,
        effect: Effect::Keyed,
        probed: true,
        assumed: false,
        until: None,
        sent: crate::run::connector::Sent::default(),
    }
}

fn args() -> Args {
    let with = json!({ "db_instance": "sql01\\RTC", "file": "D:\\m\\chat.zip" });
    Args::read(&call(&with)).unwrap_or_else(|why| panic!("{why}"))
}

fn entry(name: &str) -> Entry {
    Entry { name: name.to_owned(), size: 5, modified: "2026-11-28 01:00:00 UTC".to_owned(), ticks: 1 }
}

fn before(existed: bool) -> Before {
    Before { relevo_chat_export: 1, file: "D:\\m\\chat.zip".to_owned(), existed }
}

fn made(sha256: &str) -> Made {
    Made { file: "D:\\m\\chat.zip".to_owned(), sha256: sha256.to_owned(), size: 5, warnings: Some(1) }
}

#[test]
fn the_final_name_is_the_proof_and_only_of_a_file_that_was_not_there_before() {
    let there = Seen { entries: vec![entry("CHAT.ZIP")], sha256: Some("aa".to_owned()) };
    let nothing = Seen { entries: vec![entry("other.zip")], sha256: None };
    let verdict = |seen: &Seen, before: Option<&Before>, noted: &[Made]| meaning(&args(), seen, before, noted).0;
    assert_eq!(verdict(&there, Some(&before(false)), &[made("aa")]), Verdict::Done);
    // Named by hand after a crash: the name was free before.
    assert_eq!(verdict(&there, Some(&before(false)), &[]), Verdict::Done);
    assert_eq!(verdict(&there, Some(&before(false)), &[made("bb")]), Verdict::Conflict);
    assert_eq!(verdict(&there, Some(&before(true)), &[made("aa")]), Verdict::Conflict);
    assert_eq!(verdict(&there, None, &[made("aa")]), Verdict::Conflict);
    for before in [None, Some(&before(false))] {
        assert_eq!(verdict(&nothing, before, &[made("aa")]), Verdict::NotDone);
    }
}

#[test]
fn what_attempts_and_rehearsals_leave_is_named() {
    let names = ["chat.part-r1-1-0a.zip", "CHAT.rehearsal-r1.zip", "chat.zip", "chat2.part-x.zip", "chat.part-x.zip.html", "x"];
    let entries: Vec<Entry> = names.iter().map(|name| entry(name)).collect();
    let args = args();
    let left: Vec<&str> = args.left_over(&entries).iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(left, &names[..2]);
    let (_, told, _) = meaning(&args, &Seen { entries: entries[..1].to_vec(), sha256: None }, None, &[]);
    assert!(told.contains("chat.part-r1-1-0a.zip") && told.contains("2026-11-28 01:00:00 UTC"), "{told}");
}

#[test]
fn a_part_belongs_to_one_attempt_alone() {
    let with = json!({ "db_instance": "sql01", "file": "D:\\m\\chat.zip" });
    let one = call(&with);
    let other = Call { attempt: 3, ..call(&with) };
    assert!(files::mark(&one).starts_with("20261128-2200-2-"), "{}", files::mark(&one));
    assert_ne!(files::mark(&one), files::mark(&other));
    assert_ne!(files::mark(&one), files::mark(&Call { step: StepId::new("export[b]"), ..call(&with) }));
}

#[test]
fn the_command_is_the_documented_one() {
    let with = json!({
        "db_instance": "sql01.contoso.com\\RTC", "database": "GroupChat", "file": "D:\\m\\chat.zip", "level": "roomdirectory",
        "scope": ["Sales", "It's"], "start_date": "2012-01-31",
    });
    let args = Args::read(&call(&with)).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(
        by_hand::line(&args.command("D:\\m\\p.zip")),
        "Export-CsPersistentChatData -DBInstance 'sql01.contoso.com\\RTC' -DBName 'GroupChat' -FileName 'D:\\m\\p.zip' -Report \
         'D:\\m\\chat.zip.html' -Level 'RoomDirectory' -Scope 'Sales', 'It''s' -StartDate '2012-01-31'"
    );
    for (name, wrong) in
        [("level", "Everything"), ("start_date", "31.1.2012"), ("file", "D:\\m\\chat.xml"), ("db_instance", "a b")]
    {
        let mut with = with.clone();
        with[name] = json!(wrong);
        assert!(Args::read(&call(&with)).is_err(), "{name}: {wrong}");
    }
}
