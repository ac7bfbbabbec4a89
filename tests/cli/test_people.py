"""The directory on the command line."""

from __future__ import annotations

from tests.cli.test_main import CommandCase


class PeopleTests(CommandCase):
    def test_from_the_words_to_the_directory(self) -> None:
        self.init()
        self.good("domain", "add", "example.org")
        self.good("user", "add", "ann@example.org", "--generate")
        self.good(
            "people", "set", "ann@example.org", "--first-name", "Ann", "--home-phone", "+1", "--hidden", "no"
        )
        picture = self.root / "ann.jpg"
        picture.write_bytes(b"\xff\xd8\xff" + bytes(100_000))
        self.good("people", "picture", "ann@example.org", str(picture))
        shown = self.good("people", "show", "ann@example.org")
        for line in ("first name: Ann", "home phone: +1", "picture: 100003"):
            key, _, value = line.partition(": ")
            self.assertRegex(shown, rf"(?m)^{key.replace(' ', '_')}: +{value.replace('+', '[+]')}$")
        self.good("people", "picture", "ann@example.org", "--remove")
        self.good("people", "add", "doc@far.net", "--name", "Doctor")
        self.assertIn("doc@far.net", self.good("people", "list", "--search", "doc"))
        self.good("people", "delete", "doc@far.net")
        self.assertEqual(self.good("people", "list", "--search", "doc"), "(none)\n")

    def test_mistakes_are_one_sentence(self) -> None:
        self.init()
        code, _, err = self.run_main("people", "picture", "ann@example.org", str(self.root / "none.jpg"))
        self.assertEqual(code, 2)
        self.assertIn("No such file", err)
        self.assertEqual(self.run_main("people", "set", "ann@example.org", "--hidden", "perhaps")[0], 2)
        code, _, err = self.run_main("people", "show", "ann@example.org")
        self.assertEqual((code, err), (1, "posthouse: ann@example.org is not in the directory.\n"))
