"""Cmdlets of the SQL Server module, over a state in `sql.json`. Loaded with `--cmdlets sql_cmdlets`.

The state: `sets`, `restores`, `under_way`, `connected` (rows, by column), `databases` (name: state), `files` (path: size),
`rights`, `commands` (names that `Get-Command` knows), `counts` (query: rows), `disk`, and `fate`: what becomes of the next
backup or restore (`ok`, `error-after`, `error-before`, `half`, `lost`).
"""

import json
import pathlib
import threading
import uuid
import xml.sax.saxutils

from psrpcore.types import ErrorCategory

from cmdlets import cmdlet
from running import Terminating, error_record

_LOCK = threading.Lock()
_NULL = "DBNull"


class State:
    """The state, read and written as a whole."""

    def __init__(self, run) -> None:
        self.file = pathlib.Path(run.shell.records.folder) / "sql.json"
        self.value = json.loads(self.file.read_text("utf-8"))

    def save(self) -> None:
        """Replaces the file."""
        new = self.file.with_suffix(".writing")
        new.write_text(json.dumps(self.value, indent=1), "utf-8")
        new.replace(self.file)

    def next(self, table: str, column: str) -> int:
        """The next number of a table."""
        return max([row[column] for row in self.value[table]], default=0) + 1


def _value(name: str, value) -> str:
    label = f' N="{xml.sax.saxutils.escape(name)}"'
    if value is None or value == _NULL:
        return f'<Obj{label} RefId="9"><TN RefId="9"><T>System.DBNull</T><T>System.Object</T></TN><ToString></ToString></Obj>'
    if isinstance(value, bool):
        return f"<B{label}>{str(value).lower()}</B>"
    if isinstance(value, int):
        element = "I32" if -(2**31) <= value < 2**31 else "I64"
        return f"<{element}{label}>{value}</{element}>"
    if name.endswith("_date"):
        return f"<DT{label}>{value}</DT>"
    if name.endswith("_uuid"):
        return f"<G{label}>{value}</G>"
    if name.endswith(("_lsn", "_size")):
        return f"<D{label}>{value}</D>"
    return f"<S{label}>{xml.sax.saxutils.escape(str(value))}</S>"


def _row(run, columns: dict) -> None:
    """Writes a row as PowerShell does: its columns, and what every `DataRow` has."""
    own = '<S N="RowError"></S><S N="RowState">Unchanged</S><Nil N="Table" /><B N="HasErrors">false</B>'
    properties = "".join(_value(name, value) for name, value in columns.items())
    run.raw(
        (
            '<Obj RefId="0"><TN RefId="0"><T>System.Data.DataRow</T><T>System.Object</T></TN>'
            f"<ToString>System.Data.DataRow</ToString><Props>{properties}{own}</Props></Obj>"
        ).encode()
    )


def _object(run, type_name: str, properties: dict) -> None:
    body = "".join(
        f'<I64 N="{name}">{value}</I64>' if isinstance(value, int) else f'<S N="{name}">{xml.sax.saxutils.escape(value)}</S>'
        for name, value in properties.items()
    )
    run.raw(f'<Obj RefId="0"><TN RefId="0"><T>{type_name}</T><T>System.Object</T></TN><Props>{body}</Props></Obj>'.encode())


def _failed(name: str, message: str, error_id: str):
    return error_record(
        "Microsoft.SqlServer.Management.PowerShell.SqlPowerShellSqlExecutionException",
        message,
        ErrorCategory.InvalidOperation,
        error_id,
        None,
        name,
    )


def _strict(run, given: dict, wanted: set) -> None:
    missing = wanted - set(given)
    if missing or given.get("erroraction") not in ("Stop", 1):
        run.shell.records.violation("a cmdlet gets every parameter that it needs", missing=sorted(missing))
    if given["serverinstance"].endswith("\\"):
        run.shell.records.violation("an instance has no backslash at its end", instance=given["serverinstance"])


@cmdlet("Invoke-Sqlcmd")
def invoke_sqlcmd(run, given) -> None:
    """Answers the fixed queries from the state, and an author's by their text."""
    _strict(run, given, {"serverinstance", "database", "query", "querytimeout"})
    state = State(run).value
    query = given["query"]
    error = "SqlError,Microsoft.SqlServer.Management.PowerShell.GetScriptCommand"
    if given["database"] not in state["databases"] and given["database"] not in ("master", "msdb"):
        raise Terminating(_failed("Invoke-Sqlcmd", f'Cannot open database "{given["database"]}" requested by the login.', error))
    if "msdb.dbo.restorehistory" in query:
        rows = sorted(state["restores"], key=lambda row: -row["restore_history_id"])
    elif "msdb.dbo.backupset" in query:
        rows = sorted(state["sets"], key=lambda row: -row["backup_set_id"])
    elif "sys.dm_exec_requests" in query:
        rows = state["under_way"] if state["rights"].get("sees_all", 1) else []
    elif "sys.sysprocesses" in query:
        rows = state["connected"]
    elif "sys.databases" in query:
        rows = [{"name": name, "state_desc": value, "recovery_model_desc": "FULL"} for name, value in state["databases"].items()]
    elif "sys.master_files" in query:
        rows = [{"database_name": name, "type_desc": "ROWS", "bytes": 8 << 20} for name in state["databases"]]
    elif "IS_SRVROLEMEMBER" in query:
        standard = {"is_sysadmin": 0, "is_dbcreator": 1, "sees_all": 1, "may_back_up": 1, "may_write": 0}
        names = {"machine": "SQL01", "version": "10.50.6000.34", "login_name": "LAB\\admin"}
        rows = [{**standard, **names, **state["rights"]}]
    else:
        if "disablevariables" not in given or "disablecommands" not in given:
            run.shell.records.violation("an author's query is sent without variables and commands")
        if query not in state["counts"]:
            raise Terminating(_failed("Invoke-Sqlcmd", "Invalid object name 'x'. \n Msg 208, Level 16, State 1, Procedure , Line 1.", error))
        rows = state["counts"][query]
    for row in rows:
        _row(run, row)


