"""How fast mail comes in: ``twistd mailserver`` beside Debian's postfix delivering to maildir, on the same disk.

``python bench/smtp_in.py [--messages N] [--large N] [--directory DIR] [--skip-postfix]``

Distinct, mixed messages (plain, HTML, alternatives, attachments) of about 10 KB with 1, 8 and 32 sessions, then
of 1 MB with 8. A message counts when it is in the mailbox: for the daemon that is its 250, for postfix the
file in the maildir. CPU is that of all processes of the server, from /proc. Postfix runs from a directory of its
own on a high port of loopback, and needs root; without either it is left out, saying so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import encodebytes
from collections.abc import Callable
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parents[1]
WORDS = [
    "".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyzäöü", k=random.Random(n).randint(2, 11)))
    for n in range(4000)
]


def text(chosen: random.Random, size: int) -> str:
    """Words in lines."""
    lines, line, total = [], "", 0
    while total < size:
        word = chosen.choice(WORDS)
        if len(line) + len(word) > 72:
            lines.append(line)
            total += len(line) + 2
            line = ""
        line += word + " "
    return "\r\n".join(lines)


def message(number: int, size: int, recipient: str) -> bytes:
    """One message on the wire, dots stuffed, with its end."""
    chosen = random.Random(number)
    kind = number % 4
    head = (
        f"From: Sender {number} <s{number % 97}@bench.example>\r\nTo: <{recipient}>\r\n"
        f"Message-ID: <{number}.{size}.{chosen.getrandbits(64):x}@bench.example>\r\n"
        f"Date: Mon, 5 Jan 2026 10:{number % 60:02}:00 +0100\r\n"
        f"Subject: {' '.join(chosen.choices(WORDS[:500], k=5)).encode('ascii', 'ignore').decode()}\r\n"
        "MIME-Version: 1.0\r\n"
    )
    plain = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    if kind == 0:
        body = plain + text(chosen, size)
    elif kind == 1:
        html = "".join(f"<p>{line}</p>\r\n" for line in text(chosen, int(size * 0.9)).split("\r\n"))
        body = "Content-Type: text/html; charset=utf-8\r\n\r\n<html><body>" + html + "</body></html>"
    elif kind == 2:
        half = text(chosen, size // 2)
        body = (
            'Content-Type: multipart/alternative; boundary="=alt"\r\n\r\n--=alt\r\n'
            + plain
            + half
            + "\r\n--=alt\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>"
            + half.replace("\r\n", "<br>\r\n")
            + "</body></html>\r\n--=alt--"
        )
    else:
        blob = encodebytes(chosen.randbytes(int(size * 0.6))).decode().replace("\n", "\r\n")
        body = (
            'Content-Type: multipart/mixed; boundary="=mix"\r\n\r\n--=mix\r\n'
            + plain
            + text(chosen, size // 6)
            + f'\r\n--=mix\r\nContent-Type: application/pdf; name="f{number}.pdf"\r\n'
            "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\n" + blob + "--=mix--"
        )
    wire = (head + body + "\r\n").encode().replace(b"\r\n.", b"\r\n..")
    return wire + b".\r\n"


def session(port: int, recipients: list[str], messages: list[bytes], start: Any) -> None:
    """One connection: each message as one group of commands, the body after 354."""
    line = socket.create_connection(("127.0.0.1", port))
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = line.makefile("rb")

    def expect(code: bytes) -> None:
        answer = reader.readline()
        while answer[3:4] == b"-":
            answer = reader.readline()
        if not answer.startswith(code):
            raise RuntimeError(f"expected {code!r}: {answer!r}")

    expect(b"220")
    line.sendall(b"EHLO bench.example\r\n")
    expect(b"250")
    start.wait()
    for number, wire in enumerate(messages):
        recipient = recipients[number % len(recipients)].encode()
        line.sendall(b"MAIL FROM:<s@bench.example>\r\nRCPT TO:<%s>\r\nDATA\r\n" % recipient)
        expect(b"250")
        expect(b"250")
        expect(b"354")
        line.sendall(wire)
        expect(b"250")
    line.sendall(b"QUIT\r\n")
    line.close()


def client(port: int, recipients: list[str], shares: list[list[bytes]], start: Any, failed: Any) -> None:
    """One process: a thread per session."""

    def run(share: list[bytes]) -> None:
        try:
            session(port, recipients, share, start)
        except Exception as error:
            print(f"  client: {error}", file=sys.stderr)
            failed.value = 1

    threads = [threading.Thread(target=run, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def drive(
    port: int, recipients: list[str], wires: list[bytes], sessions: int, arrived: Callable[[], bool]
) -> float:
    """Seconds from the first MAIL until all messages are in the mailboxes."""
    shares = [wires[index::sessions] for index in range(sessions)]
    processes = min(2, sessions)
    start = multiprocessing.Barrier(sessions + 1)
    failed = multiprocessing.Value("i", 0)
    running = [
        multiprocessing.Process(target=client, args=(port, recipients, shares[i::processes], start, failed))
        for i in range(processes)
    ]
    for process in running:
        process.start()
    start.wait()
    began = time.monotonic()
    for process in running:
        process.join()
    if failed.value:
        raise RuntimeError("not every message was taken")
    while not arrived():
        if time.monotonic() - began > 300:
            raise RuntimeError("the messages did not arrive")
        time.sleep(0.02)
    return time.monotonic() - began


def cpu(root: int) -> float:
    """CPU seconds of a process, its descendants, and those of them that have ended."""
    parents: dict[int, list[tuple[int, float]]] = {}
    own: dict[int, float] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            seconds = sum(int(field) for field in stat[11:15]) / TICKS
            own[int(entry.name)] = seconds
            parents.setdefault(int(stat[1]), []).append((int(entry.name), seconds))
    total, waiting = own.get(root, 0.0), [root]
    while waiting:
        for child, seconds in parents.get(waiting.pop(), []):
            total += seconds
            waiting.append(child)
    return total


class Posthouse:
    """The demo of ``twistd mailserver``."""

    name = "posthouse"

    def __init__(self, directory: Path) -> None:
        self._data = directory / "posthouse"
        command = [sys.executable, "-m", "twisted", "mailserver", "--demo", "--directory", str(self._data)]
        for service in ("https", "smtp", "submission", "submissions"):
            command += [f"--{service}-port", "0"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
        log = open(directory / "posthouse.log", "wb")  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=log)
        ready = self._data / "demo.json"
        for _ in range(1200):
            if ready.exists():
                break
            if self._process.poll() is not None:
                raise RuntimeError((directory / "posthouse.log").read_text()[-2000:])
            time.sleep(0.1)
        told = json.loads(ready.read_text())
        self.port = int(str(told["smtp"]).rpartition(":")[2])
        self.recipients = [account["address"] for account in told["accounts"]]
        self.pid = self._process.pid

    def arrived(self, expected: int) -> bool:
        return True  # 250 is said after the commit

    def begin(self) -> None:
        time.sleep(1.0)  # let the index catch up with the run before

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


class Postfix:
    """Debian's postfix with its virtual delivery agent and one maildir per recipient."""

    name = "postfix"

    def __init__(self, directory: Path, recipients: list[str]) -> None:
        if shutil.which("postfix") is None:
            raise RuntimeError("postfix is not installed")
        if os.geteuid() != 0:
            raise RuntimeError("postfix needs root")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._etc = directory / "etc"
        self._mail = directory / "mail"
        for name in ("etc", "queue", "data", "mail"):
            (directory / name).mkdir()
        shutil.chown(directory / "data", "postfix")
        os.chown(self._mail, 65534, 65534)
        self.recipients = recipients
        self._boxes = [self._mail / recipient.partition("@")[0] / "new" for recipient in recipients]
        table = " ".join(f"{{ {recipient} = {recipient.partition('@')[0]}/ }}" for recipient in recipients)
        (self._etc / "main.cf").write_text(
            f"""compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
myhostname = postfix.bench.example
local_recipient_maps =
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = {recipients[0].partition("@")[2]}
virtual_mailbox_base = {self._mail}
virtual_mailbox_maps = inline:{{ {table} }}
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_mailbox_limit = 0
message_size_limit = 50000000
mailbox_size_limit = 0
smtpd_client_connection_count_limit = 0
"""
        )
        (self._etc / "master.cf").write_text(
            f"127.0.0.1:{self.port} inet n - n - 100 smtpd\n"
            "cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\n"
            "rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n"
            "defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nverify unix - - n - 1 verify\n"
            "proxymap unix - - n - - proxymap\nsmtp unix - - n - - smtp\nerror unix - - n - - error\n"
            "retry unix - - n - - error\nlocal unix - n n - - local\nvirtual unix - n n - - virtual\n"
            "anvil unix - - n - 1 anvil\nscache unix - - n - 1 scache\npickup unix n - n 60 1 pickup\n"
            "showq unix n - n - - showq\npostlog unix-dgram n - n - 1 postlogd\n"
        )
        os.chmod(directory, 0o755)
        started = subprocess.run(
            ["postfix", "-c", str(self._etc), "start"], check=False, capture_output=True, text=True
        )
        if started.returncode:
            log = directory / "log"
            raise RuntimeError(log.read_text()[-500:] if log.exists() else started.stderr[-500:])
        time.sleep(1)
        self.pid = int((directory / "queue/pid/master.pid").read_text())
        self._before = 0

    def _count(self) -> int:
        return sum(len(os.listdir(box)) for box in self._boxes if box.exists())

    def begin(self) -> None:
        self._before = self._count()

    def arrived(self, expected: int) -> bool:
        return self._count() - self._before >= expected

    def stop(self) -> None:
        subprocess.run(["postfix", "-c", str(self._etc), "stop"], check=False, capture_output=True)


