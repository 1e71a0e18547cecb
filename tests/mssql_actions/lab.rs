//! The lab's SQL Server: what its cmdlets answer, and what a fresh world holds.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use relevo::connector::mssql::queries;
use relevo::lab::windows::cmdlet::{Bound, Event, Stage};
use relevo::lab::windows::cmdlets::sql::ALL;
use relevo::lab::windows::machine::{Machine, Service, Start, State};
use relevo::lab::windows::sql::{self, Instance, create_databases};
use relevo::remoting::clixml::Value;
use relevo::remoting::psrp::ErrorRecord;
use tempfile::TempDir;

pub const INSTANCE: &str = "sql01.contoso.lan\\RTC";

/// One machine with the databases of a fresh world.
pub struct World {
    pub machine: Machine,
    _folder: TempDir,
}

/// Made once; each test gets a copy of its files.
static FRESH: OnceLock<TempDir> = OnceLock::new();

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn machine(files: &std::path::Path) -> Machine {
    Machine { name: "sql01".to_owned(), files: files.to_owned(), ..Machine::default() }
}

impl World {
    pub fn fresh() -> Self {
        let fresh = FRESH.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            create_databases(&machine(folder.path())).unwrap();
            folder
        });
        let folder = tempfile::tempdir().unwrap();
        copy(fresh.path(), folder.path());
        World { machine: machine(folder.path()), _folder: folder }
    }

    pub fn instance(&self) -> Instance {
        Instance::find(&self.machine, "rtc").unwrap()
    }

    /// Calls a cmdlet. Gives its output, and whether it says that it changed something.
    pub fn call(&mut self, account: &str, name: &str, given: &[(&str, Value)]) -> Result<(Vec<Value>, bool), ErrorRecord> {
        let cmdlet = ALL.iter().find(|one| one.name == name).unwrap();
        for (parameter, _) in given {
            assert!(cmdlet.parameters.iter().any(|one| one.name.eq_ignore_ascii_case(parameter)), "{name} has no -{parameter}");
        }
        let bound: BTreeMap<String, Value> = given.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
        let mut stage = Stage::new(&mut self.machine, &[], account);
        (cmdlet.run)(&mut stage, &Bound(bound))?;
        let wrote = stage.wrote;
        let output = |event: Event| match event {
            Event::Output(value) => value,
            other => panic!("{other:?}"),
        };
        Ok((stage.events.into_iter().map(output).collect(), wrote))
    }

    pub fn query_as(&mut self, account: &str, database: &str, text: &str) -> Result<Vec<Value>, ErrorRecord> {
        let given = [
            ("ServerInstance", INSTANCE.into()),
            ("Database", database.into()),
            ("Query", text.into()),
            ("QueryTimeout", 60.into()),
        ];
        self.call(account, "Invoke-Sqlcmd", &given).map(|(rows, _)| rows)
    }

    #[track_caller]
    pub fn query(&mut self, database: &str, text: &str) -> Vec<Value> {
        self.query_as("CONTOSO\\svc-mig", database, text).unwrap_or_else(|error| panic!("{text}: {}", error.exception_message))
    }

    #[track_caller]
    pub fn number(&mut self, database: &str, text: &str) -> i64 {
        let rows = self.query(database, text);
        rows[0].as_object().unwrap().adapted[0].value.as_i64().unwrap()
    }

    #[track_caller]
    fn error(&mut self, text: &str) -> String {
        let error = self.query_as("CONTOSO\\svc-mig", "mgc", text).unwrap_err();
        assert_eq!(error.fully_qualified_id, "SqlError,Microsoft.SqlServer.Management.PowerShell.GetScriptCommand");
        error.exception_message
    }
}

#[test]
fn every_query_of_the_connector_is_answered_with_its_columns() {
    let mut world = World::fresh();
    world.instance().connect_somebody(60, "mgc", "CONTOSO\\svc-chat", "PC01", "ChannelService").unwrap();
    world.instance().begin_request(61, "BACKUP DATABASE", "mgc", 40.0).unwrap();
    for (database, text, columns) in [
        ("master", queries::DATABASES, &["name", "state_desc"][..]),
        ("master", queries::UNDER_WAY, &["session_id", "command", "database_name", "percent_complete"]),
        ("master", queries::CONNECTED, &["spid", "database_name", "loginame", "hostname"]),
        ("master", queries::SIZES, &["database_name", "type_desc", "bytes"]),
        (
            "mgc",
            queries::RIGHTS,
            &["is_sysadmin", "is_dbcreator", "sees_all", "may_back_up", "may_write", "machine", "version", "login_name"],
        ),
    ] {
        let rows = world.query(database, text);
        assert!(!rows.is_empty(), "{text}");
        for column in columns {
            assert!(rows[0].get(column).is_some_and(|value| !value.is_nil()), "{column} of {text}");
        }
    }
    for (database, text) in [("msdb", queries::BACKUPS), ("msdb", queries::RESTORES)] {
        assert!(world.query(database, text).is_empty());
    }
    let busy = world.query("master", queries::UNDER_WAY);
    assert_eq!((busy.len(), busy[0].get("database_name").and_then(Value::as_str)), (1, Some("mgc")));
    // Whoever may not see what others do sees nothing.
    let blind = world.query_as("CONTOSO\\svc-blind", "master", queries::UNDER_WAY).unwrap();
    assert!(blind.is_empty());
}

