"""A WS-Man server that judges a client of PowerShell remoting.

PSRP is psrpcore's, NTLM is pyspnego's, Kerberos is MIT's; envelopes, HTTP, sealing and the strict rules are here. It listens on loopback,
prints one line of JSON when it is ready, and ends when its standard input does: with whoever started it.

    python server.py --folder DIR [--certificate PEM --key PEM] [--client-ca PEM] [--bindings required|optional|off]
                     [--offer Negotiate,Basic] [--user NAME --password TEXT] [--max-envelope BYTES] [--port N] [--old]
                     [--keytab FILE --kerberos-host NAME] [--cmdlets MODULE]

What it writes into the folder is said in `records.py`, how it is made to misbehave in `nasty.py`.
"""

import argparse
import importlib
import json
import os
import pathlib
import socket
import ssl
import sys
import threading

import cmdlets
import lync_cmdlets  # noqa: F401  (its commands become known)
import strict
from connection import Connection
from logon import Rules
from nasty import Control
from records import Records
from shells import Shells

SERVICES = {
    "MSSQLSERVER": {"display": "SQL Server", "status": "Running", "start": "Automatic"},
    "Spooler": {"display": "Print Spooler", "status": "Running", "start": "Automatic"},
    "GroupChat": {"display": "Group Chat", "status": "Stopped", "start": "Manual"},
}


class Server:
    """What all connections share."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        folder = pathlib.Path(arguments.folder)
        state = cmdlets.State(folder)
        if not state.file.exists():
            state.write(SERVICES)
        self.records = Records(folder)
        self.control = Control(folder)
        self.limit = arguments.max_envelope
        self.envelopes = strict.Envelopes(self.records, self.limit)
        self.shells = Shells(self.records, cmdlets.start, self.limit, arguments.old)
        self.tls = None
        certificate = None
        if arguments.certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(arguments.certificate, arguments.key)
            if arguments.client_ca:
                self.tls.load_verify_locations(arguments.client_ca)
                self.tls.verify_mode = ssl.CERT_OPTIONAL
            pem = pathlib.Path(arguments.certificate).read_text("ascii")
            end = "-----END CERTIFICATE-----"
            certificate = ssl.PEM_cert_to_DER_cert(pem[: pem.index(end) + len(end)] + "\n")
        self.rules = Rules(
            user=arguments.user,
            password=arguments.password,
            offers=arguments.offer.split(","),
            bindings=arguments.bindings,
            certificate=certificate,
            host=arguments.kerberos_host,
        )
        if arguments.keytab:
            # Read by MIT Kerberos, through pyspnego.
            os.environ["KRB5_KTNAME"] = f"FILE:{arguments.keytab}"
        self.socket = socket.create_server(("127.0.0.1", arguments.port))
        self.port = self.socket.getsockname()[1]
        # Read by pyspnego's acceptor: DOMAIN:USER:PASSWORD.
        domain, _, name = arguments.user.rpartition("\\")
        accounts = folder / "accounts"
        accounts.write_text(f"{domain}:{name}:{arguments.password}\n:{name}@lab.local:{arguments.password}\n", "utf-8")
        os.environ["NTLM_USER_FILE"] = str(accounts)

    def serve(self) -> None:
        """Accepts connections for ever."""
        while True:
            stream, _ = self.socket.accept()
            threading.Thread(target=self._connection, args=(stream,), daemon=True).start()

    def _connection(self, stream: socket.socket) -> None:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls is not None:
                stream = self.tls.wrap_socket(stream, server_side=True)
        except (OSError, ssl.SSLError) as error:
            self.records.request("TlsRefused", error=str(error))
            stream.close()
            return
        Connection(self, stream).serve()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Reads the arguments and serves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--user", default="LAB\\admin")
    parser.add_argument("--password", default="Passw0rd!")
    parser.add_argument("--offer", default="Negotiate,Basic")
    parser.add_argument("--bindings", choices=["required", "optional", "off"], default="required")
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--client-ca")
    parser.add_argument("--keytab")
    parser.add_argument("--kerberos-host", default="")
    parser.add_argument("--old", action="store_true")
    parser.add_argument("--max-envelope", type=int, default=500 * 1024)
    parser.add_argument("--cmdlets", action="append", default=[], help="a module with further cmdlets; the last one counts")
    arguments = parser.parse_args()
    for name in arguments.cmdlets:
        importlib.import_module(name)
    server = Server(arguments)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    scheme = "https" if server.tls is not None else "http"
    print(json.dumps({"ready": True, "port": server.port, "scheme": scheme, "pid": os.getpid()}), flush=True)
    server.serve()


if __name__ == "__main__":
    main()
