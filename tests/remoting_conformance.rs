//! What goes to a server of other people's code and back: values, streams, sizes, amounts, and how little memory it takes.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is not as it must be")]

#[path = "support/python.rs"]
mod python;
mod remoting_support;

use std::process::Command as Process;

use python::{Judge, PASSWORD, Setup, USER};
use relevo::remoting::auth::{Account, Method, Wrapping};
use relevo::remoting::client::{End, Limits, Settings, Shell, ShellError, Truncated};
use relevo::remoting::clixml::{Content, Object, Value};
use relevo::remoting::psrp::{Command, CreatePipeline, EventKind, PipelineState, PsrpError};
use relevo::secret::Secret;
use remoting_support::{endpoint, ntlm, opened, outputs, settings, started, state};
use serde_json::json;
use uuid::Uuid;

/// What came out, as values.
fn values(events: &[EventKind]) -> Vec<Value> {
    events.iter().filter_map(|event| if let EventKind::Output(value) = event { Some(value.clone()) } else { None }).collect()
}

async fn echoed(shell: &mut Shell, value: &Value) -> Value {
    let command = Command::new("Echo-Value").parameter("Value", value.clone());
    let (events, end) = started(shell, command, Limits::default()).await;
    assert_eq!(state(&end), PipelineState::Completed, "{value:?}");
    values(&events).pop().unwrap_or_default()
}

#[tokio::test]
async fn every_primitive_is_read_by_the_server_and_comes_back_as_it_was() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let texts =
        ["", "text", "one\r\ntwo\rthree\nfour\tfive", "_x000A_ _x000d_ _X000A_ _x005F_", "😀 é ß 中", "\u{7}\u{1f}\u{7f}"];
    let primitives = [
        true.into(),
        false.into(),
        Value::Char(90),
        Value::Char(0xd83d),
        255_u8.into(),
        (-128_i8).into(),
        u16::MAX.into(),
        i16::MIN.into(),
        u32::MAX.into(),
        i32::MIN.into(),
        u64::MAX.into(),
        i64::MIN.into(),
        1.5_f32.into(),
        (-2.5e-300_f64).into(),
        Value::Decimal("79228162514264337593543950335".into()),
        Value::Bytes((0..=255).collect()),
        Value::Guid(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)),
        Value::Uri("https://example.org/a?b=c&d".into()),
        Value::Version("1.2.3.4".into()),
        Value::Xml("<a><b/></a>".into()),
        Value::ScriptBlock("$_ -eq 'x'".into()),
        Value::DateTime("2026-11-28T03:04:05.6789012Z".into()),
        Value::Duration("P1DT2H3M4.5S".into()),
        Value::Nil,
    ];
    for value in texts.map(Value::from).into_iter().chain(primitives) {
        let back = echoed(&mut shell, &value).await;
        match (&value, &back) {
            // The same time, written with another number of zeros or another sign of its zone.
            (Value::DateTime(_), _) => assert_eq!(back.as_timestamp(), value.as_timestamp()),
            (Value::Duration(_), _) => assert_eq!(back.as_duration(), value.as_duration()),
            _ => assert_eq!(back, value),
        }
    }
    shell.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn containers_enumerations_and_shared_objects_come_back_as_they_were() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let shared = Value::custom([("Name", "shared\r\n")]);
    let nested = Value::list([
        Value::dictionary([("inner", Value::list([Value::Nil, Value::I64(5_000_000_000)]))]),
        Value::dictionary([(Value::I32(1), Value::dictionary([("deep", Value::Nil)]))]),
        shared.clone(),
        Value::custom([("other", shared)]),
        Object { content: Content::Stack(vec!["top".into(), 2.into()]), ..Object::default() }.into(),
        Object { content: Content::Queue(vec!["first".into(), "second".into()]), ..Object::default() }.into(),
        Value::array(Vec::<Value>::new()),
    ]);
    let back = echoed(&mut shell, &nested).await;
    let items = back.items().unwrap();
    let inner = items[0].get("inner").and_then(Value::items).unwrap();
    assert_eq!(inner, [Value::Nil, Value::I64(5_000_000_000)]);
    let (key, value) = &items[1].entries().unwrap()[0];
    assert_eq!((key, value.entries().unwrap().len()), (&Value::I32(1), 1));
    for object in [&items[2], items[3].get("other").unwrap()] {
        assert_eq!(object.get("Name").and_then(Value::as_str), Some("shared\r\n"));
    }
    assert!(matches!(&items[4].as_object().unwrap().content, Content::Stack(items) if items[0] == "top".into()));
    assert!(matches!(&items[5].as_object().unwrap().content, Content::Queue(items) if items[1] == "second".into()));
    assert_eq!(items[6].items(), Some(&[][..]));
    // The server knows no such enumeration and keeps its number; one of its own has a name, too.
    let day = Value::enumeration("System.DayOfWeek", "Saturday", 6);
    assert_eq!(echoed(&mut shell, &day).await.as_i64(), Some(6));
    let (events, _) = started(&mut shell, Command::new("New-Value").parameter("Name", "enum"), Limits::default()).await;
    let own = &values(&events)[0];
    assert_eq!((own.as_i64(), own.to_text().as_str()), (Some(6), "Saturday"));
    shell.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn all_that_the_server_can_write_is_read() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let (names, _) = started(&mut shell, Command::new("New-Value"), Limits::default()).await;
    let names = outputs(&names);
    assert!(names.len() > 40, "{names:?}");
    for name in &names {
        let command = Command::new("New-Value").parameter("Name", Value::from(name.as_str()));
        let (events, end) = started(&mut shell, command, Limits::default()).await;
        assert_eq!(state(&end), PipelineState::Completed, "{name}");
        let found = values(&events);
        assert_eq!(found.len(), 1, "{name}: {events:?}");
        let text = match name.as_str() {
            // Half a pair is no character of ours.
            "string-surrogate" => "high \u{fffd} low \u{fffd} end",
            "string-controls" => "\u{7}\0\u{1f}\u{7f}\u{85}\u{fffe}\u{ffff}",
            "string-lower" => "one\r\ntwo",
            "string-escape" => "_x000D_ _X000A_ _x005F_ __x0041_ _x",
            _ => continue,
        };
        assert_eq!(found[0].as_str(), Some(text), "{name}");
    }
    shell.close().await.unwrap();
}

