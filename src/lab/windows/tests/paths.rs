use std::path::{Component, Path};

use proptest::prelude::*;

use super::*;
use crate::lab::windows::astray::Astray;
use crate::lab::windows::drives::{Eye, Spot};

fn eye(world: &World) -> Eye<'_> {
    let machine = world.machines.iter().find(|machine| machine.name == "gc01").expect("a machine");
    Eye { machine, others: &world.machines, account: "CONTOSO\\svc-mig" }
}

/// Whether a real path lies in the folder of a machine, in a drive's.
fn within(world: &World, path: &Path) -> bool {
    let plain = path.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir));
    let drives = world.machines.iter().flat_map(|machine| [machine.files.join("C"), machine.files.join("D")]);
    plain && drives.into_iter().any(|drive| path.starts_with(drive))
}

#[test]
fn a_path_is_taken_apart_as_windows_does_it() {
    let world = World::fresh();
    let shown = |path: &str| match eye(&world).literal(path) {
        Ok(Spot::File(place)) => place.shown(),
        other => format!("{other:?}"),
    };
    for (path, expected) in [
        ("d:/GroupChatFiles//x\\.\\y\\", "D:\\GroupChatFiles\\x\\y"),
        ("D:\\..\\..\\x\\..", "D:\\"),
        ("D:x", "D:\\x"),
        ("\\x", "C:\\x"),
        ("x", "C:\\Users\\svc-mig\\Documents\\x"),
        ("D:\\name. .\\b ", "D:\\name\\b"),
        ("FileSystem::D:\\x", "D:\\x"),
        ("\\\\fs01\\LyncShare\\..\\..\\x", "\\\\fs01\\LyncShare\\x"),
    ] {
        assert_eq!(shown(path), expected, "{path}");
    }
    assert_eq!(eye(&world).literal("HKLM:\\a\\..\\B"), Ok(Spot::Key(crate::lab::windows::drives::Key("B".to_owned()))));
    assert!(matches!(eye(&world).literal("DD:\\x"), Err(Astray::Drive(_))));
    assert!(matches!(eye(&world).literal("\\\\fs01\\LyncShare:x\\y"), Err(Astray::Illegal(_))));
}

#[cfg(unix)]
#[test]
fn a_link_in_the_real_folder_leads_nowhere() {
    let mut world = World::fresh();
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("secret"), "x").expect("a file");
    let drive = world.machine("gc01").files.join("D");
    std::os::unix::fs::symlink(outside.path(), drive.join("out")).expect("a link");
    std::os::unix::fs::symlink(outside.path().join("secret"), drive.join("file")).expect("a link");
    for path in ["D:\\out\\secret", "D:\\OUT\\secret", "D:\\file", "D:\\out"] {
        let ran = world.on("gc01", Command::new("Test-Path").parameter("LiteralPath", path));
        assert_eq!(ran.objects(), [&Value::Bool(false)], "{path}");
        for command in ["Get-Content", "Remove-Item", "Get-FileHash", "Get-ChildItem"] {
            let ran = world.on("gc01", Command::new(command).parameter("LiteralPath", path));
            assert!(ran.objects().is_empty() && !ran.errors().is_empty() && !ran.wrote, "{command} {path}");
        }
        let ran = world.on("gc01", Command::new("Set-Content").argument(path).argument("y"));
        assert!(!ran.errors().is_empty() && !ran.wrote);
        let ran = world.on("gc01", Command::new("Copy-Item").argument("D:\\GroupChatFiles").argument(path).switch("Recurse"));
        assert!(!ran.wrote, "{path}");
    }
    let list = Command::new("Get-ChildItem").argument("D:\\").switch("Recurse").switch("Name");
    assert!(world.on("gc01", list).objects().iter().all(|name| !name.to_text().contains("secret")));
    let copy = Command::new("Copy-Item").argument("D:\\*").argument("C:\\all").switch("Recurse");
    let _ = world.on("gc01", copy);
    assert!(world.on("gc01", Command::new("Remove-Item").argument("D:\\*").switch("Recurse")).wrote);
    assert_eq!(std::fs::read(outside.path().join("secret")).expect("still there"), b"x");
}

fn path() -> impl Strategy<Value = String> {
    let root = prop::sample::select(vec![
        "D:\\",
        "d:/",
        "C:",
        "\\\\fs01\\LyncShare\\",
        "\\\\fs01\\d$\\",
        "\\\\gc01\\C$",
        "\\\\sql01\\D$",
        "",
        "\\",
        "/",
        "..\\",
        "FileSystem::D:",
        "\\\\..\\..\\",
        "\\\\fs01\\..\\",
        "D:\\..",
        "\\\\?\\C:\\",
        "\\\\.\\C:\\",
        "Z:\\",
        "HKLM:\\",
    ]);
    let part = prop_oneof![
        prop::sample::select(vec![
            "..",
            ".",
            "...",
            " ",
            "GroupChatFiles",
            "HELPDESK",
            "Windows",
            "LyncShare",
            "out",
            "OUT",
            "con",
            "a b",
            "é",
            "a:b",
            "x\0y",
            "*",
            "[a-z]*",
            "`*",
            "..*",
            "?..",
            "~",
            "$env:x",
            "%TEMP%",
            "\u{202e}",
            ".. ",
            ". .",
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ];
    let separator = prop::sample::select(vec!["\\", "/", "\\\\", "//"]);
    (root, prop::collection::vec((part, separator), 0..6))
        .prop_map(|(root, parts)| parts.into_iter().fold(root.to_owned(), |path, (part, separator)| path + &part + separator))
}

#[test]
fn no_path_leads_out_of_a_machines_folder() {
    let world = World::fresh();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/", eye(&world).machine.files.join("D/out")).expect("a link");
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let looked = std::cell::Cell::new(0);
    let result = runner.run(&path(), |path| {
        let eye = eye(&world);
        let mut spots: Vec<Spot> = eye.literal(&path).into_iter().collect();
        spots.extend(eye.expand(&path).unwrap_or_default());
        for spot in spots {
            let Spot::File(place) = spot else { continue };
            for place in [place.parent(), place] {
                if let Ok((real, there)) = place.real() {
                    looked.set(looked.get() + 1);
                    prop_assert!(within(&world, &real), "{path:?} led to {real:?}");
                    let canonical = real.canonicalize();
                    prop_assert!(!there || canonical.is_ok_and(|canonical| within(&world, &canonical)), "{path:?}: {real:?}");
                }
                for child in place.children().unwrap_or_default() {
                    prop_assert!(within(&world, &child.path));
                }
            }
        }
        Ok(())
    });
    result.expect("no path leads out");
    assert!(looked.get() > 5_000, "too few paths led anywhere: {}", looked.get());
}
