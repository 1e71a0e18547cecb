//! The databases of a fresh lab: one of Group Chat 2010 with years of chatter, and those of Persistent Chat 2013, empty.

mod legacy;
mod persistent;

use super::super::machine::Machine;
use super::error::SqlError;
use super::instance::{Instance, Login};

/// The instance that they are in.
pub const INSTANCE: &str = "RTC";
/// The database of Group Chat 2010. Its name is chosen at deployment; this is the lab's choice.
pub const LEGACY: &str = "GroupChat";
/// The database of Persistent Chat 2013.
pub const PERSISTENT_CHAT: &str = "mgc";
/// That of its compliance service.
pub const COMPLIANCE: &str = "mgccomp";

/// Makes the instance and its databases, the same each time. For a machine that has none yet.
///
/// # Errors
/// A file cannot be written, or there are databases already.
pub fn create_databases(machine: &Machine) -> Result<(), SqlError> {
    std::fs::create_dir_all(machine.files.join("D")).map_err(SqlError::lab)?;
    let instance = Instance::create(machine, INSTANCE)?;
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
    legacy::fill(&mut instance.create_database(LEGACY)?).map_err(|error| SqlError::of(&error, ""))?;
    persistent::fill(&mut instance.create_database(PERSISTENT_CHAT)?).map_err(|error| SqlError::of(&error, ""))?;
    persistent::fill_compliance(&mut instance.create_database(COMPLIANCE)?).map_err(|error| SqlError::of(&error, ""))
}
