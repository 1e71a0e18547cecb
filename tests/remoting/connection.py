"""One connection: HTTP/1.1 with keep-alive, the logon, sealing, and misbehaviour on request."""

import dataclasses
import itertools
import socket
import ssl
import threading
import typing
import uuid

import envelope
import sealing
from envelope import Fault
from logon import Logon, Refused
from psrpcore._payload import create_fragment, create_message
from psrpcore.types import PSRPMessageType
from shells import Shell

SOAP = "application/soap+xml;charset=UTF-8"
# Larger than any envelope that is allowed, with its seal.
MAX_BODY = 64 * 1024 * 1024
_REASONS = {200: "OK", 301: "Moved Permanently", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 405: "Method Not Allowed"}
_numbers = itertools.count(1)


class Ended(Exception):
    """The connection is over."""


@dataclasses.dataclass
class Request:
    """One HTTP request."""

    method: str
    path: str
    headers: typing.Dict[str, str]
    body: bytes


class Connection:
    """One connection and its only logon."""

    def __init__(self, server, stream: socket.socket) -> None:
        self.server = server
        self.stream = stream
        self.reader = stream.makefile("rb")
        self.records = server.records
        self.number = next(_numbers)
        self.logon = Logon(server.rules, server.records)

    # ---- HTTP ----

    def _line(self) -> bytes:
        line = self.reader.readline(65536)
        if not line:
            raise Ended
        if not line.endswith(b"\r\n"):
            self.records.violation("a line of HTTP ends with CR LF", found=repr(line[-20:]))
            raise Ended
        return line[:-2]

    def _request(self) -> Request:
        first = self._line().decode("latin-1").split(" ")
        if len(first) != 3 or first[2] != "HTTP/1.1":
            self.records.violation("requests are HTTP/1.1", found=" ".join(first)[:80])
            raise Ended
        headers: typing.Dict[str, str] = {}
        while line := self._line().decode("latin-1"):
            name, _, value = line.partition(":")
            if name.lower() in headers:
                self.records.violation("a header of HTTP occurs once", header=name)
            headers[name.lower()] = value.strip()
        if "host" not in headers:
            self.records.violation("a request has a Host")
        if "transfer-encoding" in headers or not headers.get("content-length", "").isdecimal():
            self.records.violation("a request has a Content-Length", headers=sorted(headers))
            raise Ended
        length = int(headers["content-length"])
        if length > MAX_BODY:
            self.records.violation("a request is not larger than anything allowed", length=length)
            raise Ended
        body = self.reader.read(length)
        if len(body) != length:
            raise Ended
        return Request(first[0], first[1], headers, body)

    def _head(self, status: int, headers: typing.List[typing.Tuple[str, str]], length: typing.Optional[int]) -> bytes:
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Internal Server Error')}", "Server: Microsoft-HTTPAPI/2.0"]
        lines += [f"{name}: {value}" for name, value in headers]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def _hold(self) -> None:
        """Waits until the client goes."""
        self.stream.settimeout(600)
        self.reader.read(1)
        raise Ended

    # ---- One request after the other ----

    def serve(self) -> None:
        """Answers until the connection ends."""
        try:
            while True:
                self._one(self._request())
        except (Ended, OSError, ssl.SSLError, ValueError):
            pass
        finally:
            try:
                self.stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.stream.close()

    def _one(self, request: Request) -> None:
        if request.method != "POST":
            self.records.violation("a request is a POST", found=request.method)
            self._send(self._head(405, [], 0))
            return
        through, token = self._authenticate(request)
        if not through:
            return
        extra = [("WWW-Authenticate", token)] if token else []
        if not request.body:
            self._send(self._head(200, extra, 0))
            return
        sealed = sealing.is_sealed(request.headers.get("content-type", ""))
        message = self._open(request, sealed)
        self._answer(request, message, sealed, extra)

    def _authenticate(self, request: Request) -> typing.Tuple[bool, typing.Optional[str]]:
        """Lets a request through that is logged on, with a last token for its answer, and sends 401 to any other."""
        authorization = request.headers.get("authorization")
        if authorization is None and self.logon.done and self.logon.scheme not in ("Basic", "Certificate"):
            return True, None
        rule = self.server.control.take("Logon") if authorization else None
        if rule is not None:
            self._misbehave_at_logon(rule)
            return False, None
        challenges = self.logon.challenges()
        if authorization is not None:
            peer = self.stream.getpeercert(binary_form=True) if isinstance(self.stream, ssl.SSLSocket) else None
            try:
                step = self.logon.step(authorization, peer)
                if step.done:
                    return True, step.token
                challenges = [step.token] if step.token else challenges
            except Refused as refused:
                self.records.request("LogonRefused", connection=self.number, why=str(refused))
        self._unauthorized(challenges)
        return False, None

    def _unauthorized(self, challenges: typing.List[str]) -> None:
        self._send(self._head(401, [("WWW-Authenticate", one) for one in challenges], 0))

    def _open(self, request: Request, sealed: bool) -> bytes:
        """The envelope in a request."""
        if sealed:
            if self.logon.context is None:
                self.records.violation("a sealed message comes after a logon that can seal")
                self._send(self._head(400, [], 0))
                raise Ended
            try:
                return sealing.unseal(self.logon.context, request.body, self.logon.scheme)
            except Exception as error:  # Whatever is wrong with it, it cannot be opened.
                self.records.violation("a sealed message can be opened", error=f"{type(error).__name__}: {error}")
                self._send(self._head(400, [], 0))
                raise Ended from error
        kind = request.headers.get("content-type", "").replace(" ", "").lower()
        if kind != SOAP.lower():
            self.records.violation("Content-Type is that of SOAP in UTF-8", found=kind)
        if self.server.tls is None and self.logon.context is not None:
            self.records.violation("over plain HTTP messages are sealed")
            self._send(self._head(400, [], 0))
            raise Ended
        return request.body

    def _answer(self, request: Request, message: bytes, sealed: bool, extra: typing.List) -> None:
        try:
            asked = envelope.read(message)
        except envelope.Malformed as error:
            self.records.violation("the body is an envelope", error=str(error))
            self._send(self._head(400, [], 0))
            raise Ended from error
        self.server.envelopes.check(asked, request.path, len(message))
        action = asked.action
        if action == "Receive" and b"CommandId" not in message:
            action = "ReceivePool"
        rule = self.server.control.take(action) or {}
        if rule.get("do") == "other_id" and asked.body is not None:
            asked.body.attrib.pop("ShellId", None)
        self.records.request(
            action, connection=self.number, shell=asked.shell, sealed=sealed, size=len(message), path=request.path, rule=rule.get("do")
        )
        Answer(self, request, asked, sealed, extra, rule, len(message)).run()

    def execute(self, asked: envelope.Asked, path: str, size: int, patience: typing.Optional[float]):
        """Does what is asked: the status, the body, and the fragments of a Receive."""
        try:
            if size > self.server.limit:
                raise Fault(envelope.ENVELOPE_TOO_LARGE, "The request is larger than MaxEnvelopeSize allows.")
            address = f"{'https' if self.server.tls else 'http'}://127.0.0.1:{self.server.port}{path}"
            body, fragments = self.server.shells.answer(asked, self.logon.user, address, patience)
        except Fault as wrong:
            return 500, envelope.fault(asked.message_id, wrong), []
        return 200, envelope.answer(asked, body), fragments

    def _misbehave_at_logon(self, rule: dict) -> None:
        if rule["do"] == "redirect":
            self._send(self._head(rule.get("status", 302), [("Location", rule["location"])], 0))
            raise Ended
        if rule["do"] == "garbage":
            self._send(self._head(401, [("WWW-Authenticate", "Negotiate " + "QUJD" * 5)], 0))
        elif rule["do"] == "status":
            self._send(self._head(rule["status"], [], 0))
        else:
            raise Ended


