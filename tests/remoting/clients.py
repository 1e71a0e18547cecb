"""Checks with pypsrp, a client that others wrote, of a server of PowerShell remoting.

    python clients.py --port N [--path wsman] [--tls --ca PEM] [--auth basic|ntlm|negotiate] [--only NAME,…] …

Every check is a function whose name is the sentence it proves. One line of JSON per check:
`{"check": …, "passed": true}` or with `"why"`. The exit code is 1 if one fails. The checks in the group `any` hold for
every server; those in the group `judge` need the cmdlets of `cmdlets.py`.
"""

import argparse
import json
import sys
import traceback
import typing
import uuid
import warnings
import xml.etree.ElementTree as ET

warnings.simplefilter("ignore")

from pypsrp.complex_objects import Color, Coordinates, ObjectMeta, PSInvocationState, RunspacePoolState, Size  # noqa: E402
from pypsrp.exceptions import AuthenticationError, WSManFaultError  # noqa: E402
from pypsrp.host import PSHost, PSHostRawUserInterface, PSHostUserInterface  # noqa: E402
from pypsrp.powershell import PowerShell, RunspacePool  # noqa: E402
from pypsrp.wsman import NAMESPACES, SelectorSet, WSMan  # noqa: E402

Check = typing.Callable[["Peer"], None]
CHECKS: typing.Dict[str, typing.List[Check]] = {"any": [], "judge": []}


def group(name: str):
    """Puts a check into a group."""

    def register(function: Check) -> Check:
        CHECKS[name].append(function)
        return function

    return register


