"""How fast mail comes in: ``twistd mailserver`` beside Debian's postfix with dovecot's LMTP, on the same disk.

``python bench/smtp_in.py [--quick] [--messages N] [--rounds N] [--large N] [--directory DIR]
[--peer dovecot|virtual|none]``

Distinct, mixed messages (plain, quoted-printable, HTML, alternatives, attachments) of 2 KB, of 10 KB on average
and of 1 MB, each over 1, 8 and 32 sessions. The peer is what people run: postfix hands each message to dovecot,
which writes the maildir and its index; ``virtual`` is postfix alone, with its own delivery agent. The same
client drives both servers: one process, everything made beforehand, each session waits for the answer to its
message before the next. A message counts when it is in the mailbox: for the daemon that is its 250, for postfix
the file in the maildir. Rounds alternate between the servers, and the median counts.

CPU is that of all processes of a server with their threads and the children that have ended, from /proc.
Postfix's includes its own log daemon, as ours includes our log; what that takes of it is told. Full text is
not in the daemon's figure: it is measured after each burst, until nothing waits for the index any more.

Postfix and dovecot run from a directory of their own on a high port of loopback, and need root; without either
they are left out, saying so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import select
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from base64 import encodebytes
from pathlib import Path
from quopri import encodestring
from typing import Any

from attrs import frozen

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
ROOT = Path(__file__).resolve().parents[1]
WORDS = [
    "".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyzäöü", k=random.Random(n).randint(2, 11)))
    for n in range(4000)
]
# Of the wanted size; the mean is 1.
SIZES = (0.25, 0.4, 0.55, 0.7, 0.9, 1.0, 1.2, 1.5, 1.7, 1.8)


# -- the messages --------------------------------------------------------------------------------------------


def text(chosen: random.Random, size: int) -> str:
    """Words in lines, about ``size`` bytes."""
    words = chosen.choices(WORDS, k=max(1, size // 8))
    return "\n".join(" ".join(words[at : at + 9]) for at in range(0, len(words), 9)) + "\n"


def part(kind: str, encoding: str, content: bytes, more: str = "") -> bytes:
    """A body part with its header."""
    if encoding == "quoted-printable":
        content = encodestring(content)
    elif encoding == "base64":
        content = encodebytes(content)
    return f"Content-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n{more}\n".encode() + content


def html(chosen: random.Random, size: int) -> bytes:
    """A page as newsletters are made."""
    lines = text(chosen, int(size * 0.75)).splitlines()
    style = "<style>p { margin: 0 0 1em; font-family: sans-serif }</style>"
    body = "".join(f'<p style="color:#333">{line}</p>\n' for line in lines)
    return f"<html><head><title>News</title>{style}</head><body>\n{body}</body></html>\n".encode()


def message(number: int, size: int, recipient: str) -> bytes:
    """One message on the wire, dots stuffed, with its end."""
    chosen = random.Random(number)
    kind = number % 5
    size = int(size * SIZES[number // 5 % len(SIZES)]) if size < 100_000 else size
    mark = f"{number:x}.{chosen.getrandbits(64):x}"
    head = (
        f"Received: from out{number % 7}.bench.example (out.bench.example [192.0.2.{number % 250}])\n"
        f"\tby relay.bench.example with ESMTPS id {mark}\n\tfor <{recipient}>; "
        f"Mon, 5 Jan 2026 10:{number % 60:02}:01 +0100\n"
        f"From: Sender {number % 97} <s{number % 97}@bench.example>\nTo: <{recipient}>\n"
        f"Message-ID: <{mark}@bench.example>\n"
        f"Date: Mon, 5 Jan 2026 10:{number % 60:02}:00 +0100\n"
        f"Subject: {' '.join(chosen.choices(WORDS[:500], k=5)).encode('ascii', 'ignore').decode()}\n"
        f"X-Mailer: bench\nMIME-Version: 1.0\n"
    ).encode()
    plain = "text/plain; charset=utf-8"
    if kind == 0:
        body = part(plain, "8bit", text(chosen, size).encode())
    elif kind == 1:
        body = part(plain, "quoted-printable", text(chosen, int(size * 0.8)).encode())
    elif kind == 2:
        body = part("text/html; charset=utf-8", "8bit", html(chosen, size))
    else:
        if kind == 3:
            name, first = "alternative", text(chosen, size // 3)
            second = part("text/html; charset=utf-8", "quoted-printable", html(chosen, int(size * 0.5)))
        else:
            name, first = "mixed", text(chosen, size // 5)
            second = part(
                f'application/pdf; name="f{number}.pdf"',
                "base64",
                chosen.randbytes(int(size * 0.58)),
                f'Content-Disposition: attachment; filename="f{number}.pdf"\n',
            )
        line = f"--={mark}".encode()
        body = f'Content-Type: multipart/{name}; boundary="={mark}"\n\n'.encode()
        body += line + b"\n" + part(plain, "8bit", first.encode()) + b"\n" + line + b"\n" + second
        body += b"\n" + line + b"--\n"
    wire = (head + body).replace(b"\n", b"\r\n").replace(b"\r\n.", b"\r\n..")
    return wire + b".\r\n"


# -- the client ----------------------------------------------------------------------------------------------


class Session:
    """One connection: each message as one group of commands, the body after 354 (RFC 2920)."""

    def __init__(self, port: int, work: list[tuple[bytes, bytes]]) -> None:
        self.line = socket.create_connection(("127.0.0.1", port))
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._work = iter(work)
        self._wire = b""
        self._view = memoryview(b"")
        self._codes: list[bytes] = []
        self._reply = b""
        self._began = 0.0
        self.took: list[float] = []
        self._await([b"220"], b"EHLO bench.example\r\n")

    def _await(self, codes: list[bytes], then: bytes) -> None:
        """Blocking, for the greeting."""
        self._codes = codes
        while self._codes:
            self._read(self.line.recv(65536))
        self.line.sendall(then)
        self._codes = [b"250"]
        while self._codes:
            self._read(self.line.recv(65536))
        self.line.setblocking(False)

    def _read(self, data: bytes) -> None:
        if not data:
            raise RuntimeError("the server closed the connection")
        *lines, self._reply = (self._reply + data).split(b"\r\n")
        for line in lines:
            if line[3:4] == b"-":
                continue
            if not self._codes or not line.startswith(self._codes.pop(0)):
                raise RuntimeError(f"unexpected answer: {line!r}")

    def begin(self) -> bool:
        """Send the next envelope. False when there is none."""
        following = next(self._work, None)
        if following is None:
            return False
        commands, self._wire = following
        self._codes = [b"250", b"250", b"354"]
        self._began = time.monotonic()
        self._send(memoryview(commands))
        return True

    def _send(self, view: memoryview) -> None:
        try:
            while view:
                view = view[self.line.send(view) :]
        except BlockingIOError:
            pass
        self._view = view

    @property
    def sending(self) -> bool:
        """Whether more is to be sent."""
        return bool(self._view)

    def ready(self, events: int) -> bool:
        """Go on. False at the end."""
        if events & select.EPOLLOUT:
            self._send(self._view)
        if events & ~select.EPOLLOUT:
            self._read(self.line.recv(65536))
            if not self._codes:
                if self._wire:
                    wire, self._wire = self._wire, b""
                    self._codes = [b"250"]
                    self._send(memoryview(wire))
                else:
                    self.took.append(time.monotonic() - self._began)
                    return self.begin()
        return True


def client(port: int, shares: list[list[tuple[bytes, bytes]]], out: Any) -> None:
    """A process that drives all sessions, and tells (seconds, its CPU, how long each message took)."""
    try:
        sessions = {}
        poll = select.epoll()
        for share in shares:
            session = Session(port, share)
            sessions[session.line.fileno()] = session
        began, used = time.monotonic(), time.process_time()
        masks = {}
        took: list[float] = []
        for number, session in list(sessions.items()):
            session.begin()
            masks[number] = select.EPOLLIN
            poll.register(number, select.EPOLLIN)
        while sessions:
            for number, events in poll.poll():
                session = sessions[number]
                if not session.ready(events):
                    took += session.took
                    poll.unregister(number)
                    del sessions[number]
                    session.line.close()
                    continue
                mask = select.EPOLLIN | (select.EPOLLOUT if session.sending else 0)
                if masks[number] != mask:
                    masks[number] = mask
                    poll.modify(number, mask)
        out.send((time.monotonic() - began, time.process_time() - used, took))
    except Exception as error:
        out.send(error)


def drive(port: int, work: list[tuple[bytes, bytes]], sessions: int) -> tuple[float, float, list[float]]:
    """What ``client`` tells, from a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    shares = [work[index::sessions] for index in range(sessions)]
    process = multiprocessing.Process(
        target=client, args=(port, [share for share in shares if share], theirs)
    )
    process.start()
    answer = ours.recv()
    process.join()
    if isinstance(answer, Exception):
        raise answer
    return answer  # type: ignore[no-any-return]


