//! One session with the host, and statements and cmdlets for one instance in it.

use super::instance::Instance;
use super::row::Row;
use super::shown;
use crate::connector::args;
use crate::connector::no_answer::NoAnswer;
use crate::connector::powershell::answer::{Answer, Lost};
use crate::connector::powershell::hosts::Hosts;
use crate::connector::powershell::session::Session;
use crate::plan::action::{ArgSpec, ArgType};
use crate::remoting::clixml::Value;
use crate::remoting::psrp::Command;
use crate::run::connector::Call;

/// Of our own statements, in seconds: they read a few system tables.
pub const SHORT: i32 = 60;

/// Which instance, and how it is reached from the host.
#[derive(Debug, Clone)]
pub struct Place {
    /// The instance.
    pub instance: Instance,
    encrypt: Option<String>,
}

impl Place {
    /// The arguments by which a step names it.
    #[must_use]
    pub fn args() -> Vec<ArgSpec> {
        vec![
            args::required("host", ArgType::Host, "the host that the SQL Server module runs on"),
            args::required("instance", ArgType::String, "such as `sql01.contoso.com\\RTC`"),
            args::required("database", ArgType::String, "the database"),
            args::optional(
                "encrypt",
                ArgType::String,
                "`Optional`, `Mandatory` or `Strict`, for versions of the module from 22 on",
            ),
        ]
    }

    /// Reads the arguments `instance` and `encrypt`.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn read(call: &Call) -> Result<Self, String> {
        let instance = Instance::parse(&args::needed(call, "instance")?)?;
        let encrypt = match args::text(call, "encrypt")? {
            None => None,
            Some(word) => match ["Optional", "Mandatory", "Strict"].iter().find(|known| known.eq_ignore_ascii_case(&word)) {
                Some(known) => Some((*known).to_owned()),
                None => return Err(format!("`encrypt` is `Optional`, `Mandatory` or `Strict`, not `{}`", shown(&word))),
            },
        };
        Ok(Place { instance, encrypt })
    }

    /// A cmdlet for this instance.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let command = Command::new(name).parameter("ServerInstance", self.instance.as_str());
        match &self.encrypt {
            Some(word) => command.parameter("Encrypt", word.as_str()),
            None => command,
        }
    }

    /// A statement, as a command.
    #[must_use]
    pub fn statement(&self, database: &str, text: &str, seconds: i32) -> Command {
        self.command("Invoke-Sqlcmd")
            .parameter("Database", database)
            .parameter("Query", text)
            .parameter("QueryTimeout", seconds)
            .parameter("ErrorAction", "Stop")
    }
}

/// A database's name.
///
/// # Errors
/// It is empty, too long (`sysname` has 128 characters), or holds control characters.
pub fn database(call: &Call, argument: &str) -> Result<String, String> {
    checked(args::needed(call, argument)?, argument)
}

/// As [`database`], of a text.
///
/// # Errors
/// As there.
pub fn checked(name: String, argument: &str) -> Result<String, String> {
    let fits =
        !name.trim().is_empty() && name.trim() == name && name.encode_utf16().count() <= 128 && !name.contains(char::is_control);
    if fits { Ok(name) } else { Err(format!("`{argument}` is `{}`, which is no name of a database", shown(&name))) }
}

/// Whether two names are of one database. Most servers do not care for case, and where they do nobody should rely on it.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// The session.
pub struct Sql {
    session: Session,
    place: Place,
}

impl Sql {
    /// For a look.
    ///
    /// # Errors
    /// The host cannot be used, or the call names no instance.
    pub async fn look(hosts: &Hosts, call: &Call) -> Result<Self, NoAnswer> {
        let place = Place::read(call)?;
        Ok(Sql { session: hosts.look(call).await?, place })
    }

    /// For an attempt, in its own shell.
    ///
    /// # Errors
    /// As [`Sql::look`]; nothing was done.
    pub async fn attempt(hosts: &Hosts, call: &Call) -> Result<Self, NoAnswer> {
        let place = Place::read(call)?;
        Ok(Sql { session: hosts.attempt(call).await?, place })
    }

    /// In a session that is open.
    #[must_use]
    pub fn within(session: Session, place: Place) -> Self {
        Sql { session, place }
    }

    /// The instance.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is left of the step's time in seconds, as `-QueryTimeout` takes it (1 to 65535).
    #[must_use]
    pub fn seconds(&self) -> i32 {
        let left = self.session.time().left().map_or(65_535, |left| left.as_secs());
        i32::try_from(left.clamp(1, 65_535)).unwrap_or(SHORT)
    }

    /// Runs a cmdlet.
    ///
    /// # Errors
    /// Nobody knows how it ended.
    pub async fn run(&mut self, command: Command) -> Result<Answer, Lost> {
        self.session.run(command).await
    }

    /// Runs a cmdlet that only reads.
    ///
    /// # Errors
    /// It complained, or did not answer.
    pub async fn read(&mut self, command: Command) -> Result<Vec<Value>, String> {
        self.session.run(command).await.map_err(|lost| lost.reason)?.read()
    }

    /// The rows of one of our own statements.
    ///
    /// # Errors
    /// It did not run to its end, or its answer is no result.
    pub async fn rows(&mut self, database: &str, text: &str) -> Result<Vec<Row>, String> {
        let command = self.place.statement(database, text, SHORT);
        self.read(command).await?.into_iter().map(Row::of).collect()
    }

    /// Ends it.
    pub async fn close(self) {
        self.session.close().await;
    }
}
