"""How fast mail goes out: ``twistd mailserver`` beside Debian's postfix, both to postfix's smtp-sink.

``python bench/smtp_out.py [--quick] [--messages N] [--rounds N] [--large N] [--directory DIR] [--sign]``

Distinct, mixed messages of 2 KB, 10 KB and 1 MB are brought into the queue of each server while it holds back what
goes to the sink's domain; then it may send, with 32 connections at most, and the time until its queue is empty
counts, with the CPU of all its processes. Nothing is sent before the clock starts, and nothing comes in while it
runs. ``--sign`` gives our domain its DKIM keys, so that each message is signed twice (RSA and Ed25519); postfix has
no signer of its own.

Needs root, postfix and its smtp-sink.
"""

from __future__ import annotations

import argparse
import os
import shutil
import smtplib
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from smtp_in import ROOT, Peak, Postfix, message, used

for _path in (str(ROOT / "src"), str(ROOT)):
    if _path not in sys.path:
        sys.path.insert(0, _path)

from tests.support.daemon import environment, twistd  # noqa: E402

from posthouse.auth.passwords import hash_password  # noqa: E402
from posthouse.store import accounts  # noqa: E402
from posthouse.store.inline import InlineDatabase  # noqa: E402

FAR = "away.example"
IDA, PASSWORD = "ida@bench.example", "correct horse battery"
CONNECTIONS = 32
#: What was sent is remembered for a while.
_OPEN = "SELECT count(*) FROM outbox WHERE state IN ('due', 'leased', 'held', 'paused')"


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Sink:
    """Takes everything and keeps nothing."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            ["smtp-sink", "-u", "nobody", f"127.0.0.1:{self.port}", "256"], stderr=subprocess.DEVNULL
        )

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Ours:
    """A configured ``twistd mailserver`` with a route to the sink."""

    name = "posthouse"

    def __init__(self, directory: Path, sink: int, sign: bool) -> None:
        self._data = directory / "posthouse"
        self._data.mkdir(mode=0o700)
        self._config = directory / "mailserver.toml"
        self.port = free_port()
        self._config.write_text(
            f'[server]\nhostname = "out.bench.example"\ndirectory = "{self._data}"\n'
            f'[listen]\nsmtp = []\nsubmission = []\nhttps = []\nsubmissions = ["127.0.0.1:{self.port}"]\n'
            f'[log]\nfile = "{directory}/posthouse.log"\n[auth]\nbcrypt_cost = 4\n'
            f'[delivery]\nroutes = ["{FAR}=smtp://127.0.0.1:{sink}"]\nper_destination = {CONNECTIONS}\n'
            "daily_recipients = 0\ndaily_new_recipients = 0\n"
        )
        db = InlineDatabase(self._data / "posthouse.db").open()

        def fill(tx: object) -> None:
            accounts.add_domain(tx, "bench.example", 0)  # type: ignore[arg-type]
            accounts.add_account(tx, IDA, "Ida", hash_password(PASSWORD.encode(), 4), True, 0)  # type: ignore[arg-type]

        db.write_now(fill)
        db.close()
        if sign:
            self._tell("domain", "dkim", "bench.example")
        self._process = subprocess.Popen(
            twistd("--config", str(self._config), cwd=directory),
            cwd=directory,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while "ready:" not in self._said(directory):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._said(directory)[-2000:])
            time.sleep(0.1)
        self.pids: tuple[int, ...] = (self._process.pid,)

    @staticmethod
    def _said(directory: Path) -> str:
        log = directory / "posthouse.log"
        return log.read_text() if log.exists() else ""

    def _tell(self, *words: str) -> None:
        command = [sys.executable, "-m", "posthouse.cli", "--config", str(self._config), *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)

    def connect(self) -> smtplib.SMTP:
        """A session that may send."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = smtplib.SMTP_SSL("127.0.0.1", self.port, timeout=120, context=context)
        client.login(IDA, PASSWORD)
        return client

    def hold(self) -> None:
        self._tell("queue", "pause", FAR)

    def go(self) -> None:
        self._tell("queue", "resume", FAR)

    def waiting(self) -> int:
        uri = f"file:{self._data / 'posthouse.db'}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
        try:
            return int(connection.execute(_OPEN).fetchone()[0])
        finally:
            connection.close()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