def measure(server: Posthouse | Postfix, number: int, size: int, sessions: int) -> tuple[float, float]:
    """(messages a second, CPU seconds per 1,000)"""
    first = random.SystemRandom().randrange(10**9)
    wires = [
        message(first + index, size, server.recipients[index % len(server.recipients)])
        for index in range(number)
    ]
    server.begin()
    before = cpu(server.pid)
    seconds = drive(server.port, server.recipients, wires, sessions, lambda: server.arrived(number))
    return number / seconds, (cpu(server.pid) - before) / number * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=1000, help="of 10 KB for each number of sessions")
    parser.add_argument("--large", type=int, default=40, help="of 1 MB")
    parser.add_argument("--directory", help="on the disk to be measured (default: the temporary one)")
    parser.add_argument("--skip-postfix", action="store_true")
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="smtp-in-", dir=given.directory))
    directory.chmod(0o755)  # postfix works as its own user below it
    servers: list[Posthouse | Postfix] = []
    try:
        ours = Posthouse(directory)
        servers.append(ours)
        if given.skip_postfix:
            print("postfix: left out as asked")
        else:
            try:
                (directory / "postfix").mkdir()
                servers.append(Postfix(directory / "postfix", ours.recipients))
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                print(f"postfix: left out: {error}")
        print(f"{'':24}" + "".join(f"{server.name + ' msg/s':>18}{'CPU s/1000':>12}" for server in servers))
        for number, size, sessions in (
            (given.messages, 10_000, 1),
            (given.messages, 10_000, 8),
            (given.messages, 10_000, 32),
            (given.large, 1_000_000, 8),
        ):
            if not number:
                continue
            row = [measure(server, number, size, sessions) for server in servers]
            line = f"{size // 1000:>5} KB, {sessions:>2} sessions   "
            line += "".join(f"{rate:18.0f}{seconds:12.2f}" for rate, seconds in row)
            if len(row) == 2:
                line += f"   speed x{row[0][0] / row[1][0]:.2f}, CPU x{row[0][1] / row[1][1]:.2f}"
            print(line, flush=True)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
