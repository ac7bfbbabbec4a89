"""Groups, quotas, grants and forwarding on the command line, with the daemon down."""

from __future__ import annotations

import json

from tests.cli.test_main import CommandCase


class AddressTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.init()
        self.good("domain", "add", "example.org")
        for name in ("ann", "bob"):
            self.good("user", "add", f"{name}@example.org", "--generate")

    def lines(self, text: str) -> dict[str, str]:
        pairs = (line.partition(":") for line in text.splitlines())
        return {key: value.strip() for key, _, value in pairs}

    def test_a_group_from_the_words_to_the_list(self) -> None:
        self.good(
            "group", "add", "team@example.org", "ann@example.org", "far@else.example", "--name", "The team",
            "--allow", "@else.example", "--allow", "bob@example.org",
        )  # fmt: skip
        shown = self.lines(self.good("group", "show", "team@example.org"))
        self.assertEqual(shown["posting"], "listed")
        self.assertEqual(shown["allow"], "@else.example, bob@example.org")
        self.good("group", "set", "team@example.org", "--posting", "anyone", "--owner", "bob@example.org")
        self.good("group", "join", "team@example.org", "bob@example.org")
        self.good("group", "leave", "team@example.org", "far@else.example", "ann@example.org")
        (row,) = json.loads(self.good("--json", "group", "list"))
        self.assertEqual((row["members"], row["posting"], row["owner"]), (1, "anyone", "bob@example.org"))
        code, _, err = self.run_main("group", "leave", "team@example.org", "bob@example.org")
        self.assertEqual(code, 1)
        self.assertIn("needs a member", err)

    def test_what_a_user_has_and_may(self) -> None:
        self.good("user", "quota", "ann@example.org", "2G")
        self.good("user", "plus", "ann@example.org", "yes")
        self.good("user", "hold", "ann@example.org", "15")
        self.good("user", "forward", "ann@example.org", "far@else.example", "--no-copy")
        self.good("grant", "add", "ann@example.org", "bob@example.org")
        shown = self.lines(self.good("user", "show", "ann@example.org"))
        for key, value in (
            ("quota", "2000000000"),
            ("plus_folders", "yes"),
            ("hold", "15"),
            ("forward_to", "far@else.example"),
            ("keep_copy", "no"),
            ("may_write_as", "bob@example.org"),
            ("percent", "0"),
        ):
            self.assertEqual(shown[key], value, key)
        self.assertIn("ann@example.org", self.good("quota", "list"))
        self.good("user", "forward", "ann@example.org", "--off")
        self.assertEqual(self.run_main("user", "plus", "ann@example.org", "maybe")[0], 2)
        self.assertEqual(self.run_main("user", "hold", "ann@example.org", "601")[0], 1)

    def test_domains_catch_all_and_refused_addresses(self) -> None:
        self.good("domain", "add", "twin.example", "--alias-of", "example.org")
        self.good("catchall", "set", "example.org", "ann@example.org")
        self.good("address", "disable", "spam@example.org", "--note", "sold in 2025")
        self.assertIn("spam@example.org", self.good("catchall", "list"))
        self.assertIn("sold in 2025", self.good("address", "list"))
        self.assertRegex(self.good("domain", "list"), r"(?m)^twin\.example +example\.org +-$")
        self.good("address", "enable", "spam@example.org")
        self.good("catchall", "remove", "example.org")
        self.assertEqual(self.good("queue", "waiting"), "(none)\n")
        code, _, err = self.run_main("queue", "undo", "NOTHING")
        self.assertEqual((code, err), (1, "posthouse: No message NOTHING waits, or did lately.\n"))
