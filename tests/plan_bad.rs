//! Every mistake reads well: each plan in `fixtures/plans/bad` has the report beside it that it must give.
//!
//! Set `RELEVO_BLESS=1` to write the reports anew, and read the difference before you commit it.

mod plan_support;

use std::fmt::Write as _;
use std::path::Path;

use plan_support::{fixtures, load_file};

#[test]
fn every_bad_plan_gives_the_report_beside_it() {
    let bless = std::env::var_os("RELEVO_BLESS").is_some();
    let mut differences = String::new();
    for path in fixtures("bad") {
        let relative = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
        let report = match load_file(relative) {
            Ok(_) => {
                let _ = writeln!(differences, "{} loads without a mistake", relative.display());
                continue;
            }
            Err(report) => {
                // Paths are shown the way the system writes them.
                let text = report.render(false) + "\n";
                if cfg!(windows) { text.replace('\\', "/") } else { text }
            }
        };
        let expected = path.with_extension("txt");
        if bless {
            std::fs::write(&expected, &report).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != report {
            let _ = writeln!(differences, "--- {} gives\n{report}", relative.display());
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn f101_s24_no_report_holds_a_secret() {
    for path in fixtures("bad") {
        let report = load_file(&path).unwrap_err();
        for text in [report.render(false), report.render(true), report.to_json().to_string()] {
            assert!(!text.contains("hunter2"), "{}:\n{text}", path.display());
        }
    }
}

#[test]
fn a_report_for_machines_says_the_same() {
    let report = load_file(Path::new("fixtures/plans/bad/graph.yaml")).unwrap_err();
    let json = report.to_json();
    let first = &json[0];
    assert_eq!(first["file"], "fixtures/plans/bad/graph.yaml");
    assert_eq!((first["line"].as_u64(), first["severity"].as_str()), (Some(4), Some("error")));
    assert_eq!(json.as_array().unwrap().len(), report.findings.len());
}
