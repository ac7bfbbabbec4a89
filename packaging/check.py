"""Builds sdist and wheel and proves that both carry everything: ``python packaging/check.py WORKDIR``.

The wheel is built from the sdist, installed into a clean environment, and asked for its plugin and its
command."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IN_SDIST = (
    "src/posthouse/tap.py",
    "src/posthouse/py.typed",
    "twisted/plugins/posthouse_plugin.py",
    "etc/mailserver.toml",
    "packaging/posthouse.service",
    "tests/__init__.py",
    "tests/support/runner.py",
    "docs/architecture.rst",
    "README.rst",
    "NEWS.rst",
    "LICENSE",
    "tox.ini",
)
IN_WHEEL = (
    "posthouse/tap.py",
    "posthouse/py.typed",
    "posthouse/demo/mailbox.py",
    "twisted/plugins/posthouse_plugin.py",
)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command; its output, or the end of this program."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=900
    )
    if done.returncode:
        raise SystemExit(
            f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return done.stdout + done.stderr


def main(work: Path) -> None:
    """Build, look inside, install, ask."""
    out = work / "dist"
    for old in out.glob("*"):
        old.unlink()
    run(sys.executable, "-m", "build", "--outdir", out, ROOT, cwd=work)
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = [name for name in IN_SDIST if name not in names]
    with zipfile.ZipFile(wheel) as zipped:
        inside = set(zipped.namelist())
    missing += [name for name in IN_WHEEL if name not in inside]
    if "twisted/__init__.py" in inside or "twisted/plugins/__init__.py" in inside:
        raise SystemExit("the wheel would overwrite Twisted itself")
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}")
    environment = work / "clean"
    venv.create(environment, clear=True, with_pip=True)
    programs = environment / "bin"
    run(programs / "pip", "install", "-q", wheel, cwd=work)
    said = run(programs / "twistd", "mailserver", "--help", cwd=work)
    if "--demo" not in said:
        raise SystemExit(f"twistd mailserver --help says:\n{said}")
    said = run(programs / "posthouse", "--version", cwd=work)
    if "SQLite" not in said:
        raise SystemExit(f"posthouse --version says:\n{said}")
    print(f"{sdist.name} and {wheel.name} carry everything and work")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
