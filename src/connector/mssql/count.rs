//! `mssql.count`: numbers that an author's queries give, to be held against others later.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};

use super::row::{Row, whole};
use super::sql::{Place, Sql, database};
use super::{guard, preflight, shown};
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::action::Action;
use crate::connector::powershell::by_hand;
use crate::connector::powershell::hosts::Hosts;
use crate::plan::action::{ArgType, Effect, UndoGrade};
use crate::plan::{ActionSpec, Verdict};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::{Call, Description, Finding, Observation};
use crate::run::event::{Identity, Outcome, Outputs};

/// The action.
#[derive(Debug)]
pub struct Count;

/// Queries of one step at most.
const MOST: usize = 50;

struct Args {
    place: Place,
    database: String,
    /// As they may be sent, by name.
    queries: BTreeMap<String, String>,
    equals: BTreeMap<String, i64>,
}

impl Args {
    fn read(call: &Call) -> Result<Self, String> {
        let place = Place::read(call)?;
        let database = database(call, "database")?;
        let map = |name: &str| match call.with.get(name) {
            None | Some(Json::Null) => Ok(Map::new()),
            Some(Json::Object(map)) => Ok(map.clone()),
            Some(_) => Err(format!("`{name}` must be a map by the names of the queries")),
        };
        let mut queries = BTreeMap::new();
        for (name, text) in map("queries")? {
            let fits = name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphabetic());
            if !fits || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
                return Err(format!("`queries`: `{}` is no name; use letters, digits, `-` and `_`", shown(&name)));
            }
            let text = args::as_text(&text, &format!("queries.{name}"))?;
            let sent = guard::select(&text).map_err(|why| format!("`queries.{name}` is refused: {why}"))?;
            queries.insert(name, sent);
        }
        if queries.is_empty() || queries.len() > MOST {
            return Err(format!(
                "`queries` must hold 1 to {MOST} queries, such as `{{ rooms: \"SELECT COUNT(*) FROM dbo.Node\" }}`"
            ));
        }
        let mut equals = BTreeMap::new();
        for (name, value) in map("equals")? {
            if !queries.contains_key(&name) {
                return Err(format!("`equals.{}` has no query of that name", shown(&name)));
            }
            let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
            let number = number.ok_or_else(|| format!("`equals.{name}` must be a whole number"))?;
            equals.insert(name, number);
        }
        Ok(Args { place, database, queries, equals })
    }

    fn command(&self, text: &str, seconds: i32) -> Command {
        self.place.statement(&self.database, text, seconds).switch("DisableVariables").switch("DisableCommands")
    }
}

/// One row, one column, a whole number.
fn number(objects: Vec<Value>) -> Result<i64, String> {
    let [object] = <[Value; 1]>::try_from(objects).map_err(|all| format!("it gave {} rows instead of one", all.len()))?;
    let row = Row::of(object)?;
    match row.columns().as_slice() {
        [(_, Some(value))] => {
            whole(value).ok_or_else(|| format!("it gave `{}`, which is no whole number", shown(&value.to_text())))
        }
        [(_, None)] => Err("it gave NULL instead of a number".to_owned()),
        columns => Err(format!("it gave {} columns instead of one", columns.len())),
    }
}

/// Every expectation that does not hold, with both numbers.
fn differences(equals: &BTreeMap<String, i64>, counts: &BTreeMap<String, i64>) -> Vec<String> {
    let differs = |(name, expected): (&String, &i64)| match counts.get(name) {
        Some(found) if found == expected => None,
        Some(found) => {
            Some(format!("`{name}` is {found} and was to be {expected} ({:+})", i128::from(*found) - i128::from(*expected)))
        }
        None => Some(format!("`{name}` was not counted")),
    };
    equals.iter().filter_map(differs).collect()
}

/// What came of it.
enum Came {
    Counts(BTreeMap<String, i64>, Vec<String>),
    /// A query that failed, or that gave no number.
    Not(String),
}

async fn count(hosts: &Hosts, call: &Call) -> Result<Came, NoAnswer> {
    let args = Args::read(call)?;
    let mut sql = Sql::look(hosts, call).await?;
    let counted = counted(&mut sql, &args).await;
    sql.close().await;
    counted
}

async fn counted(sql: &mut Sql, args: &Args) -> Result<Came, NoAnswer> {
    let mut counts = BTreeMap::new();
    for (name, text) in &args.queries {
        let command = args.command(text, sql.seconds());
        let answer = sql.run(command).await.map_err(|lost| NoAnswer::from(format!("`{name}`: {}", lost.reason)))?;
        match answer.read().and_then(number) {
            Ok(number) => counts.insert(name.clone(), number),
            Err(why) => return Ok(Came::Not(format!("the query `{name}`: {why}"))),
        };
    }
    let differences = differences(&args.equals, &counts);
    Ok(Came::Counts(counts, differences))
}

fn outputs(counts: &BTreeMap<String, i64>) -> Outputs {
    Map::from_iter([("counts".to_owned(), json!(counts))])
}

