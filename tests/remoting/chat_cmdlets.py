"""Chat data: the cmdlets of Lync that carry it, the files of a Front End, and the counts of two databases. Loaded with
`--cmdlets sql_cmdlets --cmdlets chat_cmdlets`, beside `lync.json` and `sql.json`.

The state is `chat.json`; files of `D:\\Migration` are real ones in the folder `disk`:

    source     {rooms: [{id, name, category, disabled}], categories: [{id, parent, name}], users: [{id, upn}], messages: N}
    target     {rooms: [NAME], categories: [NAME], messages: N}
    backup     what the target is after a restore
    fate       what becomes of the next call of a cmdlet, once: `error` (before anything), `error-after`, `half`, `warn`,
               `hang-before`, `hang-after`, `hang-half`, `nothing` (no file), `junk` (a file that is no ZIP), `no-report`

Parameters are those that Microsoft documents. The words of errors are invented and differ from call to call.
"""

import base64
import hashlib
import io
import itertools
import json
import pathlib
import threading
import zipfile
from datetime import datetime, timezone
from xml.sax.saxutils import escape, quoteattr

from psrpcore.types import ErrorCategory

import cmdlets
import sql_cmdlets
from lync_cmdlets import cs, thing
from running import Terminating, error_record

FOLDER = "D:\\Migration"
_LOCK = threading.RLock()
_COUNT = itertools.count()


class State:
    """The state, read and written as a whole."""

    def __init__(self, run) -> None:
        self.folder = pathlib.Path(run.shell.records.folder)
        self.file = self.folder / "chat.json"
        self.value = json.loads(self.file.read_text("utf-8"))

    def save(self) -> None:
        """Replaces the file."""
        new = self.file.with_suffix(".writing")
        new.write_text(json.dumps(self.value), "utf-8")
        new.replace(self.file)

    def fate(self, name: str) -> str:
        """What becomes of this call."""
        fate = self.value.get("fate", {}).pop(name, "ok")
        self.save()
        return fate

    def place(self, path: str) -> pathlib.Path:
        """The real file of a path."""
        head, _, name = path.rpartition("\\")
        assert head.lower() == FOLDER.lower(), path
        disk = self.folder / "disk"
        found = [own for own in disk.iterdir() if own.name.lower() == name.lower()]
        return found[0] if found else disk / name


def failure(name: str) -> Terminating:
    """An error whose words nobody may read."""
    number = next(_COUNT)
    record = error_record("Microsoft.Rtc.Management.Chat.ChatException", f"It went wrong ({number}).", ErrorCategory.NotSpecified, f"X{number},{name}")
    return Terminating(record)


def _warn(run, fate: str) -> None:
    if fate == "warn":
        for number in range(3):
            run.write(lambda pipeline, number=number: pipeline.write_warning(f"Something will be otherwise ({next(_COUNT)}, {number})."))


# ---- The ZIP ----


def _part(name: str, records) -> str:
    return f'<?xml version="1.0" encoding="utf-8"?><Pool><{name}>{"".join(records)}</{name}></Pool>'


def package(source: dict) -> bytes:
    """An export, as published code reads it; categories and messages only if the source says `whole`."""
    rooms = (
        f'<ChatRoom isDisabled="{int(room.get("disabled", False))}" id={quoteattr(room["id"])}'
        + (f' categoryId={quoteattr(room["category"])}' if room.get("category") else "")
        + f'><Name>{escape(room["name"])}</Name><Desc/><Roles><Principal id="1" isManager="1" isMember="0" isCreator="0"/></Roles></ChatRoom>'
        for room in source["rooms"]
    )
    users = (
        f'<User><principalId>{user["id"]}</principalId>'
        + (f'<UserPrincipalName>{escape(user["upn"])}</UserPrincipalName>' if user.get("upn") else "")
        + "</User>"
        for user in source["users"]
    )
    parts = {
        "AdGroups": ['<Group principalId="900"/>'],
        "AdUsers": users,
        "AdAffiliations": ['<User id="1"><Groups><Group id="900"/></Groups></User>'],
        "ChatRooms": rooms,
    }
    if source.get("whole", True):
        parts["ChatCategories"] = (
            f'<ChatCategory id={quoteattr(one["id"])}'
            + (f' parentId={quoteattr(one["parent"])}' if one.get("parent") else "")
            + f'><Name>{escape(one["name"])}</Name><Invites>1</Invites></ChatCategory>'
            for one in source["categories"]
        )
        first = source["rooms"][0]["id"] if source["rooms"] else "none"
        parts["Messages"] = (
            f'<Message roomId={quoteattr(first)} id="{number}" author="1" time="{number}"><Content>hello &amp; goodbye</Content></Message>'
            for number in range(source["messages"])
        )
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, records in parts.items():
            archive.writestr(f"{name}.xml", _part(name, records))
    return into.getvalue()


