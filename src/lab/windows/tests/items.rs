use std::fs;

use super::*;

fn names(ran: &Ran) -> Vec<String> {
    ran.fine().iter().map(|one| text(one, "Name")).collect()
}

fn test_path(world: &mut World, host: &str, path: &str) -> bool {
    world.on(host, Command::new("Test-Path").parameter("LiteralPath", path)).only() == &Value::Bool(true)
}

#[test]
fn a_file_is_shown_as_dotnet_and_the_provider_show_it() {
    let mut world = World::fresh();
    let ran = world.on("gc01", Command::new("Get-Item").argument("d:/groupchatfiles/HELPDESK/2014/../2014/02/001*"));
    let file = ran.only();
    assert!(file.as_object().expect("an object").is("System.IO.FileInfo"));
    assert_eq!(text(file, "FullName"), "D:\\groupchatfiles\\HELPDESK\\2014\\02\\001 Año fiscal.xlsx");
    assert_eq!(text(file, "PSPath"), format!("Microsoft.PowerShell.Core\\FileSystem::{}", text(file, "FullName")));
    assert_eq!(file.get("PSIsContainer"), Some(&Value::Bool(false)));
    assert!(matches!(file.get("Length"), Some(Value::I64(length)) if *length > 0));
    assert_eq!(file.get("LastWriteTimeUtc"), Some(&Value::DateTime("2013-02-05T08:00:13.0000000Z".to_owned())));
    assert_eq!(text(file, "Attributes"), "Archive");
    let ran = world.on("gc01", Command::new("Get-Item").argument("D:\\GroupChatFiles"));
    let folder = ran.only();
    assert!(folder.as_object().expect("an object").is("System.IO.DirectoryInfo"));
    assert_eq!(folder.get("PSIsContainer"), Some(&Value::Bool(true)));
    assert!(folder.get("Length").is_none());
}

#[test]
fn a_listing_takes_what_it_was_asked_for() {
    let mut world = World::fresh();
    let list = || Command::new("Get-ChildItem").argument("D:\\GroupChatFiles\\Helpdesk");
    assert_eq!(names(&world.on("gc01", list())), ["2013", "2014", "2015"]);
    assert!(names(&world.on("gc01", list().switch("File"))).is_empty());
    assert_eq!(world.on("gc01", list().switch("Recurse").switch("File")).fine().len(), 40);
    assert_eq!(names(&world.on("gc01", list().parameter("Depth", 0))), ["2013", "2014", "2015"]);
    let filtered = names(&world.on("gc01", list().argument("*.txt").switch("Recurse")));
    assert!(!filtered.is_empty() && filtered.iter().all(|name| name.ends_with("txt")));
    let include = list().switch("Recurse").parameter("Include", Value::list(["*.png", "*.jpg"])).parameter("Exclude", "*IMG*");
    let included = names(&world.on("gc01", include));
    assert!(!included.is_empty() && included.iter().all(|name| name.ends_with("png")));
    let relative = world.on("gc01", list().switch("Name").switch("Recurse").switch("File"));
    assert!(relative.fine().iter().any(|name| name.to_text().starts_with("2013\\")));
    assert_eq!(names(&world.on("gc01", Command::new("Get-ChildItem").argument("D:\\GroupChat*\\[hs]*"))), ["Helpdesk"]);
    let ran = world.on("gc01", Command::new("Get-ChildItem").parameter("LiteralPath", "D:\\[x]"));
    assert_eq!(ran.ids(), ["PathNotFound,Microsoft.PowerShell.Commands.GetChildItemCommand"]);
    assert_eq!(ran.errors()[0].message(), "Cannot find path 'D:\\[x]' because it does not exist.");
}

