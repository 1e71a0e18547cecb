//! No text that the guard lets through changes a database.

use proptest::prelude::*;
use relevo::connector::mssql::guard::select;

/// Pieces of statements, most of them harmful or odd.
fn piece() -> impl Strategy<Value = String> {
    let harmful = [
        "DELETE FROM t",
        "INSERT INTO t VALUES (9, 'x')",
        "UPDATE t SET n = 9",
        "DROP TABLE t",
        "CREATE TABLE u (n)",
        "REPLACE INTO t VALUES (1, 'y')",
        "ALTER TABLE t ADD COLUMN z",
        "ATTACH ':memory:' AS z",
        "PRAGMA user_version = 9",
        "VACUUM",
        "INTO u",
        "EXEC sp_who",
        "MERGE",
        "TRUNCATE TABLE t",
        "SELECT 2",
        "WITH a AS (SELECT 1)",
        "BEGIN",
        "COMMIT",
        "DELETE",
        "INSERT",
        "UPDATE",
        "DROP",
        "REINDEX",
        "ANALYZE",
    ];
    let plain = [
        "COUNT(*)",
        "n",
        "t",
        "FROM t",
        "WHERE",
        "1",
        "'a'",
        "AS",
        "[n]",
        "\"n\"",
        "UNION ALL SELECT 1",
        "EXISTS (SELECT 1 FROM t)",
        "(",
        ")",
        ",",
        "=",
        "+",
        "-",
        "*",
        "CASE WHEN 1 THEN 2 END",
        "GROUP BY n",
        "IN (1, 2)",
        "LIKE",
        "N'x'",
        "REPLACE('a', 'b', 'c')",
    ];
    let odd = [
        ";", "--", "/*", "*/", "'", "''", "\"", "[", "]", "]]", "\n", "\nGO\n", "$(x)", "\\", "`", "\u{a0}", "\u{2028}", "\0",
        ":r", "!!", "{", "@x", "/* ; */", "-- x\n", "'--'", "[;]", "\";\"", "';'", "/*'*/", "0x", "1e5", ".",
    ];
    prop_oneof![
        3 => prop::sample::select(harmful.to_vec()).prop_map(str::to_owned),
        6 => prop::sample::select(plain.to_vec()).prop_map(str::to_owned),
        4 => prop::sample::select(odd.to_vec()).prop_map(str::to_owned),
        1 => "[ -~]{0,6}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    let begin = prop_oneof![
        6 => Just("SELECT COUNT(*) FROM t"), 3 => Just("SELECT"), 2 => Just("WITH a AS (SELECT 1 AS n)"), 1 => Just(""), 1 => Just("WITH a AS (")
    ];
    (begin, prop::collection::vec((piece(), prop::bool::weighted(0.8)), 0..7)).prop_map(|(begin, pieces)| {
        let mut text = begin.to_owned();
        for (piece, apart) in pieces {
            if apart {
                text.push(' ');
            }
            text.push_str(&piece);
        }
        text
    })
}

/// How a server without semicolons might read it: a new statement wherever a word can begin one, outside of texts and of
/// quoted names. Written without the guard's own lexer.
#[cfg(feature = "lab")]
fn pulled_apart(text: &str) -> String {
    let begins = regex::Regex::new(
        r"(?i)'(?:[^']|'')*'|\[(?:[^\]]|\]\])*\]|\x22(?:[^\x22]|\x22\x22)*\x22|\b(?:INSERT|UPDATE|DELETE|REPLACE INTO|DROP|CREATE|ALTER|ATTACH|PRAGMA|VACUUM|REINDEX|ANALYZE)\b",
    )
    .unwrap();
    let apart = begins.replace_all(text, |found: &regex::Captures<'_>| {
        let own = &found[0];
        if own.starts_with(['\'', '[', '"']) { own.to_owned() } else { format!(";{own}") }
    });
    apart.into_owned()
}

/// Everything that could have changed.
#[cfg(feature = "lab")]
fn fingerprint(connection: &rusqlite::Connection) -> (u64, String, i64, i64) {
    let one = |text: &str| connection.query_row(text, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default();
    let number = |text: &str| connection.query_row(text, [], |row| row.get::<_, i64>(0)).unwrap();
    (
        connection.total_changes(),
        one("SELECT group_concat(name || coalesce(sql, '')) FROM sqlite_master"),
        number("PRAGMA user_version"),
        number("SELECT COUNT(*) FROM pragma_database_list"),
    )
}

#[cfg(feature = "lab")]
#[test]
fn no_text_that_is_let_through_changes_a_database() {
    use proptest::test_runner::{Config, TestRunner};

    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE t (n, s); INSERT INTO t VALUES (1, 'a'), (2, 'b');").unwrap();
    let before = fingerprint(&connection);
    let accepted = std::cell::Cell::new(0_u32);
    let ran = std::cell::Cell::new(0_u32);
    let mut runner = TestRunner::new(Config { cases: 40_000, failure_persistence: None, ..Config::default() });
    let result = runner.run(&text(), |text| {
        let Ok(sent) = select(&text) else { return Ok(()) };
        accepted.set(accepted.get() + 1);
        prop_assert!(!sent.contains(['\n', '\r', ';']) || sent.contains(['\'', '[', '"']), "{sent:?}");
        prop_assert!(!sent.contains("$("));
        // Read again it is the same: what was checked is what is sent.
        prop_assert_eq!(select(&sent), Ok(sent.clone()));
        for way in [sent.clone(), pulled_apart(&sent)] {
            if connection.execute_batch(&way).is_ok() {
                ran.set(ran.get() + 1);
            }
            prop_assert_eq!(&fingerprint(&connection), &before, "{} <- {}", way, text);
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    // A property that nothing reaches proves nothing.
    assert!(accepted.get() > 2_000 && ran.get() > 1_000, "accepted {}, ran {}", accepted.get(), ran.get());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_text_that_holds_a_writing_word_outside_of_quotes_is_refused(
        word in prop::sample::select(vec!["INSERT", "update", "Delete", "MERGE", "EXEC", "execute", "INTO", "DROP", "ALTER", "GO", "TRUNCATE", "GRANT"]),
        before in "[a-z0-9 ,.()*=]{0,12}",
        after in "[a-z0-9 ,.()*=]{0,12}",
        comment in prop::sample::select(vec![" ", "\n", "/**/", "--\n", "\t"]),
    ) {
        let text = format!("SELECT {before}{comment}{word}{comment}{after}");
        prop_assert!(select(&text).is_err(), "{text:?}");
    }

    #[test]
    fn whatever_comes_it_does_not_panic(text in "\\PC{0,60}") {
        let _ = select(&text);
        let _ = select(&format!("SELECT {text}"));
    }
}
