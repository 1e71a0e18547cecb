"""Asks the judge for every misbehaviour of `nasty.py` and looks whether it happens, once, and is over afterwards.

    python nasty_checks.py --port N --folder DIR [--tls --ca PEM] [--auth …]
"""

import argparse
import json
import pathlib
import sys
import time
import typing
import warnings

warnings.simplefilter("ignore")

import requests  # noqa: E402
from pypsrp.exceptions import WinRMError, WSManFaultError  # noqa: E402
from pypsrp.wsman import WSMan  # noqa: E402

import clients  # noqa: E402

# More than any answer of these checks has.
ENOUGH = 4 * 1024 * 1024


class Endless(Exception):
    """An answer that was too long to be waited for."""


BROKEN = (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError, requests.exceptions.ReadTimeout)
ANY = (Exception,)

# The exceptions by which a call must end, or the output that it must have.
Wanted = typing.Union[typing.Tuple[type, ...], typing.List[str]]
WELL = ["added"]

# What is asked for, and how a call of pypsrp ends by it.
MODES: typing.List[typing.Tuple[dict, Wanted]] = [
    ({"on": "Command", "do": "drop", "bytes": 0}, BROKEN),
    ({"on": "Command", "do": "drop", "bytes": 40, "settle": True}, ANY),
    ({"on": "Receive", "do": "drop", "bytes": 300}, BROKEN),
    ({"on": "Command", "do": "close"}, BROKEN),
    ({"on": "Command", "do": "stall"}, BROKEN),
    ({"on": "Receive", "do": "garbage"}, ANY),
    ({"on": "Receive", "do": "garbage", "plain": True}, ANY),
    ({"on": "Receive", "do": "truncated"}, ANY),
    ({"on": "Receive", "do": "declared"}, BROKEN),
    ({"on": "Receive", "do": "trickle", "pause": 0.0001}, WELL),
    ({"on": "Command", "do": "relates_to"}, (WinRMError,)),
    ({"on": "Receive", "do": "repeated", "times": 0}, ["added", "added"]),
    ({"on": "Receive", "do": "unknown"}, ANY),
    ({"on": "Command", "do": "fault", "code": 2150858843}, (WSManFaultError,)),
    ({"on": "Command", "do": "fault_after", "code": 1726, "text": "asked for"}, (WSManFaultError,)),
    ({"on": "Command", "do": "status", "status": 503}, ANY),
    ({"on": "Command", "do": "redirect", "location": "http://127.0.0.1:1/elsewhere"}, ANY),
    ({"on": "Receive", "do": "at_once"}, WELL),
    ({"on": "Receive", "do": "hold", "seconds": 1}, WELL),
    ({"on": "Command", "do": "unauthorized"}, ANY),
    ({"on": "Logon", "do": "redirect", "status": 301, "location": "http://127.0.0.1:1/elsewhere"}, ANY),
    ({"on": "Logon", "do": "status", "status": 500}, ANY),
    ({"on": "Logon", "do": "close"}, BROKEN),
]
# Where nothing is sealed there is nothing to break in the seal, and a closed connection costs no logon.
SEALED: typing.List[typing.Tuple[dict, Wanted]] = [
    ({"on": "Receive", "do": "bad_seal"}, ANY),
    ({"on": "Receive", "do": "bad_length"}, (WinRMError,)),
]
PLAIN: typing.List[typing.Tuple[dict, Wanted]] = [
    ({"on": "*", "do": "close_after", "times": 0, "header": True}, WELL),
    ({"on": "Receive", "do": "endless"}, (Endless,)),
]


class Bounded(WSMan):
    """Gives up soon: what is waited for never comes, or never ends."""

    def bound(self) -> None:
        """Reads no answer beyond its bound."""
        session = self.transport.session = self.transport._build_session()
        send = session.send

        def bounded(request, **settings):
            response = send(request, stream=True, **settings)
            content = b""
            for chunk in response.iter_content(65536):
                content += chunk
                if len(content) > ENOUGH:
                    raise Endless
            response._content = content
            return response

        session.send = bounded

    def invoke(self, *arguments, **named):
        """One try, and no more."""
        named["retries_on_read_timeout"] = 0
        return super().invoke(*arguments, **named)


def attempt(peer: clients.Peer, name: str, **parameters) -> typing.Any:
    """One command in a pool of its own; what is left of it is not cleaned up."""
    given = peer.arguments
    wsman = Bounded(
        "127.0.0.1",
        port=given.port,
        username=given.user,
        password=given.password,
        auth=given.auth,
        ssl=given.tls,
        cert_validation=given.ca or False,
        encryption="never" if given.auth == "basic" else "auto",
        no_proxy=True,
        read_timeout=3,
    )
    if given.auth == "basic":
        wsman.bound()
    pool = peer.pool(wsman)
    pool.open()
    return clients.call(pool, name, **parameters).output


def main() -> int:
    """Runs the checks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--auth", default="negotiate")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--ca")
    arguments = parser.parse_args()
    for name, value in (("user", "LAB\\admin"), ("password", "Passw0rd!"), ("host", "127.0.0.1"), ("path", "wsman")):
        setattr(arguments, name, value)
    arguments.certificate = arguments.key = None
    arguments.configuration = "Microsoft.PowerShell"
    peer = clients.Peer(arguments)
    folder = pathlib.Path(arguments.folder)
    sealed = not arguments.tls and arguments.auth != "basic"
    failed = 0
    for rule, wanted in MODES + (SEALED if sealed else PLAIN):
        said = {"check": json.dumps(rule), **check(peer, folder, rule, wanted)}
        failed += not said["passed"]
        print(json.dumps(said), flush=True)
    return 1 if failed else 0


def effects(folder: pathlib.Path) -> int:
    """How often something was done."""
    return len((folder / "audit.jsonl").read_text("utf-8").splitlines())


def check(peer: clients.Peer, folder: pathlib.Path, rule: dict, wanted: Wanted) -> dict:
    """One misbehaviour."""
    control = folder / "control.json"
    before = effects(folder)
    new = control.with_suffix(".new")
    new.write_text(json.dumps({"epoch": time.time(), "rules": [rule]}), "utf-8")
    new.replace(control)
    raised: typing.Optional[Exception] = None
    try:
        found = attempt(peer, "Add-Entry", Text=json.dumps(rule))
    except Exception as error:
        raised, found = error, None
    control.unlink()
    if isinstance(wanted, list):
        if raised is not None or found != wanted:
            return {"passed": False, "why": f"not {wanted}: {raised!r}, {found}"}
    elif not isinstance(raised, wanted):
        return {"passed": False, "why": f"ended with {raised!r}, {found}"}
    # Instead of executing means that nothing was done, after executing that it was.
    never = rule["on"] == "Logon" or rule["do"] in ("close", "fault", "status", "redirect", "unauthorized")
    expected = 0 if never else 1
    end = time.monotonic() + 10
    while effects(folder) - before < expected and time.monotonic() < end:
        # The answer may be here before the effect.
        attempt(peer, "Echo-Value", Value="later")
    if attempt(peer, "Echo-Value", Value="well") != ["well"]:
        return {"passed": False, "why": "it is not over"}
    done = effects(folder) - before
    if done != expected:
        return {"passed": False, "why": f"it was done {done} times"}
    return {"passed": True}


if __name__ == "__main__":
    sys.exit(main())