#[test]
fn what_is_not_there_is_answered_by_its_kind() {
    let mut world = World::fresh();
    let get = |path: &str| Command::new("Get-Item").parameter("LiteralPath", path);
    let class = "Microsoft.PowerShell.Commands.GetItemCommand";
    for (path, ids) in [
        ("Q:\\x", vec!["DriveNotFound"]),
        ("D:\\nothing", vec!["PathNotFound"]),
        ("D:\\a:b", vec!["ItemExistsNotSupportedError", "PathNotFound"]),
        ("D:\\a|b", vec!["ItemExistsArgumentError", "PathNotFound"]),
        (&format!("D:\\{}", "x".repeat(300)), vec!["ItemExistsPathTooLongError", "PathNotFound"]),
        ("Nothing::D:\\", vec!["ProviderNotFound"]),
        ("\\\\nowhere\\share", vec!["PathNotFound"]),
        ("D:\\con", vec!["PathNotFound"]),
        ("\\\\?\\D:\\GroupChatFiles", vec!["ItemExistsArgumentError", "PathNotFound"]),
    ] {
        let ran = world.on("gc01", get(path));
        assert_eq!(ran.ids(), ids.iter().map(|id| format!("{id},{class}")).collect::<Vec<_>>(), "{path}");
        assert!(!test_path(&mut world, "gc01", "D:\\nothing"));
    }
    assert!(world.on("gc01", Command::new("Get-Item").argument("D:\\nothing*")).fine().is_empty());
    let ran = world.on("gc01", Command::new("Get-Item").argument("D:\\[z-a]"));
    assert_eq!(ran.ids(), [format!("WildcardPattern_Invalid,{class}")]);
    assert!(test_path(&mut world, "gc01", "Microsoft.PowerShell.Core\\FileSystem::D:\\groupCHATfiles"));
    assert!(test_path(&mut world, "gc01", "HKLM:\\SYSTEM\\CurrentControlSet\\Services\\w32time"));
    let leaf = Command::new("Test-Path").argument("D:\\GroupChatFiles").parameter("PathType", "Leaf");
    assert_eq!(world.on("gc01", leaf).only(), &Value::Bool(false));
}

#[test]
fn only_a_machine_that_may_hop_reaches_a_share() {
    let mut world = World::fresh();
    assert!(test_path(&mut world, "gc01", "\\\\fs01\\LyncShare"));
    assert!(test_path(&mut world, "gc01", "\\\\FS01.contoso.lan\\lyncshare"));
    assert!(test_path(&mut world, "fs01", "\\\\fs01\\LyncShare"));
    assert!(test_path(&mut world, "fs01", "\\\\fs01\\d$\\LyncShare"));
    assert!(!test_path(&mut world, "gc01", "\\\\fs01\\Nothing"));
    let ran = world.on("pc01", Command::new("Test-Path").argument("\\\\fs01\\LyncShare"));
    assert_eq!(ran.ids(), ["ItemExistsUnauthorizedAccessError,Microsoft.PowerShell.Commands.TestPathCommand"]);
    assert_eq!(ran.errors()[0].message(), "Access is denied");
    assert_eq!(ran.objects(), [&Value::Bool(false)]);
    let ran = world.on("pc01", Command::new("Get-ChildItem").argument("\\\\fs01\\LyncShare"));
    assert_eq!(ran.ids().len(), 2);
    let source = "D:\\GroupChatFiles\\Helpdesk";
    let copy = |to: &str| Command::new("Copy-Item").argument(source).argument(to).switch("Recurse");
    assert!(world.on("gc01", copy("\\\\fs01\\LyncShare\\Files")).fine().is_empty());
    let list = Command::new("Get-ChildItem").argument("D:\\LyncShare").switch("Recurse").switch("File");
    assert_eq!(world.on("fs01", list).fine().len(), 40);
}

#[test]
fn a_copy_has_the_bytes_and_the_time_of_its_source() {
    let mut world = World::fresh();
    let copy = |to: &str| Command::new("Copy-Item").parameter("LiteralPath", "D:\\GroupChatFiles").argument(to).switch("Recurse");
    let ran = world.on("gc01", copy("D:\\Copy"));
    assert!(ran.fine().is_empty() && ran.wrote);
    assert_eq!(ran.detail["copied_files"], 320);
    let list = |world: &mut World, folder: &str| {
        let command = Command::new("Get-ChildItem").argument(folder).switch("Recurse").switch("File");
        let ran = world.on("gc01", command);
        let facts = |file: &&Value| {
            let path = text(file, "FullName");
            (path[folder.len()..].to_owned(), text(file, "Length"), text(file, "LastWriteTimeUtc"))
        };
        let files: Vec<_> = ran.fine().iter().map(facts).collect();
        let paths: Vec<String> = files.iter().map(|(path, ..)| format!("{folder}{path}")).collect();
        let ran = world.on("gc01", Command::new("Get-FileHash").parameter("LiteralPath", Value::list(paths)));
        (files, ran.fine().iter().map(|one| text(one, "Hash")).collect::<Vec<_>>())
    };
    let copied = list(&mut world, "D:\\Copy");
    assert_eq!(copied, list(&mut world, "D:\\GroupChatFiles"));
    assert_eq!(copied.1.len(), 320);
    // Into a folder that is there it becomes one below it; without force what is there already is an error, and is filled.
    assert!(world.on("gc01", Command::new("New-Item").argument("D:\\Other").parameter("Type", "Directory")).wrote);
    assert!(world.on("gc01", copy("D:\\Other")).fine().is_empty());
    assert!(test_path(&mut world, "gc01", "D:\\Other\\GroupChatFiles\\Helpdesk"));
    let ran = world.on("gc01", copy("D:\\Other"));
    assert_eq!(ran.ids()[0], "DirectoryExist,Microsoft.PowerShell.Commands.CopyItemCommand");
    assert_eq!(ran.detail["copied_files"], 320);
    assert!(world.on("gc01", copy("D:\\Other").switch("Force")).fine().is_empty());
    // Without recursion a folder is copied without what is in it.
    let bare = Command::new("Copy-Item").argument("D:\\GroupChatFiles").argument("D:\\Bare");
    assert!(world.on("gc01", bare).fine().is_empty());
    assert!(world.on("gc01", Command::new("Get-ChildItem").argument("D:\\Bare")).fine().is_empty());
}