class Theirs(Postfix):
    """Postfix with a transport to the sink."""

    def __init__(self, directory: Path, sink: int) -> None:
        super().__init__(directory, ["nobody@bench.example"])
        self._queue = directory / "queue"
        with open(self._etc / "main.cf", "a") as main:
            main.write(
                f"transport_maps = inline:{{ {{ {FAR} = smtp:[127.0.0.1]:{sink} }} }}\n"
                f"default_destination_concurrency_limit = {CONNECTIONS}\n"
                f"initial_destination_concurrency = {CONNECTIONS}\ndefault_process_limit = 100\n"
                "smtp_tls_security_level = none\nmaximal_queue_lifetime = 1d\n"
            )

    def connect(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=120)

    def _set(self, value: str) -> None:
        subprocess.run(["postconf", "-c", str(self._etc), "-e", f"defer_transports = {value}"], check=True)
        subprocess.run(["postfix", "-c", str(self._etc), "reload"], check=True, capture_output=True)
        time.sleep(1.0)

    def hold(self) -> None:
        self._set("smtp")

    def go(self) -> None:
        self._set("")
        subprocess.run(["postqueue", "-c", str(self._etc), "-f"], check=True)

    def waiting(self) -> int:
        kinds = ("maildrop", "incoming", "active", "deferred")
        return sum(len(files) for kind in kinds for _, _, files in os.walk(self._queue / kind))


def fill(server: Ours | Theirs, number: int, size: int, first: int) -> None:
    """Bring messages into the queue, by eight sessions."""

    def some(index: int) -> None:
        client = server.connect()
        for one in range(index, number, 8):
            to = f"far{one}@{FAR}"
            data = message(first + one, size, to)
            # The same author for all, who may send by our rules.
            wire = (
                data[: data.index(b"From: ")]
                + b"From: <"
                + IDA.encode()
                + b">"
                + data[data.index(b"\r\nTo: ") :]
            )
            client.mail(IDA)
            client.rcpt(to)
            client.putcmd("DATA")
            client.getreply()
            client.send(wire)
            code, said = client.getreply()
            if code != 250:
                raise RuntimeError(f"{server.name}: {code} {said!r}")
        client.quit()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(some, range(8)))


def measure(server: Ours | Theirs, number: int, size: int) -> tuple[float, float, float]:
    """Messages a second, seconds of CPU per 1,000, and MB of memory at the peak."""
    server.hold()
    fill(server, number, size, int(time.time()) * 50)
    deadline = time.monotonic() + 120
    while server.waiting() != number:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} has {server.waiting()} of {number} in its queue")
        time.sleep(0.2)
    os.sync()
    time.sleep(1.0)
    before = used(server.pids)
    server.go()
    deadline = time.monotonic() + 300
    # From the first one that left: giving the order costs a process, with both.
    began, left, number_left = time.monotonic(), number, 0
    with Peak(server.pids) as peak:
        while left:
            left, found = server.waiting(), left
            if found == number > left:
                began, number_left = time.monotonic(), left
            if time.monotonic() > deadline:
                raise RuntimeError(f"{server.name} still has {left}")
            time.sleep(0.01)
        took = time.monotonic() - began
    return number_left / took, (used(server.pids) - before) * 1000 / number, peak.most


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=3000, help="of 2 KB and of 10 KB in each round")
    parser.add_argument("--large", type=int, default=100, help="of 1 MB in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of 400, and 20 large ones")
    parser.add_argument("--sign", action="store_true")
    parser.add_argument("--directory", help="on the disk to be measured (default: the temporary one)")
    given = parser.parse_args()
    if given.quick:
        given.messages, given.rounds, given.large = 400, 1, 20
    directory = Path(tempfile.mkdtemp(prefix="smtp-out-", dir=given.directory))
    directory.chmod(0o755)
    (directory / "postfix").mkdir()
    sink = Sink()
    servers: list[Ours | Theirs] = []
    try:
        servers.append(Ours(directory, sink.port, given.sign))
        servers.append(Theirs(directory / "postfix", sink.port))
        for server in servers:
            measure(server, 50, 2_000)
        print(f"{CONNECTIONS} connections; CPU: seconds per 1,000 messages", flush=True)
        for number, size in ((given.messages, 2_000), (given.messages, 10_000), (given.large, 1_000_000)):
            if not number:
                continue
            found: dict[str, list[tuple[float, float, float]]] = {server.name: [] for server in servers}
            for _ in range(given.rounds):
                for server in servers:
                    found[server.name].append(measure(server, number, size))
            rates = {name: statistics.median(row[0] for row in rows) for name, rows in found.items()}
            costs = {name: statistics.median(row[1] for row in rows) for name, rows in found.items()}
            peaks = {name: max(row[2] for row in rows) for name, rows in found.items()}
            line = "".join(
                f"   {name} {rates[name]:6.0f}/s CPU {costs[name]:6.2f} {peaks[name]:4.0f} MB"
                for name in found
            )
            print(
                f"{size // 1000:>5} KB{line}   speed x{rates['posthouse'] / rates['postfix']:.2f}, "
                f"CPU x{costs['posthouse'] / costs['postfix']:.2f}",
                flush=True,
            )
    finally:
        for server in servers:
            server.stop()
        sink.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
