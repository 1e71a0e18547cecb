//! The databases of a fresh lab: one of Group Chat with years of chatter, and those of two pools of Persistent Chat 2013, empty.

mod legacy;
mod persistent;

use rusqlite::Connection;

use super::super::machine::Machine;
use super::error::SqlError;
use super::instance::{Instance, Login};
use crate::lab::kind::Kind;

/// The instance that they are in.
pub const INSTANCE: &str = "RTC";
/// The instance of another Persistent Chat pool.
pub const OTHER_INSTANCE: &str = "PCHAT2";
/// The database of Group Chat 2010. Its name is chosen at deployment; this is the lab's choice.
pub const LEGACY: &str = "GroupChat";
/// The database of Persistent Chat 2013.
pub const PERSISTENT_CHAT: &str = "mgc";
/// That of its compliance service.
pub const COMPLIANCE: &str = "mgccomp";

/// Makes the instances and their databases, the same each time. For a machine that has none yet.
///
/// # Errors
/// A file cannot be written, or there are databases already.
pub fn create_databases(machine: &Machine) -> Result<(), SqlError> {
    create_databases_of(machine, Kind::default())
}

/// The same for a world with that legacy deployment.
///
/// # Errors
/// As [`create_databases`].
pub fn create_databases_of(machine: &Machine, kind: Kind) -> Result<(), SqlError> {
    std::fs::create_dir_all(machine.files.join("D")).map_err(SqlError::lab)?;
    let instance = create(machine, INSTANCE)?;
    legacy::fill(&mut instance.create_database(LEGACY)?, kind).map_err(|error| SqlError::of(&error, ""))?;
    create_persistent(&instance, persistent::fill)?;
    create_persistent(&create(machine, OTHER_INSTANCE)?, persistent::fill_other)
}

/// An instance, and who may log on to it.
fn create(machine: &Machine, name: &str) -> Result<Instance, SqlError> {
    let instance = Instance::create(machine, name)?;
    let all = Login { sysadmin: true, ..Login::default() };
    let migration = Login { sysadmin: false, dbcreator: true, view_server_state: true, may_write: false, may_back_up: true };
    for (account, login) in [
        ("CONTOSO\\Administrator", all),
        ("CONTOSO\\svc-mig", migration),
        ("CONTOSO\\svc-blind", Login { view_server_state: false, ..migration }),
        ("CONTOSO\\svc-reader", Login::default()),
    ] {
        instance.set_login(account, login)?;
    }
    Ok(instance)
}

/// What Persistent Chat 2013 leaves in an instance when it is installed.
fn create_persistent(instance: &Instance, fill: fn(&mut Connection) -> rusqlite::Result<()>) -> Result<(), SqlError> {
    fill(&mut instance.create_database(PERSISTENT_CHAT)?).map_err(|error| SqlError::of(&error, ""))?;
    persistent::fill_compliance(&mut instance.create_database(COMPLIANCE)?).map_err(|error| SqlError::of(&error, ""))
}
