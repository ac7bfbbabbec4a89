"""The ``posthouse`` command on a closed house: words, exit codes, init and its rollback."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from posthouse.cli.main import main, parser
from posthouse.cli.show import as_text
from posthouse.config import load
from posthouse.store.connect import FileLock


class CommandCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        self.config = self.root / "etc" / "mailserver.toml"
        self.data = self.root / "data"

    def run_main(self, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.object(sys, "stdout", out),
            mock.patch.object(sys, "stderr", err),
            mock.patch.object(sys, "stdin", io.StringIO(stdin)),
            mock.patch.dict(os.environ, {"POSTHOUSE_CONFIG": str(self.config)}),
        ):
            try:
                code = main(list(arguments))
            except SystemExit as end:
                code = int(end.code or 0)
        return code, out.getvalue(), err.getvalue()

    def init(self) -> None:
        code, _, err = self.run_main("init", "--hostname", "mail.example.org", "--directory", str(self.data))
        self.assertEqual((code, err), (0, ""))
        text = self.config.read_text().replace("#bcrypt_cost = 12", "bcrypt_cost = 4")
        self.config.write_text(text)

    def good(self, *arguments: str, stdin: str = "") -> str:
        code, out, err = self.run_main(*arguments, stdin=stdin)
        self.assertEqual((code, err), (0, ""))
        return out


class InitTests(CommandCase):
    def test_writes_a_configuration_that_is_good_and_says_what_is_next(self) -> None:
        out = self.good("init", "--hostname", "mail.example.org", "--directory", str(self.data))
        config = load(self.config)
        self.assertEqual(config.server.hostname, "mail.example.org")
        self.assertEqual(config.directory, self.data)
        self.assertEqual(self.data.stat().st_mode & 0o777, 0o700)
        self.assertIn("domain add example.org", out)
        self.assertIn("Every key is shown", self.config.read_text())

    def test_touches_nothing_that_exists(self) -> None:
        self.good("init", "--hostname", "mail.example.org", "--directory", str(self.data))
        before = self.config.read_text()
        code, _, err = self.run_main("init", "--hostname", "other.example.org", "--directory", str(self.data))
        self.assertEqual(code, 1)
        self.assertIn("already", err)
        self.assertEqual(self.config.read_text(), before)

    def test_takes_back_everything_when_it_fails(self) -> None:
        blocker = self.root / "file"
        blocker.write_text("")
        code, _, err = self.run_main(
            "init", "--hostname", "m.example.org", "--directory", str(blocker / "data")
        )
        self.assertEqual(code, 2)
        self.assertIn("Nothing was changed", err)
        self.assertEqual(sorted(path.name for path in self.root.iterdir()), ["file"])

    def test_a_wrong_host_name_is_refused_first(self) -> None:
        code, _, _err = self.run_main("init", "--hostname", "not a name", "--directory", str(self.data))
        self.assertEqual(code, 2)
        self.assertFalse(self.config.exists() or self.data.exists())


class OfflineTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.init()

    def test_domains_users_and_aliases(self) -> None:
        self.good("domain", "add", "example.org")
        out = self.good("user", "add", "ann@example.org", "--name", "Ann", "--admin")
        self.assertRegex(out, r"password: +[a-z2-9-]{23}\n")
        self.good("alias", "add", "office@example.org", "ann@example.org", "me@else.example")
        (user,) = json.loads(self.good("--json", "user", "list"))
        self.assertEqual((user["address"], user["name"], user["admin"]), ("ann@example.org", "Ann", True))
        self.assertIn("office@example.org", self.good("alias", "list"))
        self.good("user", "disable", "ann@example.org")
        self.assertIn("no", self.good("user", "list"))
        self.assertIn("(none)", self.good("queue", "list"))
        self.assertIn("running", self.good("status"))

    def test_a_password_is_read_from_standard_input(self) -> None:
        self.good("domain", "add", "example.org")
        out = self.good("user", "add", "ann@example.org", "--password-stdin", stdin="correct horse\n")
        self.assertNotIn("correct horse", out)
        code, _, err = self.run_main("user", "passwd", "ann@example.org", "--password-stdin")
        self.assertEqual(code, 1)
        self.assertIn("no password", err)

    def test_a_refusal_is_one_sentence_and_exit_code_1(self) -> None:
        code, out, err = self.run_main("user", "disable", "nobody@example.org")
        self.assertEqual((code, out), (1, ""))
        self.assertEqual(err, "posthouse: There is no user nobody@example.org.\n")

    def test_wrong_usage_and_wrong_configuration_are_exit_code_2(self) -> None:
        self.assertEqual(self.run_main("user", "explode")[0], 2)
        self.config.write_text("[server]\nhostnmae = 'x'\n")
        code, _, err = self.run_main("user", "list")
        self.assertEqual(code, 2)
        self.assertIn("did you mean", err)
        self.assertEqual(err.count("\n"), 1)

    def test_a_locked_database_is_left_alone(self) -> None:
        lock = FileLock(self.data / "posthouse.db")
        lock.take()
        self.addCleanup(lock.release)
        code, _, err = self.run_main("user", "list")
        self.assertNotEqual(code, 0)
        self.assertIn("in use", err)

    def test_config_check_and_sample(self) -> None:
        self.assertIn("good", self.good("config", "check"))
        self.assertIn("[server]", self.good("config", "sample"))
        self.config.write_text("[tls]\ncertificate = '/nonexistent'\n")
        self.assertEqual(self.run_main("config", "check")[0], 2)

    def test_files_made_by_root_belong_to_the_owner_of_the_directory(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can give files away")
        self.root.chmod(0o755)
        os.chown(self.data, 65534, 65534)
        self.good("domain", "add", "example.org")
        self.assertEqual({path.stat().st_uid for path in self.data.iterdir()}, {65534})
        self.assertEqual(os.geteuid(), 0)

    def test_without_a_directory_it_says_how_to_begin(self) -> None:
        shutil.rmtree(self.data)
        code, _, err = self.run_main("user", "list")
        self.assertEqual(code, 1)
        self.assertIn("posthouse init", err)


class HelpTests(CommandCase):
    def test_version_names_everything_that_matters(self) -> None:
        out = self.good("--version")
        for word in ("posthouse", "Python", "Twisted", "OpenSSL", "SQLite"):
            self.assertIn(word, out)
        self.assertEqual(len(out.strip().splitlines()), 5)

    def test_every_word_explains_itself(self) -> None:
        for words in ((), ("user",), ("user", "add"), ("device", "log"), ("init",)):
            with mock.patch.object(sys, "stdout", io.StringIO()) as out:
                self.assertRaises(SystemExit, parser().parse_args, [*words, "--help"])
            self.assertIn("usage: posthouse", out.getvalue())


class ShowTests(SynchronousTestCase):
    def test_tables_have_heads_and_times_are_readable(self) -> None:
        text = as_text([{"address": "a@b.c", "created": 0, "enabled": True}], ("address", "enabled"))
        self.assertEqual(text, "ADDRESS  ENABLED\na@b.c    yes")
        self.assertEqual(as_text({"created": 1_700_000_000_000}), "created: 2023-11-14 22:13:20 UTC")

    def test_tables_and_long_lines_stand_below_their_name(self) -> None:
        said = as_text(
            {
                "domain": "a.example",
                "keys": [{"selector": "r1", "since": 1_790_000_000_000}],
                "then": ["x" * 61, "y"],
                "few": ["a", "b"],
                "none": [],
            }
        )
        self.assertEqual(
            said.split("\n"),
            [
                "domain: a.example",
                "keys:",
                "  SELECTOR  SINCE",
                "  r1        2026-09-21 14:13:20 UTC",
                "then:",
                "  " + "x" * 61,
                "  y",
                "few:    a, b",
                "none:   -",
            ],
        )

    def test_what_a_peer_said_does_not_steer_the_terminal(self) -> None:
        self.assertNotIn("\x1b", as_text([{"user_agent": "\x1b[2Jx\n"}]))