#[test]
fn a_copy_that_cannot_be_says_why_and_goes_on() {
    let mut world = World::fresh();
    let source = "D:\\GroupChatFiles\\Helpdesk\\2013\\01\\000 Minutes.docx";
    let copy = |from: Value, to: &str| Command::new("Copy-Item").parameter("LiteralPath", from).parameter("Destination", to);
    let class = "Microsoft.PowerShell.Commands.CopyItemCommand";
    for (from, to, id) in [
        (source, source, "CopyError"),
        (source, "D:\\nowhere\\x", "CopyFileInfoItemIOError"),
        (source, "D:\\NUL.txt", "CopyError"),
        (source, "Q:\\x", "DriveNotFound"),
        ("D:\\GroupChatFiles", source, "CopyContainerItemToLeafError"),
        ("D:\\GroupChatFiles", "D:\\GroupChatFiles\\Helpdesk\\2013", "CopyError"),
    ] {
        let ran = world.on("gc01", copy(from.into(), to));
        assert_eq!(ran.ids(), [format!("{id},{class}")], "{from} to {to}");
        assert!(!ran.wrote);
    }
    let ran = world.on("gc01", copy(Value::list(["D:\\nothing", source]), "D:\\minutes.docx"));
    assert_eq!(ran.ids(), [format!("PathNotFound,{class}")]);
    assert!(ran.wrote && test_path(&mut world, "gc01", "D:\\Minutes.docx"));
    let ran = world.on("gc01", copy(source.into(), "D:\\other.docx").switch("WhatIf"));
    assert!(!ran.wrote && !test_path(&mut world, "gc01", "D:\\other.docx"));
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_written_is_replaced_only_with_force() {
    let mut world = World::fresh();
    let source = "D:\\GroupChatFiles\\Helpdesk\\2013\\01\\000 Minutes.docx";
    let make = Command::new("New-Item").argument("D:\\kept").parameter("ItemType", "File").parameter("Value", "old");
    assert!(world.on("gc01", make).wrote);
    let real = world.machine("gc01").files.join("D/kept");
    let mut permissions = fs::metadata(&real).expect("a file").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&real, permissions).expect("permissions");
    let copy = || Command::new("Copy-Item").argument(source).argument("D:\\kept");
    let ran = world.on("gc01", copy());
    assert_eq!(ran.ids(), ["CopyFileInfoItemUnauthorizedAccessError,Microsoft.PowerShell.Commands.CopyItemCommand"]);
    assert_eq!(fs::read(&real).expect("bytes"), b"old");
    let ran = world.on("gc01", Command::new("Remove-Item").argument("D:\\kept"));
    assert_eq!(ran.ids(), ["RemoveFileSystemItemUnAuthorizedAccess,Microsoft.PowerShell.Commands.RemoveItemCommand"]);
    assert!(world.on("gc01", copy().switch("Force")).fine().is_empty());
    assert_ne!(fs::read(&real).expect("bytes"), b"old");
}

