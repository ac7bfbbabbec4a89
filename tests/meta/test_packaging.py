"""The package lists are complete and the pieces around the code fit it."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from posthouse.admin.operations import OPERATIONS
from posthouse.cli.commands import COMMANDS
from tests.meta.source import ROOT, modules


class SetupTests(SynchronousTestCase):
    def setUp(self) -> None:
        if not (ROOT / "setup.cfg").exists():
            raise SkipTest("the source tree is not here")
        self.setup = configparser.ConfigParser()
        self.setup.read(ROOT / "setup.cfg", encoding="utf-8")

    def test_every_package_is_listed(self) -> None:
        listed = set(self.setup["options"]["packages"].split())
        found = {name for name, path in modules() if path.name == "__init__.py"}
        self.assertEqual(listed, found | {"twisted.plugins"})

    def test_every_import_from_outside_is_a_dependency(self) -> None:
        from tests.meta.source import imports

        known = {
            "attr": "attrs",
            "attrs": "attrs",
            "twisted": "twisted",
            "zope": "zope.interface",
            "OpenSSL": "pyopenssl",
            "cryptography": "cryptography",
            "sqlite_utils": "sqlite-utils",
            "bcrypt": "bcrypt",
            "dns": "dnspython",
            "idna": "idna",
            "selectolax": "selectolax",
            "backports": "backports.zstd",
            "treq": "treq",
            "nh3": "nh3",
            "service_identity": "service-identity",
            "constantly": "twisted",
            "hyperlink": "twisted",
        }
        import sys

        needed = set()
        for _, path in modules():
            for target, typing_only in imports(path):
                top = target.split(".")[0]
                if typing_only or top in ("posthouse", "compression") or top in sys.stdlib_module_names:
                    continue
                self.assertIn(top, known, f"{path}: {target}")
                needed.add(known[top])
        text = self.setup["options"]["install_requires"].lower()
        listed = {re.split(r"[\[>=;]", line)[0].strip() for line in text.strip().splitlines()}
        # Twisted's TLS needs it to check host names, though nothing here imports it.
        self.assertEqual(needed | {"service-identity"}, listed)

    def test_the_plugin_is_found_once_and_names_the_tap(self) -> None:
        found = {plugin.module for plugin in getPlugins(IServiceMaker) if plugin.tapname == "mailserver"}
        if not found:
            raise SkipTest("the package is not installed")
        self.assertEqual(found, {"posthouse.tap"})


class CommandTests(SynchronousTestCase):
    def test_every_operation_has_its_command(self) -> None:
        self.assertEqual({command.operation for command in COMMANDS}, set(OPERATIONS))

    def test_arguments_of_commands_are_arguments_of_operations(self) -> None:
        for command in COMMANDS:
            names = {
                argument.options.get("dest", argument.name.lstrip("-").replace("-", "_"))
                for argument in command.arguments
            }
            parameters = set(OPERATIONS[command.operation].parameters())
            self.assertEqual(
                names | ({"password"} if command.password else set()), parameters, command.operation
            )


class UnitFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        path = ROOT / "packaging" / "posthouse.service"
        if not path.exists():
            raise SkipTest("the source tree is not here")
        self.path = path
        self.lines = path.read_text().splitlines()

    def test_tells_systemd_when_it_is_ready_and_is_not_restarted_for_a_wrong_configuration(self) -> None:
        for line in ("Type=notify", "RestartPreventExitStatus=2", "StateDirectory=posthouse"):
            self.assertIn(line, self.lines)

    def test_low_ports_by_capability_and_nothing_more(self) -> None:
        for line in (
            "User=posthouse",
            "AmbientCapabilities=CAP_NET_BIND_SERVICE",
            "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
            "NoNewPrivileges=true",
            "ProtectSystem=strict",
        ):
            self.assertIn(line, self.lines)

    def test_starts_what_the_package_installs(self) -> None:
        (line,) = [line for line in self.lines if line.startswith("ExecStart=")]
        self.assertIn("twistd --nodaemon --pidfile= mailserver --config /etc/posthouse/mailserver.toml", line)

    def test_systemd_understands_it(self) -> None:
        if shutil.which("systemd-analyze") is None:
            raise SkipTest("systemd-analyze is not installed")
        text = self.path.read_text().replace("/opt/posthouse/bin/twistd", "/bin/true")
        path = self.mktemp() + ".service"
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=60)
        complaints = [line for line in done.stderr.splitlines() if path in line]
        self.assertEqual(complaints, [])


class ReadmeTests(SynchronousTestCase):
    def setUp(self) -> None:
        if not (ROOT / "README.rst").exists():
            raise SkipTest("the source tree is not here")
        self.text = (ROOT / "README.rst").read_text(encoding="utf-8")

    def test_opens_with_the_two_lines(self) -> None:
        lines = [line.strip() for line in self.text.splitlines() if "python3 -m venv" in line][:2]
        self.assertIn("twistd -n mailserver --demo", lines[0])
        self.assertTrue(lines[1].endswith("tox"), lines[1])
        self.assertLess(self.text.index(lines[1]), 1500)

    def test_the_second_line_is_what_the_checks_run(self) -> None:
        checks = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
        second = [line.strip() for line in self.text.splitlines() if "python3 -m venv" in line][1]
        self.assertIn(second, checks)

    def test_every_command_that_it_names_exists(self) -> None:
        known = {command.operation for command in COMMANDS} | {
            "init",
            "config check",
            "config sample",
            "--version",
        }
        for words in re.findall(r"^\s+(?:\S*/)?posthouse((?: [a-z-]+){1,2})", self.text, re.MULTILINE):
            words = words.strip()
            self.assertTrue(words in known or words.split()[0] in known, words)


class ArchitectureTests(SynchronousTestCase):
    def test_every_room_is_described(self) -> None:
        path = ROOT / "docs" / "architecture.rst"
        if not path.exists():
            raise SkipTest("the source tree is not here")
        text = path.read_text(encoding="utf-8")
        rooms = {name.split(".")[1] for name, _ in modules() if "." in name}
        self.assertEqual(sorted(room for room in rooms if f"\n``{room}``\n" not in text), [])