class Peer:
    """How the server is reached."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments

    def wsman(self, **changes) -> WSMan:
        """A connection, with other settings where `changes` says so."""
        given = self.arguments
        settings: typing.Dict[str, typing.Any] = {
            "port": given.port,
            "username": given.user,
            "password": given.password,
            "path": given.path,
            "auth": given.auth,
            "ssl": given.tls,
            "cert_validation": given.ca or False,
            # What is not sealed is allowed on loopback for Basic alone.
            "encryption": "never" if given.auth == "basic" else "auto",
            "operation_timeout": 20,
            "certificate_pem": given.certificate,
            "certificate_key_pem": given.key,
            "no_proxy": True,
        }
        return WSMan(given.host, **{**settings, **changes})

    def pool(self, wsman: typing.Optional[WSMan] = None, **settings) -> RunspacePool:
        """A runspace pool, not yet open."""
        return RunspacePool(wsman or self.wsman(), configuration_name=self.arguments.configuration, **settings)

    def call(self, name: str, **parameters) -> PowerShell:
        """Runs one command in a pool of its own."""
        with self.pool() as pool:
            return call(pool, name, **parameters)


def begin(pool: RunspacePool, name: str, **parameters) -> PowerShell:
    """Begins one command."""
    shell = PowerShell(pool)
    shell.add_cmdlet(name).add_parameters(parameters)
    shell.begin_invoke()
    return shell


def call(pool: RunspacePool, name: str, **parameters) -> PowerShell:
    """Runs one command."""
    shell = begin(pool, name, **parameters)
    shell.end_invoke()
    return shell


def same(found: typing.Any, wanted: typing.Any) -> None:
    """Complains unless both are the same."""
    assert found == wanted, f"found {str(found)[:300]!r}, not {str(wanted)[:300]!r}"


def refused(code: int, act: typing.Callable[[], typing.Any]) -> None:
    """Complains unless a fault with `code` is the answer."""
    try:
        act()
    except WSManFaultError as fault:
        same(fault.code, code)
    else:
        raise AssertionError(f"no fault, not {code}")


# ---- Any server ----


@group("any")
def a_pool_opens_and_closes(peer: Peer) -> None:
    """Opening agrees on version 2.3; closing is a Delete."""
    pool = peer.pool()
    pool.open()
    same(pool.state, RunspacePoolState.OPENED)
    same(pool.protocol_version, "2.3")
    pool.close()
    same(pool.state, RunspacePoolState.CLOSED)


@group("any")
def the_shell_id_is_the_one_that_the_client_chose(peer: Peer) -> None:
    """What a client writes down before it opens a shell is what it finds afterwards."""
    pool = peer.pool()
    chosen = pool.id
    with pool:
        same(pool.shell.id.upper(), chosen.upper())


@group("any")
def an_unknown_command_is_a_genuine_error_that_ends_the_pipeline(peer: Peer) -> None:
    """The record of PowerShell itself, in the state of the pipeline."""
    shell = peer.call("Get-NothingOfThisName")
    same(shell.state, PSInvocationState.FAILED)
    same(shell.output, [])
    (error,) = shell.streams.error
    same(error.fq_error, "CommandNotFoundException")
    assert "Get-NothingOfThisName" in str(error), str(error)
    same(error.reason, "CommandNotFoundException")
    same(error.target_name, "Get-NothingOfThisName")


@group("any")
def several_pipelines_use_one_pool(peer: Peer) -> None:
    """One after the other; each ends as it should."""
    with peer.pool() as pool:
        for _ in range(5):
            same(call(pool, "Get-NothingOfThisName").state, PSInvocationState.FAILED)


@group("any")
def a_deleted_shell_is_gone(peer: Peer) -> None:
    """Whatever is asked of it is answered by the fault for that, a second Delete too."""
    wsman = peer.wsman()
    pool = peer.pool(wsman)
    pool.open()
    selectors, resource = pool.shell._selector_set, pool.shell.resource_uri
    pool.close()
    refused(2150858843, lambda: wsman.delete(resource, selector_set=selectors))
    pool.shell.id, pool.shell._selector_set = pool.id, selectors
    refused(2150858843, lambda: pool.shell.receive("stdout"))


@group("any")
def a_shell_that_never_was_is_gone_too(peer: Peer) -> None:
    """So that a client may delete what it only meant to create."""
    selectors = SelectorSet()
    selectors.add_option("ShellId", str(uuid.uuid4()).upper())
    resource = f"http://schemas.microsoft.com/powershell/{peer.arguments.configuration}"
    refused(2150858843, lambda: peer.wsman().delete(resource, selector_set=selectors))


@group("any")
def a_pool_with_nothing_to_say_answers_that_the_time_is_over(peer: Peer) -> None:
    """After the OperationTimeout, and the pool is as usable as before."""
    with peer.pool() as pool:
        # The first may still have something of the opening.
        refused(2150858793, lambda: [pool.shell.receive("stdout", timeout=1) for _ in range(2)])
        same(call(pool, "Get-NothingOfThisName").state, PSInvocationState.FAILED)


@group("any")
def shells_are_listed(peer: Peer) -> None:
    """Enumerate shows an open shell, and not a deleted one."""
    wsman = peer.wsman()
    pool = peer.pool()
    pool.open()
    assert pool.id in [one.id.upper() for one in RunspacePool.get_runspace_pools(wsman)]
    pool.close()
    assert pool.id not in [one.id.upper() for one in RunspacePool.get_runspace_pools(wsman)]


@group("any")
def a_wrong_password_is_refused(peer: Peer) -> None:
    """By 401, whatever the scheme."""
    if peer.arguments.auth == "certificate":
        return
    try:
        peer.pool(peer.wsman(password="wrong")).open()
    except AuthenticationError:
        return
    raise AssertionError("logged on")


@group("any")
def over_tls_a_missing_channel_binding_is_refused(peer: Peer) -> None:
    """Where one is demanded: who stands between cannot hand a logon on."""
    if not peer.arguments.tls or peer.arguments.auth in ("basic", "certificate"):
        return
    _not_logged_on(peer.wsman(negotiate_send_cbt=False), peer)


@group("any")
def over_tls_a_wrong_channel_binding_is_refused(peer: Peer) -> None:
    """The binding of another certificate."""
    if not peer.arguments.tls or peer.arguments.auth in ("basic", "certificate"):
        return
    from pypsrp.negotiate import HTTPNegotiateAuth

    right = HTTPNegotiateAuth._get_cbt_data

    def wrong(response: typing.Any) -> bytes:
        binding = right(response)
        return binding[:-1] + bytes([binding[-1] ^ 1])

    HTTPNegotiateAuth._get_cbt_data = staticmethod(wrong)
    try:
        _not_logged_on(peer.wsman(), peer)
    finally:
        HTTPNegotiateAuth._get_cbt_data = staticmethod(right)


def _not_logged_on(wsman: WSMan, peer: Peer) -> None:
    try:
        peer.pool(wsman).open()
    except AuthenticationError:
        return
    raise AssertionError("logged on")


# ---- Servers with the judge's cmdlets ----

PRIMITIVES: typing.Dict[str, typing.Tuple[str, typing.Any]] = {
    "string": ("S", "text"),
    "empty": ("S", ""),
    "lines": ("S", "one\r\ntwo\rthree\nfour\tfive"),
    "escape": ("S", "_x000D_ _x005F_ __x0041_ _x"),
    "emoji": ("S", "😀 é ß 中"),
    "markup": ("S", "<a b=\"c\">&amp;</a> ' \""),
    "controls": ("S", "\a\x1f\x7f\x85"),
    "true": ("B", True),
    "false": ("B", False),
    "char": ("C", "Z"),
    "byte": ("By", 255),
    "sbyte": ("SB", -128),
    "uint16": ("U16", 65535),
    "int16": ("I16", -32768),
    "uint32": ("U32", 4294967295),
    "int32": ("I32", -2147483648),
    "uint64": ("U64", 18446744073709551615),
    "int64": ("I64", -9223372036854775808),
    "single": ("Sg", 1.5),
    "double": ("Db", -2.5e-300),
    "decimal": ("D", "79228162514264337593543950335"),
    "bytes": ("BA", bytes(range(256))),
    "guid": ("G", uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")),
    "uri": ("URI", "https://example.org/a?b=c&d"),
    "version": ("Version", "1.2.3.4"),
    "xml": ("XD", "<a><b/></a>"),
    "scriptblock": ("SBK", "$_ -eq 'x'"),
    "datetime": ("DT", "2026-11-28T03:04:05.6789012Z"),
    "duration": ("TS", "P1DT2H3M4.5S"),
    "null": ("Nil", None),
}


@group("judge")
def every_primitive_is_echoed(peer: Peer) -> None:
    """Written by one implementation, read and written by another, read by the first."""
    with peer.pool() as pool:
        for name, (tag, value) in PRIMITIVES.items():
            shell = PowerShell(pool)
            if tag in ("DT", "Nil"):
                # pypsrp reads these and cannot write them.
                argument = ET.Element(tag)
                argument.text = value
            else:
                argument = pool.serialize(value, ObjectMeta(tag))
            shell.add_cmdlet("Echo-Value").add_parameter("Value", argument)
            (found,) = shell.invoke()
            assert str(found) == str(value) or found == value, f"{name}: found {found!r}, not {value!r}"
            assert not shell.had_errors, name


@group("judge")
def every_sample_is_readable(peer: Peer) -> None:
    """All types, written by the server."""
    with peer.pool() as pool:
        names = call(pool, "New-Value").output
        assert len(names) > 40
        for name in names:
            # pypsrp has no secure strings without a key, no empty bytes, and cannot hold half a character.
            if name in ("securestring", "bytes-empty", "char-surrogate", "string-surrogate", "string-controls"):
                continue
            shell = call(pool, "New-Value", Name=name)
            same((shell.had_errors, len(shell.output)), (False, 1))


@group("judge")
def containers_are_echoed(peer: Peer) -> None:
    """Lists and dictionaries in one another."""
    value = {"list": ["a", 1, None], "number": 5}
    with peer.pool() as pool:
        (found,) = call(pool, "Echo-Value", Value=value).output
        same(json.dumps(found, sort_keys=True), json.dumps(value, sort_keys=True))
        # pypsrp cannot read a dictionary in a dictionary, but it writes one.
        (said,) = call(pool, "Describe-Value", Value={"outer": {"inner": ["a", {"deep": None}]}}).output
        ((key, outer),) = json.loads(said)["entries"]
        ((_, inner),) = outer["entries"]
        same((key["value"], inner["items"][1]["entries"][0][1]), ("outer", {"type": "null"}))


@group("judge")
def objects_of_a_megabyte_travel_both_ways(peer: Peer) -> None:
    """In many fragments, with Command and Send one way and several Receives the other."""
    value = "0123456789abcdef" * 65536 + "\r\nend"
    with peer.pool() as pool:
        (found,) = call(pool, "Echo-Value", Value=value).output
        same(len(found), len(value))
        same(found == value, True)


@group("judge")
def small_envelopes_do(peer: Peer) -> None:
    """Both sides keep to a MaxEnvelopeSize that is smaller than the usual one."""
    value = "x" * 300_000
    with peer.pool(peer.wsman(max_envelope_size=32768)) as pool:
        same(call(pool, "Echo-Value", Value=value).output, [value])


@group("judge")
def ten_thousand_objects_arrive_in_order(peer: Peer) -> None:
    """None is lost, none comes twice."""
    with peer.pool() as pool:
        found = call(pool, "Write-Many", Count=10_000, Size=40).output
        same(len(found), 10_000)
        same(all(text.startswith(f"{number:08}x") for number, text in enumerate(found)), True)


@group("judge")
def input_reaches_the_pipeline(peer: Peer) -> None:
    """Objects that are piped into a command."""
    with peer.pool() as pool:
        shell = PowerShell(pool)
        shell.add_cmdlet("Echo-Input")
        same(shell.invoke(["one", "two", 3]), ["one", "two", 3])


@group("judge")
def every_stream_arrives_as_itself(peer: Peer) -> None:
    """No stream is taken for another."""
    shell = peer.call("Write-Streams")
    streams = shell.streams
    same(shell.state, PSInvocationState.COMPLETED)
    same(shell.output, ["before", "after"])
    same([record.message for record in streams.warning], ["this is a warning"])
    same([record.message for record in streams.verbose], ["this is verbose"])
    same([record.message for record in streams.debug], ["this is debugging"])
    same([record.message_data for record in streams.information], ["this is information"])
    same([(record.activity, record.percent_complete) for record in streams.progress], [("Copying", n) for n in (0, 40, 100)])
    (error,) = streams.error
    same(str(error), "something is wrong")
    same((error.fq_error, error.invocation_script_line_number), ("JudgeError,Judge", 3))
    assert "At line:3 char:5" in error.invocation_position_message


@group("judge")
def a_terminating_error_ends_the_pipeline_with_its_text(peer: Peer) -> None:
    """CR LF and all."""
    shell = peer.call("Throw-Terminating", Message="first\r\nsecond 😀")
    same(shell.state, PSInvocationState.FAILED)
    same([str(error) for error in shell.streams.error], ["first\r\nsecond 😀"])


@group("judge")
def an_error_that_does_not_terminate_leaves_the_pipeline_running(peer: Peer) -> None:
    """Errors, then output, then a good end."""
    shell = peer.call("Write-NonTerminating", Message="wrong", Count=3)
    same((shell.state, shell.output, len(shell.streams.error)), (PSInvocationState.COMPLETED, ["went on"], 3))


@group("judge")
def a_script_is_echoed(peer: Peer) -> None:
    """As text; the judge has no PowerShell."""
    with peer.pool() as pool:
        shell = PowerShell(pool)
        shell.add_script("'a' + 'b' # ‘’")
        same(shell.invoke(), ["'a' + 'b' # ‘’"])


@group("judge")
def a_pipeline_is_stopped(peer: Peer) -> None:
    """In the middle; the pool is usable afterwards."""
    with peer.pool() as pool:
        shell = begin(pool, "Start-Slow", Seconds=600)
        shell.stop()
        same(shell.state, PSInvocationState.STOPPED)
        same(call(pool, "Echo-Value", Value=1).output, [1])


@group("judge")
def endless_output_is_stopped(peer: Peer) -> None:
    """The writer waits for the reader, and hears the stop while it waits."""
    with peer.pool() as pool:
        shell = begin(pool, "Write-Endless", Size=10_000)
        for _ in range(3):
            shell.poll_invoke()
        shell.stop()
        same(call(pool, "Echo-Value", Value="alive").output, ["alive"])


@group("judge")
def a_slow_command_outlives_the_operation_timeout(peer: Peer) -> None:
    """The fault for it means: nothing yet."""
    with peer.pool(peer.wsman(operation_timeout=1)) as pool:
        same(call(pool, "Start-Slow", Seconds=2.5).output, ["slow"])


@group("judge")
def the_host_is_asked_for_a_line(peer: Peer) -> None:
    """A call to the client's host, and its answer."""

    class Screen(PSHostUserInterface):
        """Answers with a known line."""

        def ReadLine(self, runspace, pipeline):
            return "typed"

    colour, place, size = Color(value=0), Coordinates(x=0, y=0), Size(width=80, height=25)
    raw = PSHostRawUserInterface("judge", 10, colour, colour, place, place, size, size, size, size)
    host = PSHost(None, None, False, "judge", None, Screen(raw), "1.0")
    with peer.pool(host=host) as pool:
        same(call(pool, "Read-Prompt").output, ["typed"])