# -- the servers ---------------------------------------------------------------------------------------------


def cpu(root: int, name: str = "") -> float:
    """CPU seconds of a process, its descendants, and those of them that have ended; or of the descendants of
    that name alone."""
    own = tree(root)
    return sum(seconds for command, seconds in own.values() if not name or command == name)


def tree(root: int) -> dict[int, tuple[str, float]]:
    """A process and its descendants: by id the name, and the CPU seconds with those of children that ended."""
    children: dict[int, list[int]] = {}
    own: dict[int, tuple[str, float]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                command, _, rest = Path(entry.path, "stat").read_text().rpartition(")")
            except OSError:
                continue
            stat = rest.split()
            seconds = sum(int(field) for field in stat[11:15]) / TICKS
            own[int(entry.name)] = (command.partition("(")[2], seconds)
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, waiting = {}, [root]
    while waiting:
        pid = waiting.pop()
        if pid in own:
            found[pid] = own[pid]
        waiting += children.get(pid, [])
    return found


def used(pids: tuple[int, ...], name: str = "") -> float:
    """`cpu` of all processes of a server."""
    return sum(cpu(pid, name) for pid in pids)


class Peak:
    """The most memory that a server has at once while this is open, in MB: of each of its processes what is its own,
    so that program text, which all share, counts for none."""

    def __init__(self, pids: tuple[int, ...]) -> None:
        self.most = 0.0
        self._pids = pids
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _look(self) -> None:
        pages = 0
        for pid in {one for root in self._pids for one in tree(root)}:
            try:
                resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
            except OSError:
                continue
            pages += int(resident) - int(shared)
        self.most = max(self.most, pages * PAGE / 1e6)

    def _run(self) -> None:
        while not self._ended.wait(0.1):
            self._look()

    def __enter__(self) -> Peak:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()


class Posthouse:
    """The demo of ``twistd mailserver``."""

    name = "posthouse"

    def __init__(self, directory: Path) -> None:
        self._data = directory / "posthouse"
        command = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "mailserver"]
        command += ["--demo", "--directory", str(self._data)]
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
        self.pids: tuple[int, ...] = (self._process.pid,)
        self._before = 0

    def _ask(self, sql: str) -> int:
        """One number from the store, in which the daemon goes on working."""
        uri = f"file:{self._data / 'posthouse.db'}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
        try:
            return int(connection.execute(sql).fetchone()[0])
        finally:
            connection.close()

    def catch_up(self) -> float:
        """Wait for full text. :returns: seconds."""
        began = time.monotonic()
        while self._ask("SELECT count(*) FROM to_index"):
            if time.monotonic() - began > 600:
                raise RuntimeError("full text did not catch up")
            time.sleep(0.1)
        return time.monotonic() - began

    def begin(self) -> None:
        self._before = self._ask("SELECT count(*) FROM item")

    def wait(self, expected: int) -> None:
        """250 is said after the commit; that it is true is seen here."""
        arrived = self._ask("SELECT count(*) FROM item") - self._before
        if arrived != expected:
            raise RuntimeError(f"{arrived} of {expected} messages are in the mailboxes")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