#[test]
fn items_are_made_renamed_and_removed_with_the_refusals_of_windows() {
    let mut world = World::fresh();
    let make = |path: &str, kind: &str| Command::new("New-Item").parameter("Path", path).parameter("ItemType", kind);
    let ran = world.on("gc01", make("D:\\a\\b", "directory"));
    assert_eq!(text(ran.only(), "FullName"), "D:\\a\\b");
    let class = "Microsoft.PowerShell.Commands.NewItemCommand";
    assert_eq!(world.on("gc01", make("d:\\A", "Directory")).ids(), [format!("DirectoryExist,{class}")]);
    assert_eq!(world.on("gc01", make("d:\\A", "Directory").switch("Force")).fine().len(), 1);
    assert_eq!(world.on("gc01", make("D:\\a\\c\\x.txt", "File")).ids(), [format!("NewItemIOError,{class}")]);
    let forced = make("D:\\a\\c\\x.txt", "File").switch("Force").parameter("Value", "é");
    assert_eq!(text(world.on("gc01", forced).only(), "Length"), "2");
    assert_eq!(
        world.on("gc01", make("D:\\a\\c\\X.TXT", "File")).errors()[0].message(),
        "The file 'D:\\a\\c\\X.TXT' already exists."
    );
    assert_eq!(world.on("gc01", make("D:\\lpt1.txt", "File")).ids(), [format!("NewItemError,{class}")]);
    assert_eq!(world.on("gc01", make("D:\\com3\\x", "Directory")).ids(), [format!("NewItemError,{class}")]);

    let rename = |path: &str, name: &str| Command::new("Rename-Item").argument(path).argument(name).switch("PassThru");
    assert_eq!(text(world.on("gc01", rename("D:\\a\\c\\x.txt", "y.txt")).only(), "Name"), "y.txt");
    assert_eq!(text(world.on("gc01", rename("D:\\a\\c\\y.txt", "Y.TXT")).only(), "Name"), "Y.TXT");
    let class = "Microsoft.PowerShell.Commands.RenameItemCommand";
    assert_eq!(world.on("gc01", rename("D:\\a\\b", "C")).ids(), [format!("RenameItemIOError,{class}")]);
    assert_eq!(world.on("gc01", rename("D:\\a\\b", "..\\d")).ids(), [format!("Argument,{class}")]);
    assert_eq!(world.on("gc01", rename("D:\\nothing", "d")).ids(), [format!("InvalidOperation,{class}")]);

    let remove = |path: &str| Command::new("Remove-Item").parameter("LiteralPath", path);
    let ran = world.on("gc01", remove("D:\\a"));
    assert_eq!(ran.end().0, "HostFunctionNotImplemented,Microsoft.PowerShell.Commands.RemoveItemCommand");
    assert!(ran.end().1.contains("The item at D:\\a has children and the Recurse parameter was not specified."));
    assert!(
        !world.on("gc01", remove("D:\\a").switch("Recurse").switch("WhatIf")).wrote
            && test_path(&mut world, "gc01", "D:\\a\\c\\y.txt")
    );
    assert!(world.on("gc01", remove("D:\\A").switch("Recurse")).wrote);
    assert!(!test_path(&mut world, "gc01", "D:\\a"));
    assert_eq!(world.on("gc01", remove("D:\\a")).ids(), ["PathNotFound,Microsoft.PowerShell.Commands.RemoveItemCommand"]);
    assert!(!world.on("gc01", remove("D:\\..\\.").switch("Recurse").switch("Force")).wrote, "a drive stays");
    assert!(!world.on("gc01", remove("D:\\GroupChatFiles").switch("Recurse").switch("Confirm")).wrote, "nobody to ask");
}

