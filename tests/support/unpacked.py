"""Programs of Debian packages that cannot be installed beside each other: each unpacked into a folder of its own.

``POSTHOUSE_DEBIAN`` names the folder of folders; ``.ci/debian-programs FOLDER`` fills it. A program runs in a mount
namespace where the fixed paths that it was built with (``/etc``, ``/run``, ``/var/spool``...) are its own, with the
users that it wants; nothing of the machine is touched, and all of it ends with the test.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import SkipTest

from tests.support.authority import Pair

FOLDER = "/var/cache/posthouse-debian"
_FIRST_USER = 64_100
_OF_THE_MACHINE = ("nsswitch.conf", "services", "protocols", "ld.so.cache", "hosts", "localtime")


def unpacked(package: str, program: str) -> Path:
    """The folder that has the package with that program. :raises SkipTest: it cannot be run here."""
    folder = Path(os.environ.get("POSTHOUSE_DEBIAN", FOLDER)) / package
    if not (folder / program).exists():
        raise SkipTest(f"{package} is not unpacked in {folder} (.ci/debian-programs {folder.parent} does it)")
    if os.geteuid() != 0:
        raise SkipTest(f"{package} is started by root only")
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode:
        raise SkipTest(f"{package} needs a mount namespace, which this machine does not allow")
    return folder


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Unpacked:
    """One program in a world of its own. A subclass writes its configuration and calls ``begin``.

    ``directory`` is what it may write in; ``clean`` ends it and removes all.

    :param pair: the certificate that it shows. :param users: names that exist for it, beside root and nobody.
    """

    def __init__(self, package: str, program: str, pair: Pair, *users: str) -> None:
        self.folder = unpacked(package, program)
        self.program = self.folder / program
        self.directory = Path(tempfile.mkdtemp(prefix=f"posthouse-{package}-"))
        self.directory.chmod(0o755)
        self.certificate, self.key = self.directory / "cert.pem", self.directory / "key.pem"
        self.certificate.write_bytes(pair.pem)
        self.key.write_bytes(pair.key_pem)
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._places: list[tuple[Path, str]] = []
        self.users = {name: _FIRST_USER + number for number, name in enumerate(users)}
        self.etc = etc = self.place("/etc")
        for name in _OF_THE_MACHINE:
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), etc / name)
        self.place("/var/mail")
        accounts = {"root": 0, "nobody": 65_534, **self.users}
        lines = [f"{name}:x:{uid}:{uid}::{self.directory}/mail:/bin/sh\n" for name, uid in accounts.items()]
        (etc / "passwd").write_text("".join(lines))
        groups = {**accounts, "nogroup": 65_534, "mail": 8}
        (etc / "group").write_text("".join(f"{name}:x:{gid}:\n" for name, gid in groups.items()))
        (etc / "mailname").write_text("mx.example\n")
        (self.directory / "mail").mkdir()

    def place(self, path: str, source: Path | None = None) -> Path:
        """What is at that path for the program: a new folder, or one that there is."""
        if source is None:
            source = self.directory / "places" / path.strip("/").replace("/", "-")
            source.mkdir(parents=True)
        self._places.append((source, path))
        return source

    def begin(self, command: list[str], *ports: int) -> None:
        """Start and wait until each port greets."""
        binds = [f"mount --bind {shlex.quote(str(source))} {path}" for source, path in self._places]
        # The shell stays: when it goes, the kernel ends all others of its namespace, whoever they run as.
        script = " && ".join([*binds, f"{{ {shlex.join(command)}; exit; }}"])
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
            )
        wait_for_greetings(self.said, *ports)

    def end(self) -> None:
        """End the program, and whatever it has started."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # and with it, by --kill-child, that shell
            process.wait()

    def said(self) -> str:
        """What it printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def clean(self) -> None:
        """End it and remove all that was its own."""
        self.end()
        shutil.rmtree(self.directory, ignore_errors=True)


def wait_for_greetings(said: Callable[[], str], *ports: int) -> None:
    """:raises AssertionError: with what the program said, when a port does not greet."""
    deadline = time.monotonic() + 30
    for port in ports:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
                    if line.recv(3) == b"220":
                        break
            except OSError:
                pass
            assert time.monotonic() < deadline, f"nobody greets at port {port}:\n{said()}"
            time.sleep(0.05)


def maildir(folder: Path) -> list[bytes]:
    """The messages of a Maildir, oldest first, with CRLF."""
    files = sorted((folder / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
    return [path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path in files]