#[tokio::test]
async fn a_secure_string_is_refused_before_anything_is_sent_and_stays_encrypted_when_it_comes() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let secret = Value::dictionary([("Password", Value::SecureString("hunter2".into()))]);
    let command = Command::new("Echo-Value").parameter("Value", secret);
    let error = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), Limits::default()).await.err().unwrap();
    assert!(matches!(error, ShellError::Psrp(PsrpError::SecureString)) && !error.may_have_acted(), "{error}");
    assert!(judge.requests().iter().all(|one| one["action"] != "Command"));
    let command = Command::new("New-Value").parameter("Name", Value::from("securestring"));
    let (events, _) = started(&mut shell, command, Limits::default()).await;
    let Some(Value::SecureString(text)) = values(&events).pop() else { panic!("{events:?}") };
    assert!(!text.contains("s3cret"));
    shell.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn objects_of_more_than_a_megabyte_travel_both_ways_at_every_size_of_envelope() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let text = "0123456789abcdef".repeat(65_536) + "\r\nend 😀";
    for size in [32 << 10, 150 << 10, 500 << 10] {
        let settings = Settings { max_envelope_size: size, ..settings() };
        let mut shell = Shell::open(endpoint(&judge, ntlm(Wrapping::Raw)), Uuid::new_v4(), &settings).await.unwrap();
        assert!(echoed(&mut shell, &Value::from(text.as_str())).await == Value::from(text.as_str()), "{size}");
        shell.close().await.unwrap();
    }
    // No envelope was larger than its client said.
    judge.assert_no_violations();
}