#[test]
fn text_is_written_and_read_in_the_encodings_of_windows() {
    let mut world = World::fresh();
    let set = |encoding: &str| {
        Command::new("Set-Content").argument("D:\\t.txt").argument(Value::list(["año €", "б"])).parameter("Encoding", encoding)
    };
    let real = world.machine("gc01").files.join("D/t.txt");
    for (encoding, bytes) in [
        ("UTF8", "\u{feff}año €\r\nб\r\n".as_bytes().to_vec()),
        ("Default", b"a\xf1o \x80\r\n?\r\n".to_vec()),
        ("Ascii", b"a?o ?\r\n?\r\n".to_vec()),
    ] {
        assert!(world.on("gc01", set(encoding)).wrote);
        assert_eq!(fs::read(&real).expect("bytes"), bytes, "{encoding}");
    }
    assert!(world.on("gc01", set("Unicode")).wrote);
    let get = || Command::new("Get-Content").argument("D:\\t.txt");
    let ran = world.on("gc01", get());
    assert_eq!(ran.fine(), [&Value::from("año €"), &Value::from("б")]);
    assert_eq!(world.on("gc01", get().switch("Raw")).only(), &Value::from("año €\r\nб\r\n"));
    assert_eq!(world.on("gc01", get().parameter("Tail", 1)).only(), &Value::from("б"));
    let ran = world.on("gc01", Command::new("Get-Content").argument("D:\\GroupChatFiles"));
    assert_eq!(ran.ids(), ["GetContentReaderUnauthorizedAccessError,Microsoft.PowerShell.Commands.GetContentCommand"]);
    let ran = world.on("gc01", Command::new("Set-Content").argument("D:\\no\\t.txt").argument("x"));
    assert_eq!(ran.ids(), ["GetContentWriterDirectoryNotFoundError,Microsoft.PowerShell.Commands.SetContentCommand"]);
}

#[test]
fn bytes_are_read_one_by_one_in_arrays_or_as_one_array_of_bytes() {
    let mut world = World::fresh();
    let real = world.machine("gc01").files.join("D/b");
    fs::write(&real, [0, 255, 13, 10]).expect("written");
    let get = || Command::new("Get-Content").argument("D:\\b").parameter("Encoding", "Byte");
    let bytes = [0_u8, 255, 13, 10].map(Value::U8);
    assert_eq!(world.on("gc01", get()).fine(), bytes.iter().collect::<Vec<_>>());
    assert_eq!(world.on("gc01", get().parameter("ReadCount", 0)).only(), &Value::array(bytes.clone()));
    let ran = world.on("gc01", get().parameter("ReadCount", 3));
    assert_eq!(ran.fine(), [&Value::array(bytes[..3].to_vec()), &Value::array(bytes[3..].to_vec())]);
    assert_eq!(world.on("gc01", get().parameter("Tail", 1)).only(), &bytes[3]);
    assert_eq!(world.on("gc01", get().switch("Raw")).only(), &Value::Bytes(vec![0, 255, 13, 10]));
    // What is read at once comes in an array, be it one thing only.
    let ran = world.on("gc01", get().switch("Raw").parameter("ReadCount", 0));
    assert_eq!(ran.only(), &Value::array([Value::Bytes(vec![0, 255, 13, 10])]));
    // Larger than is read byte by byte, and than as text.
    fs::write(&real, vec![7; 17 << 20]).expect("written");
    assert_eq!(world.on("gc01", get().switch("Raw")).only().as_bytes().map(<[u8]>::len), Some(17 << 20));
    let class = "Microsoft.PowerShell.Commands.GetContentCommand";
    assert_eq!(world.on("gc01", get()).ids(), [format!("GetContentReaderIOError,{class}")]);
    fs::write(&real, []).expect("written");
    assert!(world.on("gc01", get().switch("Raw")).fine().is_empty() && world.on("gc01", get()).fine().is_empty());
}

#[test]
fn hashes_are_those_that_others_compute() {
    let mut world = World::fresh();
    let write =
        Command::new("Set-Content").argument("D:\\abc").argument("abc").parameter("Encoding", "Ascii").switch("NoNewline");
    assert!(world.on("gc01", write).wrote);
    for (algorithm, hash) in [
        ("md5", "900150983CD24FB0D6963F7D28E17F72"),
        ("SHA1", "A9993E364706816ABA3E25717850C26C9CD0D89D"),
        ("sha256", "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
    ] {
        let ran = world.on("gc01", Command::new("Get-FileHash").argument("D:\\abc").parameter("Algorithm", algorithm));
        assert_eq!((text(ran.only(), "Hash"), text(ran.only(), "Path")), (hash.to_owned(), "D:\\abc".to_owned()));
    }
    let ran =
        world.on("gc01", Command::new("Get-FileHash").parameter("LiteralPath", Value::list(["D:\\nothing", "D:\\abc", "D:\\"])));
    assert_eq!(ran.ids(), ["PathNotFound,Microsoft.PowerShell.Commands.ResolvePathCommand"]);
    assert_eq!(ran.objects().len(), 1);
    let ran = world.on("gc01", Command::new("Get-FileHash").argument("D:\\abc").parameter("Algorithm", "CRC"));
    assert_eq!(ran.end().0, "ParameterArgumentValidationError,Get-FileHash");
}