def _contents(data: bytes):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        rooms = archive.read("ChatRooms.xml").decode()
        categories = archive.read("ChatCategories.xml").decode() if "ChatCategories.xml" in archive.namelist() else ""
        messages = archive.read("Messages.xml").decode().count("<Message ") if "Messages.xml" in archive.namelist() else 0
    names = [text.split("</Name>", 1)[0] for text in rooms.split("<Name>")[1:]]
    return names, [text.split("</Name>", 1)[0] for text in categories.split("<Name>")[1:]], messages


# ---- The cmdlets that carry it ----


@cs("Export-CsPersistentChatData", "DBInstance", "DBName", "FileName", "AsBytes", "Level", "Scope", "StartDate", "DisableExportedNodes", "Report")
def _export(run, _world, given):
    name = "Export-CsPersistentChatData"
    with _LOCK:
        state = State(run)
        fate = state.fate(name)
        path = str(given["filename"])
        if state.place(path).exists():
            run.shell.records.violation("an export never goes to a file that is there", file=path)
        if fate == "hang-before":
            run.wait(600)
        if fate == "error":
            raise failure(name)
        data = package(state.value["source"])
        if fate == "half":
            data = data[: len(data) // 2]
        if fate == "junk":
            data = b"this is no ZIP" * 100
        if fate != "nothing":
            state.place(path).write_bytes(data)
        state.place(str(given["report"])).write_text(f"<html><body>Exported {len(state.value['source']['rooms'])} rooms</body></html>", "utf-8")
        run.effect(name, file=path, instance=given["dbinstance"], database=given.get("dbname"))
    _warn(run, fate)
    if fate == "hang-after":
        run.wait(600)
    if fate in ("error-after", "half"):
        raise failure(name)


@cs("Import-CsPersistentChatData", "DBInstance", "FileName", "ByteInput", "Report", "WhatIf", "Confirm")
def _import(run, world, given):
    name = "Import-CsPersistentChatData"
    what_if = bool(given.get("whatif"))
    with _LOCK:
        state = State(run)
        fate = state.fate(name + ("-WhatIf" if what_if else ""))
        if fate == "error":
            raise failure(name)
        if fate == "hang-before":
            run.wait(600)
        rooms, categories, messages = _contents(state.place(str(given["filename"])).read_bytes())
        running = [name for services in world.now["computers"].values() for name, service in services.items() if service["status"] != "Stopped"]
        target = state.value["target"]
        if not what_if:
            if given.get("confirm") is not False:
                run.shell.records.violation("nobody is asked to confirm")
            if running:
                run.shell.records.violation("no service runs while data is imported", services=running)
            half = fate in ("half", "hang-half")
            for room in rooms[: len(rooms) // 2] if half else rooms:
                if room.lower() not in [own.lower() for own in target["rooms"]]:
                    target["rooms"].append(room)
            target["categories"] += [one for one in categories if one not in target["categories"]]
            target["messages"] += messages // 2 if half else messages
            state.save()
            run.effect(name, file=given["filename"], rooms=len(rooms), half=half)
            if fate == "hang-half":
                run.wait(600)
        if fate != "no-report":
            state.place(str(given["report"])).write_text(f"<html><body>{len(rooms)} rooms {next(_COUNT)}</body></html>", "utf-8")
    _warn(run, fate)
    if fate == "hang-after":
        run.wait(600)
    if fate in ("error-after", "half"):
        raise failure(name)


@cs("Get-CsPersistentChatRoom", "Identity", "Addin", "AsObject", "Category", "ChatContentExceedsMB", "Disabled", "Filter", "Invitations", "Manager", "Member", "PersistentChatPoolFqdn", "Privacy", "ResultSize", "SearchDescription", "Type")
def _rooms(run, _world, given):
    rooms = [] if given.get("disabled") else State(run).value["target"]["rooms"]
    kind = "Microsoft.Rtc.Management.Chat.Cmdlets.ChatRoom"
    return [thing(kind, None, Identity=f"pcpool.contoso.com\\{room}", Name=room) for room in rooms]


@cs("Get-CsPersistentChatCategory", "Identity", "AsObject", "PersistentChatPoolFqdn")
def _categories(run, _world, _given):
    kind = "Microsoft.Rtc.Management.Chat.Cmdlets.Category"
    return [thing(kind, None, Identity=f"pcpool.contoso.com\\{one}", Name=one) for one in State(run).value["target"]["categories"]]


# ---- Files of the Front End ----


def _missing(path: str, cmdlet: str):
    message = f"Cannot find path '{path}' because it does not exist."
    return error_record("System.Management.Automation.ItemNotFoundException", message, ErrorCategory.ObjectNotFound, f"PathNotFound,{cmdlet}", path)


def _listed(place: pathlib.Path) -> bytes:
    facts = place.stat()
    written = datetime.fromtimestamp(facts.st_mtime, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
    path = escape(f"{FOLDER}\\{place.name}")
    return (
        '<Obj RefId="0"><TN RefId="0"><T>Deserialized.System.IO.FileInfo</T><T>Deserialized.System.Object</T></TN>'
        f"<ToString>{path}</ToString><Props><S N=\"FullName\">{path}</S><I64 N=\"Length\">{facts.st_size}</I64>"
        f'<DT N="LastWriteTimeUtc">{written}</DT></Props></Obj>'
    ).encode()


_SQL_FILES = sql_cmdlets.get_child_item


@cmdlets.cmdlet("Get-ChildItem")
def _get_child_item(run, given):
    """The folder of exports, or a file of the SQL host."""
    path = str(given["literalpath"])
    if path.lower() != FOLDER.lower():
        _SQL_FILES(run, given)
        return
    for place in sorted((State(run).folder / "disk").iterdir()):
        run.raw(_listed(place))


@cmdlets.cmdlet("Get-FileHash")
def _get_file_hash(run, given):
    """`-LiteralPath`, SHA256."""
    paths = given["literalpath"] if isinstance(given["literalpath"], list) else [given["literalpath"]]
    for path in paths:
        place = State(run).place(str(path))
        if not place.exists():
            run.error(_missing(str(path), "Microsoft.PowerShell.Commands.GetFileHashCommand"))
            continue
        digest = hashlib.sha256(place.read_bytes()).hexdigest().upper()
        run.raw(f'<Obj RefId="0"><MS><S N="Algorithm">SHA256</S><S N="Hash">{digest}</S><S N="Path">{escape(str(path))}</S></MS></Obj>'.encode())


@cmdlets.cmdlet("Get-Content")
def _get_content(run, given):
    """`-Raw`, as text or as one array of bytes."""
    place = State(run).place(str(given["literalpath"]))
    if set(given) - {"literalpath", "raw", "encoding"} or not given.get("raw"):
        run.shell.records.violation("a file is read whole", given=sorted(given))
    if not place.exists():
        run.error(_missing(str(given["literalpath"]), "Microsoft.PowerShell.Commands.GetContentCommand"))
    elif given.get("encoding") == "Byte":
        run.raw(b"<BA>" + base64.b64encode(place.read_bytes()) + b"</BA>")
    else:
        run.output(place.read_text("utf-8"))


@cmdlets.cmdlet("Rename-Item")
def _rename_item(run, given):
    """Refuses where there is a file of that name."""
    with _LOCK:
        state = State(run)
        fate = state.fate("Rename-Item")
        if fate == "hang-before":
            run.wait(600)
        place = state.place(str(given["literalpath"]))
        target = state.place(f"{FOLDER}\\{given['newname']}")
        if target.exists() or not place.exists() or fate == "error":
            raise Terminating(error_record("System.IO.IOException", f"No ({next(_COUNT)}).", ErrorCategory.WriteError, "RenameItemIOError"))
        place.rename(target)
        run.effect("Rename-Item", name=given["newname"])
    if fate == "hang-after":
        run.wait(600)
    if fate == "error-after":
        raise Terminating(error_record("System.IO.IOException", f"No ({next(_COUNT)}).", ErrorCategory.WriteError, "RenameItemIOError"))


@cmdlets.cmdlet("Remove-Item")
def _remove_item(run, given):
    """One file, by its literal path."""
    place = State(run).place(str(given["literalpath"]))
    if not place.exists():
        run.error(_missing(str(given["literalpath"]), "Microsoft.PowerShell.Commands.RemoveItemCommand"))
        return
    place.unlink()
    run.effect("Remove-Item", path=given["literalpath"])


# ---- The database ----

_SQL_QUERY = sql_cmdlets.invoke_sqlcmd
_SQL_RESTORE = sql_cmdlets.restore_sqldatabase


@cmdlets.cmdlet("Invoke-Sqlcmd")
def _invoke_sqlcmd(run, given):
    """The counts of the target; whatever else as the other module answers it."""
    if "dbo.tblChat" not in given["query"]:
        _SQL_QUERY(run, given)
        return
    target = State(run).value["target"]
    counts = {"rooms": len(target["rooms"]), "categories": 1 + len(target["categories"]), "messages": target["messages"]}
    sql_cmdlets._row(run, counts)  # noqa: SLF001


@cmdlets.cmdlet("Restore-SqlDatabase")
def _restore(run, given):
    """The database is what it was."""
    with _LOCK:
        _SQL_RESTORE(run, given)
        state = State(run)
        state.value["target"] = state.value["backup"]
        state.save()