#[tokio::test]
async fn every_stream_arrives_as_itself_with_all_that_it_says() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    let (events, end) = started(&mut shell, Command::new("Write-Streams"), Limits::default()).await;
    assert!(matches!(end, End::Finished { state: PipelineState::Completed, had_errors: true, terminating: None, .. }), "{end:?}");
    let said: Vec<_> = events.iter().filter(|event| !matches!(event, EventKind::StateChanged(_))).collect();
    let [
        EventKind::Output(before),
        EventKind::Error(error),
        EventKind::Warning(warning),
        EventKind::Verbose(verbose),
        EventKind::Debug(debug),
        EventKind::Information(information),
        EventKind::Progress(start),
        EventKind::Progress(middle),
        EventKind::Progress(finish),
        EventKind::Output(after),
        EventKind::Finished { .. },
    ] = &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!((before.as_str(), after.as_str()), (Some("before"), Some("after")));
    assert_eq!((error.message(), error.fully_qualified_id.as_str()), ("something is wrong", "JudgeError,Judge"));
    assert!(error.position.as_deref().unwrap().starts_with("At line:3 char:5"), "{error:?}");
    assert_eq!(
        (warning.as_str(), verbose.as_str(), debug.as_str()),
        ("this is a warning", "this is verbose", "this is debugging")
    );
    assert_eq!((information.text().as_str(), information.tags.as_slice()), ("this is information", &["judge".to_owned()][..]));
    assert_eq!([start.percent, middle.percent, finish.percent], [Some(0), Some(40), Some(100)]);
    assert_eq!((middle.activity.as_str(), middle.status.as_str(), middle.completed), ("Copying", "40 of 100", false));
    assert_eq!((middle.current_operation.as_deref(), middle.seconds_remaining), (Some("a.txt"), Some(60)));
    assert!(finish.completed);
    let command = Command::new("Write-NonTerminating").parameter("Message", Value::from("wrong")).parameter("Count", 3);
    let (events, end) = started(&mut shell, command, Limits::default()).await;
    let errors = events.iter().filter(|event| matches!(event, EventKind::Error(_))).count();
    assert_eq!((state(&end), errors, outputs(&events)), (PipelineState::Completed, 3, vec!["went on".to_owned()]));
    // A call to the host that wants no answer is no question.
    let command = Command::new("Write-Host").parameter("Object", Value::from("on the screen"));
    let (events, _) = started(&mut shell, command, Limits::default()).await;
    let shown = events.iter().find_map(|event| match event {
        EventKind::HostCall { call, refused: false } => call.method.shown(&call.parameters),
        _ => None,
    });
    assert_eq!(shown.as_deref(), Some("on the screen"));
    shell.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn answers_that_come_byte_by_byte_are_answers() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Spnego)).await;
    judge.misbehave(&json!([{ "on": "*", "do": "trickle", "pause": 0.0001, "times": 0 }]));
    assert_eq!(echoed(&mut shell, &Value::from("slowly")).await, Value::from("slowly"));
    shell.close().await.unwrap();
    judge.assert_no_violations();
}

#[tokio::test]
async fn garbage_within_the_stream_is_passed_over_where_it_can_be_and_ends_in_doubt_where_not() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    // A message that is no CLIXML, one of no known type, one with entities: the others stand.
    for (text, kind) in
        [("<S>", 0x0004_1004), ("<S>x</S>", 0x0009_9999), ("<!DOCTYPE a [<!ENTITY b \"c\">]><S>&b;</S>", 0x0004_1004)]
    {
        let command = Command::new("Write-Clixml").parameter("Text", Value::from(text)).parameter("Type", kind);
        let (events, end) = started(&mut shell, command, Limits::default()).await;
        assert_eq!(state(&end), PipelineState::Completed, "{text}");
        assert!(events.iter().any(|event| matches!(event, EventKind::Skipped(_))), "{text}: {events:?}");
    }
    // Fragments out of order: nothing after them can be trusted.
    for (object, fragment) in [(0, 0), (1 << 40, 3)] {
        let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
        let command = Command::new("Write-Fragment").parameter("Object", Value::I64(object));
        let command = command.parameter("Fragment", Value::I64(fragment)).parameter("Data", Value::Bytes(vec![1, 2, 3]));
        let (_, end) = started(&mut shell, command, Limits::default()).await;
        assert!(matches!(&end, End::Lost(error) if error.may_have_acted()), "{end:?}");
        shell.close().await.unwrap();
    }
    for misbehaviour in ["repeated", "reversed"] {
        let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
        judge.misbehave(&json!([{ "on": "Receive", "do": misbehaviour, "times": 0 }]));
        let command = Command::new("Write-Many").parameter("Count", 2).parameter("Size", 200_000);
        let (events, end) = started(&mut shell, command, Limits::default()).await;
        assert!(matches!(&end, End::Lost(error) if error.may_have_acted()), "{misbehaviour}: {end:?} {}", events.len());
        judge.misbehave(&json!([]));
        shell.close().await.unwrap();
    }
    shell.close().await.unwrap();
}

#[tokio::test]
async fn a_command_that_is_done_without_a_state_and_output_of_another_command_end_in_doubt() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    for misbehaviour in ["done", "foreign"] {
        let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
        judge.misbehave(&json!([{ "on": "Receive", "do": misbehaviour }]));
        let command = Command::new("Add-Entry").parameter("Text", Value::from(misbehaviour));
        let (events, end) = started(&mut shell, command, Limits::default()).await;
        assert!(matches!(&end, End::Lost(error) if error.may_have_acted()), "{misbehaviour}: {end:?}");
        assert_eq!(outputs(&events), Vec::<String>::new());
        judge.misbehave(&json!([]));
        shell.close().await.unwrap();
    }
    assert_eq!(judge.effects().len(), 2, "they were done, which is what the doubt is about");
}