class Answer:
    """One answer, good unless a rule says otherwise."""

    def __init__(
        self, connection: Connection, request: Request, asked, sealed: bool, extra: typing.List, rule: dict, size: int
    ) -> None:
        self.connection = connection
        self.request = request
        self.size = size
        self.asked = asked
        self.sealed = sealed
        self.extra = extra
        self.rule = rule

    def run(self) -> None:
        """Executes and answers."""
        what = self.rule.get("do", "")
        before = getattr(self, f"_before_{what}", None)
        if before is not None:
            before()
            return
        status, body, fragments = self._execute()
        if self.rule.get("settle"):
            self.connection.server.shells.settle(30)
        after = getattr(self, f"_after_{what}", None)
        if after is None:
            self._write(status, body)
        else:
            after(status, body, fragments)

    def _execute(self):
        patience = None
        if self.rule.get("do") == "hold":
            patience = float(self.rule.get("seconds", 600))
        elif self.rule.get("do") == "at_once":
            patience = 0.0
        return self.connection.execute(self.asked, self.request.path, self.size, patience)

    def _head_and_body(self, status: int, body: bytes, headers=(), seal: bool = True, **wrong) -> bytes:
        kind, sent = SOAP, body
        if self.sealed and seal and body:
            logon = self.connection.logon
            kind, sent = sealing.content_type(logon.scheme), sealing.seal(logon.context, body, logon.scheme, **wrong)
        headers = [*self.extra, *headers, *([("Content-Type", kind)] if sent else [])]
        return self.connection._head(status, headers, len(sent)) + sent

    def _write(self, status: int, body: bytes, **options) -> None:
        self.connection._send(self._head_and_body(status, body, **options))

    # ---- Instead of executing ----

    def _before_close(self) -> None:
        raise Ended

    def _before_fault(self) -> None:
        self._write(500, envelope.fault(self.asked.message_id, self._fault()))

    def _before_status(self) -> None:
        page = b"<html><body>Service Unavailable</body></html>"
        head = self.connection._head(self.rule["status"], [("Content-Type", "text/html")], len(page))
        self.connection._send(head + page)

    def _before_redirect(self) -> None:
        self.connection._send(self.connection._head(self.rule.get("status", 302), [("Location", self.rule["location"])], 0))

    def _before_unauthorized(self) -> None:
        self.connection._unauthorized(self.connection.logon.challenges())
        raise Ended

    def _fault(self) -> Fault:
        return Fault(int(self.rule["code"]), self.rule.get("text", "A fault was asked for."))

    # ---- After executing ----

    def _after_fault_after(self, _status, _body, _fragments) -> None:
        self._before_fault()

    def _after_drop(self, status, body, _fragments) -> None:
        self.connection._send(self._head_and_body(status, body)[: int(self.rule.get("bytes", 0))])
        raise Ended

    def _after_stall(self, _status, _body, _fragments) -> None:
        self.connection._hold()

    def _after_garbage(self, status, _body, _fragments) -> None:
        self._write(status, bytes(range(256)) * 4, seal=not self.rule.get("plain"))

    def _after_truncated(self, status, body, _fragments) -> None:
        self._write(status, body[: int(self.rule.get("bytes", len(body) // 2))])

    def _after_endless(self, status, _body, _fragments) -> None:
        headers = [("Content-Type", SOAP), ("Transfer-Encoding", "chunked")]
        self.connection._send(self.connection._head(status, headers, None))
        while True:
            self.connection._send(b"10000\r\n" + b"<" * 0x10000 + b"\r\n")

    def _after_declared(self, status, body, _fragments) -> None:
        kind = sealing.content_type(self.connection.logon.scheme) if self.sealed else SOAP
        self.connection._send(self.connection._head(status, [("Content-Type", kind)], 10_000_000_000) + body[:100])
        self.connection._hold()

    def _after_trickle(self, status, body, _fragments) -> None:
        pause, never = float(self.rule.get("pause", 0.001)), threading.Event()
        for byte in self._head_and_body(status, body):
            self.connection._send(bytes([byte]))
            never.wait(pause)

    def _after_plain(self, status, body, _fragments) -> None:
        self._write(status, body, seal=False)

    def _after_bad_seal(self, status, body, _fragments) -> None:
        self._write(status, body, wrong_signature=True)

    def _after_bad_length(self, status, body, _fragments) -> None:
        self._write(status, body, wrong_length=True)

    def _after_relates_to(self, status, body, _fragments) -> None:
        other = f"uuid:{str(uuid.uuid4()).upper()}"
        self._write(status, body.replace(self.asked.message_id.encode(), other.encode()))

    def _command(self) -> str:
        command = ""
        if self.asked.body is not None:
            for wanted in self.asked.body:
                command = wanted.get("CommandId") or ""
        return command.upper()

    def _received(self, status, fragments) -> None:
        self._write(status, envelope.answer(self.asked, Shell.received(self._command(), fragments, False)))

    def _after_done(self, status, _body, _fragments) -> None:
        self._write(status, envelope.answer(self.asked, Shell.received(self._command(), [], True)))

    def _after_foreign(self, status, _body, fragments) -> None:
        other = str(uuid.uuid4()).upper()
        self._write(status, envelope.answer(self.asked, Shell.received(other, fragments, False)))

    def _after_stderr(self, status, body, _fragments) -> None:
        more = b'<rsp:ReceiveResponse><rsp:Stream Name="stderr">AAECAw==</rsp:Stream>'
        self._write(status, body.replace(b"<rsp:ReceiveResponse>", more))

    def _after_repeated(self, status, _body, fragments) -> None:
        self._received(status, [one for one in fragments for _ in range(2)])

    def _after_reversed(self, status, _body, fragments) -> None:
        self._received(status, fragments[::-1])

    def _after_unknown(self, status, _body, fragments) -> None:
        message = create_message(False, PSRPMessageType.PipelineOutput, b"<S>?</S>", uuid.UUID(self.asked.shell))
        message = message[:4] + (0x00099999).to_bytes(4, "little") + message[8:]
        self._received(status, [create_fragment(1 << 40, 0, message, True), *fragments])

    def _after_close_after(self, status, body, _fragments) -> None:
        self._write(status, body, headers=[("Connection", "close")] if self.rule.get("header") else [])
        raise Ended
