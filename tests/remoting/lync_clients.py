"""Checks with pypsrp of the remote PowerShell of the lab's Lync.

    python lync_clients.py --path OcsPowerShell --group any|administrator|reader|nobody --port N …
"""

import sys
import typing

import clients
from clients import CHECKS, Peer, call, group, refused, same
from pypsrp.complex_objects import PSInvocationState
from pypsrp.powershell import PowerShell, RunspacePool

CHECKS.update(administrator=[], reader=[], nobody=[])


def read(value: typing.Any, name: str) -> typing.Any:
    """A property of an object, whichever kind it is; an enumeration by its name."""
    found = value.adapted_properties.get(name, value.extended_properties.get(name))
    return str(found) if hasattr(found, "adapted_properties") else found


def fine(pool: RunspacePool, name: str, **parameters) -> list:
    """What a cmdlet gives that complains of nothing."""
    shell = call(pool, name, **parameters)
    same([str(error) for error in shell.streams.error], [])
    same(shell.state, PSInvocationState.COMPLETED)
    return shell.output


def complaint(pool: RunspacePool, name: str, **parameters) -> str:
    """The id of what a cmdlet complains of, without the class."""
    (error,) = call(pool, name, **parameters).streams.error
    return error.fq_error.split(",")[0]


@group("administrator")
def the_topology_is_read(peer: Peer) -> None:
    """Services with their types, pools with their computers."""
    with peer.pool() as pool:
        first, second = fine(pool, "Get-CsService", PersistentChatServer=True)
        same(first.types[0], "Microsoft.Rtc.Management.Xds.DisplayPersistentChatServer")
        same(read(first, "Identity"), "PersistentChatServer:pcpool.contoso.lan")
        same(read(first, "ActiveServers"), ["pc01.contoso.lan", "pc02.contoso.lan"])
        same(read(first, "Version"), 6)
        same(read(second, "PoolFqdn"), "pcpool2.contoso.lan")
        (legacy,) = fine(pool, "Get-CsTrustedApplicationPool", Identity="gcpool.contoso.lan")
        same(read(legacy, "Applications"), ["urn:application:groupchat"])
        (text,) = fine(pool, "Get-CsTopology", AsXml=True)
        assert "gcpool.contoso.lan" in text, text
        same(complaint(pool, "Get-CsPool", Identity="nothing.contoso.lan"), "NotFound")


@group("administrator")
def services_stop_and_start(peer: Peer) -> None:
    """And `-WhatIf` does neither."""
    with peer.pool() as pool:

        def states() -> list:
            return [str(read(one, "Status")) for one in fine(pool, "Get-CsWindowsService", ComputerName="pc03.contoso.lan")]

        same(states(), ["Running"] * 3)
        fine(pool, "Stop-CsWindowsService", ComputerName="pc03.contoso.lan", WhatIf=True)
        same(states(), ["Running"] * 3)
        fine(pool, "Stop-CsWindowsService", ComputerName="pc03.contoso.lan", Confirm=False)
        same(states(), ["Stopped"] * 3)
        fine(pool, "Start-CsWindowsService", ComputerName="pc03.contoso.lan", Name="RTCCHAT")
        same(states(), ["Running", "Stopped", "Stopped"])
        same(complaint(pool, "Stop-CsWindowsService", ComputerName="gc01.contoso.lan"), "NotAServer")


@group("administrator")
def servers_leave_the_list_by_a_hashtable_and_by_null(peer: Peer) -> None:
    """As the documentation writes it: `@{Remove="…"}`, `$Null`."""
    identity = "PersistentChatServer:pcpool.contoso.lan"
    with peer.pool() as pool:
        for change, left in (({"Remove": "pc01.contoso.lan"}, ["pc02.contoso.lan"]), (None, [])):
            fine(pool, "Set-CsPersistentChatActiveServer", Identity=identity, ActiveServers=change)
            (service,) = fine(pool, "Get-CsService", Identity=identity)
            same(read(service, "ActiveServers"), left)


@group("administrator")
def parameters_are_bound_as_powershell_binds_them(peer: Peer) -> None:
    """Unknown ones, missing ones, texts in place of truth values."""
    with peer.pool() as pool:
        same(complaint(pool, "Get-CsPool", Rubbish=1), "NamedParameterNotFound")
        same(complaint(pool, "Remove-CsTrustedApplicationPool"), "MissingMandatoryParameter")
        same(complaint(pool, "Set-CsPersistentChatPolicy", EnablePersistentChat="false"), "ParameterArgumentTransformationError")
        fine(pool, "Set-CsPersistentChatPolicy", EnablePersistentChat=False)
        (policy,) = fine(pool, "Get-CsPersistentChatPolicy")
        same(read(policy, "EnablePersistentChat"), False)


@group("administrator")
def scripts_and_pipes_are_refused(peer: Peer) -> None:
    """One cmdlet is a pipeline; no language is spoken."""
    with peer.pool() as pool:
        for shell in (PowerShell(pool).add_script("Get-CsPool"), PowerShell(pool).add_cmdlet("Get-CsPool").add_cmdlet("Get-CsSite")):
            shell.invoke()
            same(shell.state, PSInvocationState.FAILED)
            same(shell.streams.error[0].fq_error.split(",")[0], "ScriptsNotAllowed")


@group("reader")
def what_changes_something_is_not_there(peer: Peer) -> None:
    """As if no such cmdlet existed."""
    with peer.pool() as pool:
        same(len(fine(pool, "Get-CsPersistentChatState")), 2)
        names = [read(one, "Name") for one in fine(pool, "Get-Command")]
        assert "Get-CsService" in names and all(name.startswith("Get-") for name in names), names
        same(complaint(pool, "Stop-CsWindowsService"), "CommandNotFoundException")
        same([str(role) for role in fine(pool, "Get-CsAdminRoleAssignment", Identity="svc-reader")], ["CsViewOnlyAdministrator"])


@group("nobody")
def no_shell_opens(peer: Peer) -> None:
    """The logon succeeds, and the shell is denied."""
    refused(5, lambda: peer.pool().open())


if __name__ == "__main__":
    sys.exit(clients.main())