#[tokio::test]
async fn another_stream_than_that_of_the_protocol_is_passed_over() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let mut shell = opened(&judge, ntlm(Wrapping::Raw)).await;
    judge.misbehave(&json!([{ "on": "Receive", "do": "stderr", "times": 0 }]));
    assert_eq!(echoed(&mut shell, &Value::from("x")).await, Value::from("x"));
    shell.close().await.unwrap();
}

/// The most memory that this process ever had, in kB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// The process that is measured: does what it is told in one shell, and says what memory it took before and after.
#[tokio::test]
async fn helper_that_is_measured() {
    if std::env::var_os("RELEVO_TEST_URL").is_none() {
        // Nobody has started this process for it.
        return;
    }
    let told = |name: &str| std::env::var(name).expect("the test says it");
    let password = Secret::new(PASSWORD.to_owned());
    let method = Method::Ntlm { account: Account::parse(USER).unwrap(), password, wrapping: Wrapping::Raw };
    let endpoint = remoting_support::plain(&told("RELEVO_TEST_URL"), method);
    let mut shell = Shell::open(endpoint, Uuid::new_v4(), &settings()).await.unwrap();
    let count: i32 = told("RELEVO_TEST_COUNT").parse().unwrap();
    match told("RELEVO_TEST_WHAT").as_str() {
        "objects" => {
            let command = Command::new("Write-Many").parameter("Count", count).parameter("Size", 1000);
            let mut running = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), Limits::default()).await.unwrap();
            let mut seen = 0;
            while let Some(event) = running.next().await {
                if let EventKind::Output(value) = event {
                    assert!(value.as_str().unwrap().starts_with(&format!("{seen:08}")));
                    seen += 1;
                }
            }
            assert_eq!((state(&running.end().await), seen), (PipelineState::Completed, count));
        }
        "pipelines" => {
            for number in 0..count {
                assert_eq!(echoed(&mut shell, &number.into()).await, number.into());
            }
        }
        _ => {
            let command = Command::new("Write-Endless").parameter("Size", 10_000);
            let limits = Limits { output: u64::try_from(count).unwrap(), ..Limits::default() };
            let mut running = shell.run(Uuid::new_v4(), CreatePipeline::new(vec![command]), limits).await.unwrap();
            while running.next().await.is_some() {}
            let end = running.end().await;
            assert!(matches!(end, End::Finished { truncated: Some(Truncated::Output), .. }), "{end:?}");
        }
    }
    shell.close().await.unwrap();
    println!("peak {}", peak());
}

/// The peak of a process that does so much of something, in kB.
fn measured(judge: &Judge, what: &str, count: u32) -> u64 {
    let output = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_is_measured", "--nocapture"])
        .env("RELEVO_TEST_URL", judge.url("/wsman"))
        .env("RELEVO_TEST_WHAT", what)
        .env("RELEVO_TEST_COUNT", count.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let peak = text.lines().find_map(|line| line.split("peak ").nth(1)).expect("it says its peak").trim().parse().unwrap();
    println!("{what} × {count}: {peak} kB");
    peak
}

#[test]
fn ten_thousand_objects_take_no_more_memory_than_a_thousand() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let (few, many) = (measured(&judge, "objects", 1000), measured(&judge, "objects", 10_000));
    // Nine megabytes more have passed through.
    assert!(many < few + 3000, "{few} kB and {many} kB");
}

#[test]
fn endless_output_is_stopped_at_the_limit_without_being_kept() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let (few, many) = (measured(&judge, "endless", 1 << 20), measured(&judge, "endless", 16 << 20));
    assert!(many < few + 4000, "{few} kB and {many} kB");
}

#[test]
fn four_thousand_small_pipelines_in_one_shell_take_no_more_memory_than_five_hundred() {
    let Some(judge) = Judge::start(Setup::default()) else { return };
    let (few, many) = (measured(&judge, "pipelines", 500), measured(&judge, "pipelines", 4000));
    // What one forgotten pipeline costs is some 400 bytes: 1400 kB for these. The allocator's own noise is some 250 kB.
    assert!(many < few + 700, "{few} kB and {many} kB");
    judge.assert_no_violations();
}