@cmdlet("Backup-SqlDatabase")
def backup_sqldatabase(run, given) -> None:
    """A backup, as `fate` says."""
    _strict(run, given, {"serverinstance", "database", "backupfile"})
    with _LOCK:
        state = State(run)
        fate = state.value.pop("fate", "ok")
        file = given["backupfile"]
        failed = Terminating(
            _failed("Backup-SqlDatabase", "System.Data.SqlClient.SqlError: no", "ExecutionFailed,Microsoft.SqlServer.Management.PowerShell.BackupSqlDatabaseCommand")
        )
        if fate == "error-before":
            state.save()
            raise failed
        if file in state.value["files"] and "initialize" not in given:
            run.shell.records.violation("a backup never goes to a file that is there", file=file)
        run.effect("Backup-SqlDatabase", database=given["database"], file=file)
        state.value["files"][file] = 4096
        if fate != "half":
            number = state.next("sets", "backup_set_id")
            state.value["sets"].append(
                {
                    "backup_set_id": number,
                    "backup_set_uuid": str(uuid.uuid4()),
                    "media_set_id": number,
                    "position": 1,
                    "name": given.get("backupsetname"),
                    "description": given.get("backupsetdescription"),
                    "database_name": given["database"],
                    "is_copy_only": "copyonly" in given,
                    "is_damaged": False,
                    "backup_size": "3072",
                    "first_lsn": "22000000012300037",
                    "last_lsn": None,
                    "backup_start_date": "2026-11-28T01:00:00",
                    "backup_finish_date": "2026-11-28T01:00:09",
                    "family_sequence_number": 1,
                    "physical_device_name": file,
                }
            )
        state.save()
        if fate in ("error-after", "half"):
            raise failed


@cmdlet("Restore-SqlDatabase")
def restore_sqldatabase(run, given) -> None:
    """A restore, as `fate` says."""
    _strict(run, given, {"serverinstance", "database", "backupfile", "filenumber", "replacedatabase"})
    with _LOCK:
        state = State(run)
        fate = state.value.pop("fate", "ok")
        database = given["database"]
        failed = Terminating(
            _failed("Restore-SqlDatabase", "System.Data.SqlClient.SqlError: no", "ExecutionFailed,Microsoft.SqlServer.Management.PowerShell.RestoreSqlDatabaseCommand")
        )
        if fate == "in-use":
            state.value["connected"] = [
                {"spid": 60, "database_name": database, "loginame": "CONTOSO\\svc-chat   ", "hostname": "PC01", "program_name": "ChannelService"}
            ]
        if fate in ("error-before", "in-use"):
            state.save()
            raise failed
        run.effect("Restore-SqlDatabase", database=database, file=given["backupfile"])
        if fate == "half":
            state.value["databases"][database] = "RESTORING"
            state.save()
            raise failed
        source = [row for row in state.value["sets"] if row["physical_device_name"] == given["backupfile"]][-1]
        state.value["restores"].append(
            {
                "restore_history_id": state.next("restores", "restore_history_id"),
                "restore_date": "2026-11-29T03:00:00",
                "destination_database_name": database,
                "restore_type": "D",
                "backup_set_uuid": source["backup_set_uuid"],
                "database_name": source["database_name"],
            }
        )
        state.value["databases"][database] = "ONLINE"
        state.save()
        if fate == "error-after":
            raise failed


@cmdlet("Get-ChildItem")
def get_child_item(run, given) -> None:
    """One file, by its literal path."""
    path = str(given.get("literalpath", ""))
    files = State(run).value["files"]
    found = next((known for known in files if known.lower() == path.lower()), None)
    if found is None:
        error_id = "PathNotFound,Microsoft.PowerShell.Commands.GetChildItemCommand"
        message = f"Cannot find path '{path}' because it does not exist."
        run.error(error_record("System.Management.Automation.ItemNotFoundException", message, ErrorCategory.ObjectNotFound, error_id, path))
        return
    _object(run, "System.IO.FileInfo", {"FullName": found, "Length": files[found]})


@cmdlet("Get-Command")
def get_command(run, given) -> None:
    """Whether a command is there."""
    name = str(given["name"])
    if name in State(run).value["commands"]:
        _object(run, "System.Management.Automation.CmdletInfo", {"Name": name})
        return
    error_id = "CommandNotFoundException,Microsoft.PowerShell.Commands.GetCommandCommand"
    message = f"The term '{name}' is not recognized as the name of a cmdlet"
    run.error(error_record("System.Management.Automation.CommandNotFoundException", message, ErrorCategory.ObjectNotFound, error_id, name))


@cmdlet("Get-WmiObject")
def get_wmi_object(run, given) -> None:
    """The machine and its disk."""
    if given["class"] == "Win32_OperatingSystem":
        _object(run, "System.Management.ManagementObject", {"CSName": "SQL01", "Caption": "Windows Server 2008 R2", "Version": "6.1.7601"})
    elif given.get("filter") == "DeviceID='D:'":
        _object(run, "System.Management.ManagementObject", {"DeviceID": "D:", "FreeSpace": State(run).value["disk"]})