@group("judge")
def a_disconnected_pool_is_reconnected(peer: Peer) -> None:
    """By the client that left it, with a pipeline that went on meanwhile."""
    with peer.pool() as pool:
        shell = begin(pool, "Start-Slow", Seconds=0.5)
        pool.disconnect()
        pool.connect()
        shell.state = PSInvocationState.RUNNING
        same(shell.end_invoke(), ["slow"])


@group("judge")
def a_disconnected_pool_is_taken_over_by_another_client(peer: Peer) -> None:
    """Which only finds it in the list, and reads the pipeline that went on meanwhile."""
    left = peer.pool()
    left.open()
    begun = begin(left, "Start-Slow", Seconds=0.5)
    left.disconnect()
    (found,) = [pool for pool in RunspacePool.get_runspace_pools(peer.wsman()) if pool.id.upper() == left.id.upper()]
    # The list says which configuration a shell is of, and pypsrp does not read it.
    found.shell.resource_uri = left.shell.resource_uri
    found.connect()
    same(found.state, RunspacePoolState.OPENED)
    (shell,) = found.create_disconnected_power_shells()
    same(shell.id.upper(), begun.id.upper())
    same(shell.connect(), ["slow"])
    same(call(found, "Echo-Value", Value="mine").output, ["mine"])
    found.close()