fn words(counts: &BTreeMap<String, i64>) -> String {
    counts.iter().map(|(name, number)| format!("{name} {number}")).collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl Action for Count {
    fn spec(&self) -> ActionSpec {
        let mut all = Place::args();
        all.extend([
            args::required("queries", ArgType::Any, "a map from a name to a single SELECT that gives one number"),
            args::optional("equals", ArgType::Any, "a map from a query's name to the number that it must give"),
        ]);
        ActionSpec {
            name: "mssql.count",
            doc: "counts in a database, and holds the numbers against expected ones",
            args: all,
            one_of: Vec::new(),
            effect: Effect::Read,
            generic: false,
            destructive: false,
            undo: UndoGrade::Full,
            keeps: false,
            discovers: false,
            outputs: vec!["counts"],
        }
    }

    async fn preflight(&self, hosts: &Hosts, call: &Call) -> Vec<Finding> {
        match Args::read(call) {
            Err(why) => vec![NoAnswer::from(why).finding()],
            Ok(args) => preflight::reading(hosts, call, &args.database).await,
        }
    }

    async fn describe(&self, _hosts: &Hosts, call: &Call) -> Description {
        let lines = match Args::read(call) {
            Err(why) => vec![why],
            Ok(args) => {
                let mut lines = vec![format!("count in `{}` on {}:", shown(&args.database), args.place.instance)];
                for (name, text) in &args.queries {
                    let expected = args.equals.get(name).map(|number| format!(" (must be {number})")).unwrap_or_default();
                    lines.push(format!("  {name}{expected}: {}", shown(text)));
                }
                lines
            }
        };
        Description { lines, rehearsable: true, outputs: Map::new() }
    }

    async fn probe(&self, hosts: &Hosts, call: &Call) -> Observation {
        match count(hosts, call).await {
            Ok(Came::Counts(counts, differences)) => {
                let mut facts = outputs(&counts);
                facts.extend(
                    counts.iter().filter(|(name, _)| *name != "counts").map(|(name, number)| (name.clone(), json!(number))),
                );
                let (verdict, seen) = match differences.as_slice() {
                    [] => (Verdict::Done, words(&counts)),
                    some => (Verdict::NotDone, some.join("; ")),
                };
                Observation { verdict, seen, facts, outputs: outputs(&counts), identity: Identity::new() }
            }
            Ok(Came::Not(why)) => Observation::unknown(why),
            Err(error) => Observation::unknown(error.reason),
        }
    }

    fn by_hand(&self, _hosts: &Hosts, call: &Call) -> Vec<String> {
        match Args::read(call) {
            Err(why) => vec![format!("# {why}")],
            Ok(args) => {
                let line = |(name, text): (&String, &String)| {
                    let expected = args.equals.get(name).map(|number| format!(", must be {number}")).unwrap_or_default();
                    format!("{}   # {name}{expected}", by_hand::line(&args.command(text, 600)))
                };
                args.queries.iter().map(line).collect()
            }
        }
    }

    async fn apply(&self, hosts: &Hosts, call: &Call) -> Outcome {
        match count(hosts, call).await {
            Ok(Came::Counts(counts, differences)) if differences.is_empty() => Outcome::Applied { outputs: outputs(&counts) },
            Ok(Came::Counts(_, differences)) => {
                Outcome::Rejected { reason: format!("the numbers differ: {}", differences.join("; ")), untouched: true }
            }
            Ok(Came::Not(reason)) => Outcome::Rejected { reason, untouched: true },
            Err(NoAnswer { reason, .. }) => Outcome::NotSent { reason },
        }
    }

    async fn undo(&self, _hosts: &Hosts, _call: &Call, _before_image: Option<&[u8]>) -> Outcome {
        Outcome::Applied { outputs: Map::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[(&str, Value)]) -> Value {
        Value::typed(&["System.Data.DataRow", "System.Object"], None, columns.iter().map(|(name, value)| (*name, value.clone())))
    }

    #[test]
    fn only_one_whole_number_in_one_row_is_a_count() {
        assert_eq!(number(vec![row(&[("Column1", Value::I32(7)), ("HasErrors", Value::Bool(false))])]), Ok(7));
        assert_eq!(number(vec![row(&[("n", Value::I64(i64::MAX))])]), Ok(i64::MAX));
        assert!(number(Vec::new()).is_err());
        assert!(number(vec![row(&[("n", Value::I32(1))]); 2]).is_err());
        assert!(number(vec![row(&[("a", Value::I32(1)), ("b", Value::I32(1))])]).is_err());
        assert!(number(vec![row(&[("a", Value::Nil)])]).is_err_and(|why| why.contains("NULL")));
        assert!(number(vec![row(&[("a", Value::from("7"))])]).is_err());
        assert!(number(vec![row(&[("a", Value::Double(7.5))])]).is_err());
    }

    #[test]
    fn a_difference_is_told_with_both_numbers() {
        let counts = BTreeMap::from([("rooms".to_owned(), 299), ("messages".to_owned(), 5)]);
        let equals = BTreeMap::from([("rooms".to_owned(), 300), ("messages".to_owned(), 5)]);
        assert_eq!(differences(&equals, &counts), ["`rooms` is 299 and was to be 300 (-1)"]);
    }
}