class Postfix:
    """Debian's postfix with its virtual delivery agent and one maildir per recipient."""

    name = "postfix"

    def __init__(self, directory: Path, recipients: list[str], lmtp: Path | None = None) -> None:
        """:param lmtp: the socket that mail is handed to; None delivers it itself."""
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
        handed = f"virtual_transport = lmtp:unix:{lmtp}\n" if lmtp is not None else ""
        # As Debian sets it up; in_flow_delay would let it sleep when mail comes faster than it delivers.
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
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
{handed}"""
        )
        (self._etc / "master.cf").write_text(
            f"127.0.0.1:{self.port} inet n - n - 100 smtpd\n"
            "cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\n"
            "rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n"
            "defer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nverify unix - - n - 1 verify\n"
            "proxymap unix - - n - - proxymap\nsmtp unix - - n - - smtp\nlmtp unix - - n - - lmtp\n"
            "error unix - - n - - error\n"
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
        self.pids: tuple[int, ...] = (self.pid,)
        self._before = 0

    def _count(self) -> int:
        return sum(len(os.listdir(box)) for box in self._boxes if box.exists())

    def catch_up(self) -> float:
        return 0.0

    def begin(self) -> None:
        self._before = self._count()

    def wait(self, expected: int) -> None:
        """Until the files are there."""
        began = time.monotonic()
        while self._count() - self._before < expected:
            if time.monotonic() - began > 300:
                raise RuntimeError("the messages did not arrive")
            time.sleep(0.02)

    def stop(self) -> None:
        subprocess.run(["postfix", "-c", str(self._etc), "stop"], check=False, capture_output=True)


class PostfixDovecot(Postfix):
    """Postfix that hands each message to dovecot over LMTP: what people run."""

    name = "postfix+dovecot"

    def __init__(self, directory: Path, recipients: list[str]) -> None:
        if shutil.which("dovecot") is None or not Path("/usr/lib/dovecot/lmtp").exists():
            raise RuntimeError("dovecot with its LMTP server is not installed")
        base = directory.parent / "dovecot"
        for name in ("run", "state"):
            (base / name).mkdir(parents=True)
        base.chmod(0o755)
        mail = directory / "mail"
        (base / "dovecot.conf").write_text(
            f"""protocols = lmtp
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
ssl = no
listen = 127.0.0.1
mail_location = maildir:{mail}/%n
first_valid_uid = 1
auth_username_format = %Lu
lmtp_save_to_detail_mailbox = no
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={mail}/%n allow_all_users=yes
}}
service lmtp {{
  process_min_avail = 2
  unix_listener lmtp-in {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
        )
        # It keeps what it is given for its output, so that is no pipe to be read to the end.
        with open(base / "said", "wb") as said:
            code = subprocess.run(["dovecot", "-c", str(base / "dovecot.conf")], stderr=said, check=False)
        if code.returncode:
            raise RuntimeError((base / "said").read_text()[-500:])
        self._conf = base / "dovecot.conf"
        super().__init__(directory, recipients, base / "run/lmtp-in")
        self.pids = (self.pid, int((base / "run/master.pid").read_text()))

    def stop(self) -> None:
        super().stop()
        subprocess.run(["doveadm", "-c", str(self._conf), "stop"], check=False, capture_output=True)


# -- measuring -----------------------------------------------------------------------------------------------


@frozen
class Burst:
    """One measurement. CPU in seconds per 1,000 messages."""

    rate: float
    cpu: float
    log_cpu: float
    client_cpu: float
    median: float  # seconds from MAIL to the last 250
    text_seconds: float
    text_cpu: float
    memory: float  # MB at the peak


def measure(server: Posthouse | Postfix, number: int, size: int, sessions: int) -> Burst:
    """Send distinct messages and wait until they are in the mailboxes."""
    first = random.SystemRandom().randrange(10**12) * 50
    work = []
    for index in range(number):
        recipient = server.recipients[index % len(server.recipients)]
        commands = f"MAIL FROM:<s{index % 97}@bench.example>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n"
        work.append((commands.encode(), message(first + index, size, recipient)))
    server.begin()
    os.sync()  # nobody pays for what others left to be written
    before, logged = used(server.pids), used(server.pids, "postlogd")
    began = time.monotonic()
    with Peak(server.pids) as peak:
        driven, client_cpu, took = drive(server.port, work, sessions)
        connecting = time.monotonic() - began - driven
        server.wait(number)
    seconds = max(driven, time.monotonic() - began - connecting) if isinstance(server, Postfix) else driven
    after, log_after = used(server.pids), used(server.pids, "postlogd")
    text_seconds = server.catch_up()
    per = 1000 / number
    return Burst(
        number / seconds,
        (after - before) * per,
        (log_after - logged) * per,
        client_cpu * per,
        statistics.median(took),
        text_seconds,
        (used(server.pids) - after) * per,
        peak.most,
    )


def middle(bursts: list[Burst], name: str) -> float:
    """The median of one figure."""
    return statistics.median(getattr(burst, name) for burst in bursts)


def show(size: int, sessions: int, found: dict[str, list[Burst]]) -> None:
    """One row of the table and what follows it."""
    line = f"{size // 1000:>5} KB, {sessions:>2} sessions "
    for bursts in found.values():
        line += f"{middle(bursts, 'rate'):11.0f}{middle(bursts, 'cpu'):10.2f}{middle(bursts, 'median') * 1000:9.1f}"
        line += f"{max(burst.memory for burst in bursts):6.0f}"
    if len(found) == 2:
        rate, taken = ([middle(bursts, name) for bursts in found.values()] for name in ("rate", "cpu"))
        line += f"   speed x{rate[0] / rate[1]:.2f}, CPU x{taken[0] / taken[1]:.2f}"
    print(line)
    ours = found["posthouse"]
    line = (
        f"{'':20}full text: {max(burst.text_seconds for burst in ours):.1f} s after the burst at most, "
        f"CPU {middle(ours, 'text_cpu'):.2f}; client's CPU {middle(ours, 'client_cpu'):.2f}"
    )
    for name, bursts in found.items():
        if name != "posthouse":
            line += f"; of postfix's, its log {middle(bursts, 'log_cpu'):.2f}"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=2000, help="of 10 KB in each burst")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=60, help="of 1 MB in each burst")
    parser.add_argument("--quick", action="store_true", help="one round of 300, and 20 large ones")
    parser.add_argument("--directory", help="on the disk to be measured (default: the temporary one)")
    parser.add_argument("--peer", choices=("dovecot", "virtual", "none"), default="dovecot")
    given = parser.parse_args()
    if given.quick:
        given.messages, given.rounds, given.large = 300, 1, 20
    directory = Path(tempfile.mkdtemp(prefix="smtp-in-", dir=given.directory))
    directory.chmod(0o755)  # postfix works as its own user below it
    servers: list[Posthouse | Postfix] = []
    try:
        ours = Posthouse(directory)
        servers.append(ours)
        if given.peer != "none":
            try:
                (directory / "postfix").mkdir()
                kind = PostfixDovecot if given.peer == "dovecot" else Postfix
                servers.append(kind(directory / "postfix", ours.recipients))
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                print(f"the peer is left out: {error}")
        for server in servers:
            server.catch_up()
            measure(server, 100, 10_000, 8)  # processes are started, statements compiled
        names = "".join(f"{server.name + ' msg/s':>19}{'CPU':>5}{'ms':>6}{'MB':>6}" for server in servers)
        print(
            f"CPU: seconds per 1,000 messages; ms: MAIL to 250, median; MB: memory at the peak\n{'':12}{names}"
        )
        for number, size, sessions in (
            (given.messages // 2, 2_000, 1),
            (given.messages, 2_000, 8),
            (given.messages, 2_000, 32),
            (given.messages // 2, 10_000, 1),
            (given.messages, 10_000, 8),
            (given.messages, 10_000, 32),
            (given.large // 2, 1_000_000, 1),
            (given.large, 1_000_000, 8),
            (given.large, 1_000_000, 32),
        ):
            if not number:
                continue
            found: dict[str, list[Burst]] = {server.name: [] for server in servers}
            for _ in range(given.rounds):
                for server in servers:
                    found[server.name].append(measure(server, number, size, sessions))
            show(size, sessions, found)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