@group("judge")
def a_secure_string_is_read(peer: Peer) -> None:
    """After the exchange of keys."""
    with peer.pool() as pool:
        pool.exchange_keys()
        value = pool.serialize("s3cret", ObjectMeta("SS"))
        (said,) = call(pool, "Describe-Value", Value=value).output
        same(json.loads(said)["value"], "s3cret")


@group("judge")
def a_service_is_stopped_once(peer: Peer) -> None:
    """What is so already is not an effect."""
    with peer.pool() as pool:
        call(pool, "Stop-Service", Name="Spooler")
        call(pool, "Stop-Service", Name="Spooler")
        (service,) = call(pool, "Get-Service", Name="Spooler").output
        same(service.adapted_properties.get("Status") or service.extended_properties.get("Status"), "Stopped")


@group("judge")
def a_command_in_a_shell_that_is_deleted_is_over(peer: Peer) -> None:
    """Delete is answered when nothing runs any more."""
    wsman = peer.wsman()
    pool = peer.pool(wsman)
    pool.open()
    begin(pool, "Start-Slow", Seconds=600, Effect="never")
    pool.close()
    same(pool.state, RunspacePoolState.CLOSED)


def main() -> int:
    """Runs the checks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="wsman")
    parser.add_argument("--configuration", default="Microsoft.PowerShell")
    parser.add_argument("--user", default="LAB\\admin")
    parser.add_argument("--password", default="Passw0rd!")
    parser.add_argument("--auth", default="negotiate")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--ca")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--group", default="any,judge")
    parser.add_argument("--only", default="")
    parser.add_argument("--without", default="")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    without = set(filter(None, arguments.without.split(",")))
    checks = [check for name in arguments.group.split(",") for check in CHECKS[name]]
    names = {check.__name__ for check in checks}
    if (only | without) - names:
        parser.error(f"no such check: {sorted((only | without) - names)}")
    failed = 0
    for check in checks:
        if check.__name__ in without or (only and check.__name__ not in only):
            continue
        said: typing.Dict[str, typing.Any] = {"check": check.__name__, "passed": True}
        try:
            check(Peer(arguments))
        except Exception as error:  # A check fails in whatever way the client does.
            where = traceback.extract_tb(error.__traceback__)[-1]
            said.update(passed=False, why=f"{type(error).__name__}: {error}", where=f"{where.filename}:{where.lineno}")
            failed += 1
        print(json.dumps(said), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
