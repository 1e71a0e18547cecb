"""The cmdlets of Lync that the judge knows, once a file `lync.json` is in its folder: from then on it is a restricted endpoint.

The file is the state: what the cmdlets show and what they change. Parameters are those that Microsoft documents; any other is
refused as PowerShell refuses it. The words of Lync's own errors are not documented, so that those here are invented and differ
from call to call: a client must not read them.

    contacts users sip_domains pools computers policies trusted trusted_pools topology
    missing    cmdlets that the caller's roles do not offer
    slow       seconds before an effect, by cmdlet
    complain   an error after the effect, by cmdlet
    lag        how many lists of contacts do not show yet what was created
"""

import itertools
import json
import threading
import typing
import uuid

from psrpcore.types import ErrorCategory, PSCustomObject, add_note_property

import cmdlets
from running import Running, Terminating, error_record, not_found

_STATE = threading.Lock()
_COUNT = itertools.count()
CONTAINER = "CN=Application Contacts,CN=RTC Service,CN=Services,CN=Configuration,DC=contoso,DC=com"


class World:
    """The state, read and written as a whole."""

    def __init__(self, run: Running) -> None:
        self.file = run.shell.records.folder / "lync.json"
        self.now = json.loads(self.file.read_text("utf-8"))

    def write(self) -> None:
        """Replaces the file."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(self.now, indent=1), "utf-8")
        new.replace(self.file)


def _refusal(name: str, target: str) -> Terminating:
    words = f"Lync refuses {target} ({next(_COUNT)})."
    return Terminating(
        error_record("Microsoft.Rtc.Management.AD.ManagementException", words, ErrorCategory.InvalidOperation, f"X{next(_COUNT)},{name}", target)
    )


def cs(name: str, *parameters: str):
    """A cmdlet of Lync with these parameters, for a function of the call, the state and what was given."""
    known = {parameter.lower() for parameter in (*parameters, "ErrorAction", "WarningAction", "Verbose")}

    def register(function):
        @cmdlets.cmdlet(name)
        def call(run: Running, given: cmdlets.Parameters) -> None:
            if not (run.shell.records.folder / "lync.json").exists():
                raise Terminating(not_found(name))
            if name in World(run).now.get("missing", []):
                raise Terminating(not_found(name))
            for parameter in given:
                if parameter not in known:
                    words = f"A parameter cannot be found that matches parameter name '{parameter}'."
                    kind = "System.Management.Automation.ParameterBindingException"
                    raise Terminating(error_record(kind, words, ErrorCategory.InvalidArgument, f"NamedParameterNotFound,{name}"))
            seconds = World(run).now.get("slow", {}).get(name)
            if seconds:
                run.wait(float(seconds))
            run.check()
            with _STATE:
                world = World(run)
                results = list(function(run, world, given) or [])
            for result in results:
                run.output(result)
            if name in world.now.get("complain", {}):
                run.error(_refusal(name, world.now["complain"][name]).record)

        return call

    return register


def thing(type_name: str, text: typing.Optional[str], **properties) -> PSCustomObject:
    """An object as a remote session gives it."""
    value = PSCustomObject()
    value.PSObject.type_names = [f"Deserialized.{type_name}", "Deserialized.System.Object"]
    value.PSObject.to_string = text
    for name, item in properties.items():
        add_note_property(value, name, item)
    return value


def _same(one: typing.Any, two: typing.Any) -> bool:
    return str(one or "").lower() == str(two or "").lower()


# ---- Endpoints ----


def _contact(contact: dict) -> PSCustomObject:
    # An identity is an object of its own; its text is the distinguished name.
    identity = thing("Microsoft.Rtc.Management.ADConnect.Core.ADObjectId", contact["identity"], Name=contact["identity"].split(",", 1)[0])
    return thing(
        "Microsoft.Rtc.Management.ADConnect.Schema.OCSPersistentChatContact",
        contact["identity"],
        Identity=identity,
        SipAddress=contact["sip"],
        DisplayName=contact.get("display"),
        RegistrarPool="fepool.contoso.com",
        Enabled=True,
    )


@cs("Get-CsPersistentChatEndpoint", "Identity", "PersistentChatPoolFqdn", "DomainController", "LdapFilter", "Filter", "OU", "ResultSize", "Credential")
def _get_endpoint(_run, world, given):
    hidden = [contact for contact in world.now["contacts"] if contact.get("lag", 0) > 0]
    for contact in hidden:
        contact["lag"] -= 1
    if hidden:
        world.write()
    pool = given.get("persistentchatpoolfqdn")
    shown = [contact for contact in world.now["contacts"] if contact not in hidden]
    return [_contact(contact) for contact in shown if pool is None or _same(contact["pool"], pool)]


@cs("New-CsPersistentChatEndpoint", "SipAddress", "PersistentChatPoolFqdn", "DisplayName", "PassThru", "Confirm", "WhatIf")
def _new_endpoint(run, world, given):
    address, pool = str(given["sipaddress"]), str(given["persistentchatpoolfqdn"])
    taken = [holder for holder in (*world.now["contacts"], *world.now["users"]) if _same(holder["sip"], address)]
    is_known = any(_same(known["fqdn"], pool) for known in world.now["pools"])
    if taken or not is_known or address.split("@")[-1] not in world.now["sip_domains"]:
        raise _refusal("New-CsPersistentChatEndpoint", address)
    contact = {"identity": f"CN={{{uuid.uuid4()}}},{CONTAINER}", "sip": address, "pool": pool, "display": given.get("displayname")}
    contact["lag"] = world.now.get("lag", 0)
    world.now["contacts"].append(contact)
    world.write()
    run.effect("New-CsPersistentChatEndpoint", sip=address, pool=pool, identity=contact["identity"])
    return [_contact(contact)] if given.get("passthru") else []


@cs("Remove-CsPersistentChatEndpoint", "Identity", "Confirm", "Force", "WhatIf")
def _remove_endpoint(run, world, given):
    identity = str(given["identity"])
    found = [contact for contact in world.now["contacts"] if _same(contact["identity"], identity)]
    if not found:
        raise _refusal("Remove-CsPersistentChatEndpoint", identity)
    world.now["contacts"].remove(found[0])
    world.write()
    run.effect("Remove-CsPersistentChatEndpoint", identity=identity, sip=found[0]["sip"])


@cs("Get-CsUser", "Identity", "Filter", "LdapFilter", "OU", "ResultSize", "DomainController", "Credential", "UnassignedUser")
def _get_user(_run, world, given):
    wanted = str(given.get("filter") or "")
    address = wanted.removeprefix('SipAddress -eq "').removesuffix('"')
    users = [user for user in world.now["users"] if not wanted or _same(user["sip"], address)]
    return [thing("Microsoft.Rtc.Management.ADConnect.Schema.ADUser", user["dn"], Identity=user["dn"], SipAddress=user["sip"]) for user in users]


@cs("Update-CsUserDatabase", "Fqdn", "Force")
def _update_user_database(run, _world, given):
    run.effect("Update-CsUserDatabase", fqdn=given.get("fqdn"))


# ---- Topology ----


@cs("Get-CsSipDomain", "Identity", "Filter", "LocalStore")
def _get_sip_domain(_run, world, _given):
    return [thing("Microsoft.Rtc.Management.Xds.SipDomain", name, Identity=name, Name=name) for name in world.now["sip_domains"]]


@cs("Get-CsService", "Identity", "PoolFqdn", "SiteId", "PersistentChatServer", "PersistentChatDatabase", "FileStore")
def _get_service(_run, world, given):
    for pool in world.now["pools"]:
        if given.get("persistentchatserver"):
            yield thing(
                "Microsoft.Rtc.Management.Xds.DisplayPersistentChatServer",
                None,
                Identity=f"PersistentChatServer:{pool['fqdn']}",
                PoolFqdn=pool["fqdn"],
                Registrar=f"Registrar:{pool['next_hop']}",
                FileStore="FileStore:fs01.contoso.com",
                PersistentChatDatabase="PersistentChatDatabase:sql13.contoso.com",
                ActiveServers=pool["servers"],
                InactiveServers=[],
                Version=pool["version"],
            )
        if given.get("persistentchatdatabase"):
            database = "PersistentChatDatabase:sql13.contoso.com"
            yield thing("Microsoft.Rtc.Management.Xds.DisplayService", None, Identity=database, PoolFqdn="sql13.contoso.com", SqlInstanceName="rtc")
        if given.get("filestore"):
            yield thing("Microsoft.Rtc.Management.Xds.DisplayFileStore", None, Identity="FileStore:fs01.contoso.com", UncPath="\\\\fs01\\chat")


@cs("Get-CsPool", "Identity", "Site")
def _get_pool(_run, world, given):
    found = [pool for pool in world.now["pools"] if _same(pool["fqdn"], given.get("identity"))]
    if not found:
        raise _refusal("Get-CsPool", str(given.get("identity")))
    return [thing("Microsoft.Rtc.Management.Deploy.Internal.Cluster", None, Identity=pool["fqdn"], Fqdn=pool["fqdn"], Computers=pool["servers"]) for pool in found]


@cs("Get-CsPersistentChatState", "Identity", "Filter", "LocalStore")
def _get_state(_run, world, _given):
    kind = "Microsoft.Rtc.Management.WritableConfig.Settings.PersistentChat.PersistentChatState"
    return [thing(kind, None, Identity=f"PersistentChatServer:{pool['fqdn']}", PoolState=pool["state"]) for pool in world.now["pools"]]


@cs("Get-CsPersistentChatPolicy", "Identity", "Filter", "LocalStore", "Tenant")
def _get_policy(_run, world, _given):
    kind = "Microsoft.Rtc.Management.WritableConfig.Policy.PersistentChat.PersistentChatPolicy"
    return [thing(kind, None, Identity=name, EnablePersistentChat=on) for name, on in world.now["policies"].items()]


@cs("Get-CsTopology", "AsXml", "LocalStore")
def _get_topology(_run, world, _given):
    return [world.now["topology"]]


@cs("Enable-CsTopology", "GlobalCatalog", "GlobalSettingsDomainController", "SkipPrepareCheck", "Report", "Force", "WhatIf", "Confirm")
def _enable_topology(run, _world, _given):
    run.effect("Enable-CsTopology")


# ---- Trusted applications ----


@cs("Get-CsTrustedApplication", "Identity", "TrustedApplicationPoolFqdn", "Filter", "LocalStore")
def _get_application(_run, world, _given):
    kind = "Microsoft.Rtc.Management.Xds.DisplayTrustedApplication"
    return [thing(kind, name, Identity=name, TrustedApplicationPoolFqdn=name.split("/")[0]) for name in world.now["trusted"]]


@cs("Get-CsTrustedApplicationPool", "Identity", "PoolFqdn", "Filter", "LocalStore")
def _get_application_pool(_run, world, _given):
    kind = "Microsoft.Rtc.Management.Xds.DisplayExternalServer"
    return [thing(kind, None, Identity=f"TrustedApplicationPool:{name}", PoolFqdn=name) for name in world.now["trusted_pools"]]


@cs("Remove-CsTrustedApplication", "Identity", "Force", "WhatIf", "Confirm")
def _remove_application(run, world, given):
    found = [name for name in world.now["trusted"] if _same(name, given["identity"])]
    if not found:
        raise _refusal("Remove-CsTrustedApplication", str(given["identity"]))
    world.now["trusted"].remove(found[0])
    world.write()
    run.effect("Remove-CsTrustedApplication", identity=found[0])


@cs("Remove-CsTrustedApplicationPool", "Identity", "Force", "WhatIf", "Confirm")
def _remove_application_pool(run, world, given):
    found = [name for name in world.now["trusted_pools"] if _same(f"TrustedApplicationPool:{name}", given["identity"]) or _same(name, given["identity"])]
    if not found:
        raise _refusal("Remove-CsTrustedApplicationPool", str(given["identity"]))
    world.now["trusted_pools"].remove(found[0])
    world.now["trusted"] = [name for name in world.now["trusted"] if not name.lower().startswith(found[0].lower() + "/")]
    world.write()
    run.effect("Remove-CsTrustedApplicationPool", identity=found[0])


# ---- Services ----


@cs("Get-CsWindowsService", "Name", "ComputerName", "ExcludeActivityLevel", "Report")
def _get_windows_service(_run, world, given):
    computer = str(given.get("computername", "")).lower()
    if computer not in world.now["computers"]:
        raise _refusal("Get-CsWindowsService", computer)
    services = world.now["computers"][computer]
    settled = False
    for name, service in services.items():
        extra = {} if given.get("excludeactivitylevel") else {"ActivityLevel": service.get("activity", "")}
        yield thing("Microsoft.Rtc.Management.Deployment.Core.NTService", name, Name=name, Status=service["status"], **extra)
        if service.get("pending"):
            service["pending"] -= 1
            settled = True
            if not service["pending"]:
                service["status"] = service.pop("next")
    if settled:
        world.write()


def _set_services(run, world, given, operation: str, status: str):
    services = world.now["computers"].get(str(given.get("computername", "")).lower(), {})
    wanted = [name for name in services if "name" not in given or _same(name, given["name"])]
    if not wanted:
        raise _refusal(operation, str(given.get("name")))
    for name in wanted:
        service = services[name]
        if service["status"] == status:
            continue
        looks = world.now.get("pending_looks", 0)
        on_the_way = {"Stopped": "StopPending", "Running": "StartPending"}[status]
        service.update({"status": on_the_way, "next": status, "pending": looks} if looks else {"status": status})
        run.effect(operation, computer=given["computername"], service=name)
    world.write()


@cs("Stop-CsWindowsService", "Name", "ComputerName", "NoWait", "Force", "Graceful", "Report", "LeaveClsAgentRunning", "LeaveWebServerRunning", "WhatIf", "Confirm")
def _stop_windows_service(run, world, given):
    _set_services(run, world, given, "Stop-CsWindowsService", "Stopped")


@cs("Start-CsWindowsService", "Name", "ComputerName", "NoWait", "Force", "Report", "WhatIf", "Confirm")
def _start_windows_service(run, world, given):
    _set_services(run, world, given, "Start-CsWindowsService", "Running")


# ---- What every restricted endpoint has ----


@cs("Get-Command", "Name", "CommandType", "Module")
def _get_command(_run, world, given):
    name = str(given.get("name", ""))
    if cmdlets.is_known(name) and name not in world.now.get("missing", []):
        return [thing("System.Management.Automation.FunctionInfo", name, Name=name)]
    raise Terminating(not_found(name))