#[test]
fn a_fresh_world_holds_rooms_messages_and_everything_that_a_migration_stumbles_over() {
    let mut world = World::fresh();
    let legacy = sql::LEGACY;
    assert_eq!(world.number(legacy, "SELECT COUNT(*) FROM dbo.Node WHERE nodeType = 0"), 300);
    assert_eq!(world.number(legacy, "SELECT COUNT(*) FROM [dbo].[Chat]"), 100_000);
    assert!(world.number(legacy, "SELECT COUNT(*) FROM Principal WHERE prinDisabled = 1") > 5);
    assert!(world.number(legacy, "SELECT COUNT(*) FROM Principal WHERE prinADPath IS NULL AND prinTypeID = 6") > 5);
    assert!(world.number(legacy, "SELECT COUNT(*) FROM Node WHERE LEN(nodeName) > 200") > 3);
    let nested = "SELECT COUNT(*) FROM Node AS a INNER JOIN Node AS b ON b.nodeID = a.parentID INNER JOIN Node AS c ON c.nodeID = b.parentID \
                  WHERE a.nodeType = 1 AND b.parentID <> 1 AND b.nodeID <> c.nodeID AND c.nodeID <> 1";
    assert!(world.number(legacy, nested) > 2);
    let disabled = "SELECT COUNT(*) FROM PrincipalRole AS r INNER JOIN Principal AS p ON p.prinID = r.prinRolePrinID WHERE p.prinDisabled = 1";
    assert!(world.number(legacy, disabled) > 10);
    assert!(
        world.number(legacy, "SELECT COUNT(*) FROM Node WHERE nodeType = 0 AND nodeID NOT IN (SELECT channelId FROM Chat)") > 0
    );
    for (text, expected) in [("SELECT COUNT(*) FROM mgc.dbo.tblNode", 1), ("SELECT COUNT(*) FROM mgc..tblChat", 0)] {
        assert_eq!(world.number(legacy, text), expected);
    }
    assert_eq!(world.number("mgccomp", "SELECT COUNT(*) FROM tblComplianceData"), 0);
    // The same in every world.
    let sum = "SELECT SUM(LEN(content) * channelId) FROM Chat";
    let folder = tempfile::tempdir().unwrap();
    create_databases(&machine(folder.path())).unwrap();
    let mut other = World { machine: machine(folder.path()), _folder: folder };
    assert_eq!(world.number(legacy, sum), other.number(legacy, sum));
}

#[test]
fn rows_have_the_types_of_their_columns_and_names_as_dot_net_gives_them() {
    let mut world = World::fresh();
    let rows = world.query(sql::LEGACY, "SELECT TOP 1 nodeID, nodeGuid, nodeType, nodeName, nodeAddedOn, filestoreURI, COUNT(*), N'it''s' AS x FROM Node WHERE nodeID = 2");
    let object = rows[0].as_object().unwrap();
    assert!(object.is("System.Data.DataRow"));
    let names: Vec<_> = object.adapted.iter().map(|property| property.name.as_str()).collect();
    assert_eq!(&names[..8], ["nodeID", "nodeGuid", "nodeType", "nodeName", "nodeAddedOn", "filestoreURI", "Column7", "x"]);
    let value = |name: &str| rows[0].get(name).unwrap().clone();
    assert!(matches!(value("nodeGuid"), Value::Guid(_)));
    assert_eq!((value("nodeType"), value("nodeName"), value("x")), (Value::Bool(true), "Madrid".into(), "it's".into()));
    assert!(matches!(value("nodeAddedOn"), Value::I64(_)));
    assert!(value("filestoreURI").as_object().unwrap().is("System.DBNull"));
    // And back, through the wire's form.
    let written = relevo::remoting::clixml::write(&rows[0]).unwrap();
    assert_eq!(relevo::remoting::clixml::read(&written, relevo::remoting::clixml::Limits::default()).unwrap(), rows[0]);
}

#[test]
fn errors_are_worded_as_sql_server_words_them() {
    let mut world = World::fresh();
    assert_eq!(
        world.error("SELECT 1\nFROM dbo.nothing"),
        "Invalid object name 'dbo.nothing'. \n Msg 208, Level 16, State 1, Procedure , Line 1."
    );
    assert!(
        world.error("SELECT nothing FROM tblNode").starts_with("Invalid column name 'nothing'. \n Msg 207, Level 16, State 1")
    );
    assert!(world.error("SELECT [nothing] FROM tblNode").starts_with("Invalid column name 'nothing'."));
    assert!(world.error("SELECT FROM WHERE").starts_with("Incorrect syntax near 'FROM'. \n Msg 102, Level 15"));
    assert!(
        world
            .error("SELECT nothing(1)")
            .starts_with("'nothing' is not a recognized built-in function name. \n Msg 195, Level 15, State 10")
    );
    assert!(world.error("SELECT 'open").starts_with("Unclosed quotation mark after the character string 'open'."));
    assert!(world.error("SELECT * FROM other.dbo.t").starts_with("Invalid object name 'other.dbo.t'."));
    assert!(world.error("EXEC sp_who").contains("not one that it knows"));
    assert!(world.error("SELECT * FROM sqlite_master").starts_with("Invalid object name 'sqlite_master'."));
    assert!(world.error("SELECT readfile('/etc/passwd')").contains("Procedure"));
    let nowhere = world.query_as("CONTOSO\\svc-mig", "nothing", "SELECT 1").unwrap_err();
    assert!(nowhere.exception_message.starts_with("Cannot open database \"nothing\" requested by the login."));
    let stranger = world.query_as("CONTOSO\\nobody", "mgc", "SELECT 1").unwrap_err();
    assert!(stranger.exception_message.starts_with("Login failed for user 'CONTOSO\\nobody'."));
}

#[test]
fn only_a_login_that_may_write_changes_anything() {
    let mut world = World::fresh();
    let insert = "INSERT INTO dbo.tblServerIdentity VALUES (1, N'pc01.contoso.lan', GETDATE())";
    let refused = world.query_as("CONTOSO\\svc-mig", "mgc", insert).unwrap_err();
    assert!(refused.exception_message.contains("permission was denied"), "{}", refused.exception_message);
    let given = [("ServerInstance", INSTANCE.into()), ("Database", "mgc".into()), ("Query", insert.into())];
    let (_, wrote) = world.call("CONTOSO\\Administrator", "Invoke-Sqlcmd", &given).unwrap();
    assert!(wrote);
    assert_eq!(world.number("mgc", "SELECT COUNT(*) FROM tblServerIdentity"), 1);
    let given = [("ServerInstance", INSTANCE.into()), ("Query", "SELECT 1".into())];
    assert!(!world.call("CONTOSO\\Administrator", "Invoke-Sqlcmd", &given).unwrap().1);
}

#[test]
fn variables_of_sqlcmd_are_replaced_unless_they_are_disabled() {
    let mut world = World::fresh();
    let query = ("Query", Value::from("SELECT '$(who)' AS x"));
    let base = [("ServerInstance", INSTANCE.into()), query];
    let with = |more: &[(&'static str, Value)]| base.iter().cloned().chain(more.iter().cloned()).collect::<Vec<_>>();
    let (rows, _) = world.call("CONTOSO\\svc-mig", "Invoke-Sqlcmd", &with(&[("Variable", Value::array(["who=me"]))])).unwrap();
    assert_eq!(rows[0].get("x").and_then(Value::as_str), Some("me"));
    let (rows, _) = world.call("CONTOSO\\svc-mig", "Invoke-Sqlcmd", &with(&[("DisableVariables", true.into())])).unwrap();
    assert_eq!(rows[0].get("x").and_then(Value::as_str), Some("$(who)"));
    let missing = world.call("CONTOSO\\svc-mig", "Invoke-Sqlcmd", &base).unwrap_err();
    assert_eq!(missing.exception_message, "'who' scripting variable not defined.");
}

#[test]
fn an_instance_whose_service_is_stopped_does_not_answer() {
    let mut world = World::fresh();
    let service = Service {
        name: "MSSQL$RTC".to_owned(),
        display_name: "SQL Server (RTC)".to_owned(),
        start: Start::Automatic,
        state: State::Stopped,
        can_stop: true,
        ..Service::default()
    };
    world.machine.services.push(service);
    let error = world.query_as("CONTOSO\\svc-mig", "mgc", "SELECT 1").unwrap_err();
    assert!(error.exception_message.starts_with("A network-related or instance-specific error"));
    world.machine.services[0].state = State::Running;
    assert_eq!(world.number("mgc", "SELECT 1"), 1);
}

#[test]
fn other_parts_of_the_lab_write_through_a_connection() {
    let mut world = World::fresh();
    let connection = sql::open(&world.machine, INSTANCE, "MGC").unwrap();
    connection.execute("INSERT INTO tblServerIdentity VALUES (2, 'pc02.contoso.lan', NULL)", []).unwrap();
    assert_eq!(world.number("mgc", "SELECT COUNT(*) FROM tblServerIdentity"), 1);
    world.instance().set_state("mgc", "RESTORING").unwrap();
    assert!(sql::open(&world.machine, INSTANCE, "mgc").is_err());
}
