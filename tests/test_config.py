"""The configuration: sample, file, environment, and one sentence for each mistake."""

from __future__ import annotations

import tomllib
from pathlib import Path

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.config import Config, from_mapping, load, sample, split_address
from posthouse.errors import ConfigError
from posthouse.settings import split_route

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


class SampleTests(SynchronousTestCase):
    def test_sample_file_is_the_generated_one(self) -> None:
        path = Path(__file__).parent.parent / "etc" / "mailserver.toml"
        self.assertEqual(
            path.read_text(encoding="utf-8"), sample(), "run: posthouse config sample > etc/mailserver.toml"
        )

    def test_sample_as_it_is_means_the_defaults(self) -> None:
        self.assertEqual(from_mapping(tomllib.loads(sample())), Config())

    def test_sample_with_every_key_uncommented_means_the_defaults_too(self) -> None:
        lines = [
            line[1:] if line.startswith("#") and not line.startswith("# ") else line
            for line in sample().split("\n")
        ]
        data = tomllib.loads("\n".join(lines))
        self.assertEqual(from_mapping(data), Config())
        for name, section in data.items():
            self.assertEqual(
                set(section), {field.name for field in attrs.fields(type(getattr(Config(), name)))}
            )

    def test_every_key_says_what_it_does(self) -> None:
        for section in attrs.fields(Config):
            for key in attrs.fields(type(getattr(Config(), section.name))):
                self.assertGreater(len(key.metadata["doc"]), 10, key.name)


class FileTests(SynchronousTestCase):
    def write(self, text: str) -> str:
        path = self.mktemp()
        Path(path).write_text(text, encoding="utf-8")
        return path

    def refused(self, text: str, environ: dict[str, str] | None = None) -> str:
        problem = self.assertRaises(ConfigError, load, self.write(text), environ or {})
        self.assertNotIn("\n", problem.public)
        return problem.public

    def test_values_of_the_file_count(self) -> None:
        config = load(self.write('[server]\nhostname = "mx.example.org"\n[smtp]\nrecipients = 200\n'))
        self.assertEqual((config.server.hostname, config.smtp.recipients), ("mx.example.org", 200))
        self.assertEqual(config.auth, Config().auth)

    def test_environment_overrides_the_file(self) -> None:
        path = self.write('[server]\nhostname = "mx.example.org"\n')
        environ = {
            "POSTHOUSE_SERVER_HOSTNAME": "other.example.org",
            "POSTHOUSE_LISTEN_HTTPS": "127.0.0.1:8443, [::1]:8443",
            "POSTHOUSE_EAS_PROVISION_449": "yes",
            "POSTHOUSE_SMTP_SIZE_LIMIT": "1000000",
        }
        config = load(path, environ)
        self.assertEqual(config.server.hostname, "other.example.org")
        self.assertEqual(config.listen.https, ("127.0.0.1:8443", "[::1]:8443"))
        self.assertTrue(config.eas.provision_449)
        self.assertEqual(config.smtp.size_limit, 1_000_000)

    def test_variables_of_other_programs_are_left_alone(self) -> None:
        environ = {"POSTHOUSE_SERVICE_HOST": "10.0.0.1", "POSTHOUSE_PORT": "tcp://10.0.0.1", "PATH": "/bin"}
        self.assertEqual(load(None, environ), Config())

    def test_unknown_key_names_the_nearest(self) -> None:
        sentence = self.refused('[server]\nhostnmae = "x"\n')
        self.assertIn('"server.hostnmae"', sentence)
        self.assertIn('did you mean "server.hostname"', sentence)

    def test_key_in_the_wrong_section_names_the_right_one(self) -> None:
        self.assertIn('did you mean "delivery.smarthost"', self.refused('[smtp]\nsmarthost = "a:25"\n'))

    def test_unknown_section_names_the_nearest(self) -> None:
        self.assertIn('did you mean "[server]"', self.refused("[sever]\n"))

    def test_unknown_variable_in_a_known_section_is_refused(self) -> None:
        sentence = self.refused("", {"POSTHOUSE_SERVER_HOSTNMAE": "x"})
        self.assertIn('did you mean "POSTHOUSE_SERVER_HOSTNAME"', sentence)

    def test_wrong_types_say_which_is_right(self) -> None:
        for text, expected in (
            ("[server]\nhostname = 5\n", "a text in quotes"),
            ('[smtp]\nrecipients = "many"\n', "a whole number"),
            ("[smtp]\nrecipients = true\n", "a whole number"),
            ('[listen]\nsmtp = "0.0.0.0:25"\n', "a list of texts"),
            ("[listen]\nsmtp = [25]\n", "a list of texts"),
            ('[eas]\nprovision_449 = "yes"\n', "true or false"),
            ("server = 1\n", "must be a section"),
        ):
            self.assertIn(expected, self.refused(text), text)

    def test_wrong_values_are_refused(self) -> None:
        for text in (
            '[server]\nhostname = "not a name"\n',
            '[listen]\nsmtp = ["localhost:25"]\n',
            '[listen]\nsmtp = ["0.0.0.0:99999"]\n',
            '[listen]\nsmtp = ["0.0.0.0:25"]\nsubmission = ["0.0.0.0:25"]\n',
            "[smtp]\nrecipients = 5\n",
            '[delivery]\nsmarthost = "smart.example.org"\n',
            '[auth]\nexempt = ["everybody"]\n',
            '[eas]\nhighest_version = "17"\n',
            '[eas]\npolicy = "no such name!"\n',
            '[eas]\nnew_devices = "block"\n',
            '[eas]\nceilings = ["OldMail"]\n',
            '[eas]\nceilings = ["OldMail=15.0"]\n',
            "[eas]\nheartbeat_min = 900\nheartbeat_max = 60\n",
            '[tls]\nkey = "/etc/key.pem"\n',
            '[log]\nlevel = "loud"\n',
            '[server]\ndirectory = ""\n',
        ):
            self.refused(text)

    def test_wrong_values_in_the_environment_name_the_variable(self) -> None:
        for name, value in (
            ("POSTHOUSE_SMTP_RECIPIENTS", "many"),
            ("POSTHOUSE_SMTP_RECIPIENTS", "9" * 5000),
            ("POSTHOUSE_EAS_REQUIRE_POLICY", "perhaps"),
            ("POSTHOUSE_LISTEN_SMTP", "localhost:25"),
        ):
            self.assertIn(name, self.refused("", {name: value}))

    def test_broken_files_are_one_sentence(self) -> None:
        self.assertIn("not valid TOML", self.refused("[server\n"))
        missing = self.assertRaises(ConfigError, load, self.mktemp())
        self.assertIn("No such file", missing.public)
        path = self.mktemp()
        Path(path).write_bytes(b"\xff\xfe")
        self.assertIn("UTF-8", self.assertRaises(ConfigError, load, path).public)

    def test_a_password_is_not_in_the_repr(self) -> None:
        config = from_mapping({"delivery": {"smarthost_password": "hush-hush"}})
        self.assertNotIn("hush-hush", repr(config))

    @settings(max_examples=60, deadline=None)
    @given(st.dictionaries(st.sampled_from(["server", "listen", "smtp", "auth", "x"]), JSON, max_size=3))
    def test_any_data_gives_a_config_or_a_sentence(self, data: dict[str, object]) -> None:
        try:
            config = from_mapping(data)
        except ConfigError as problem:
            self.assertTrue(problem.public.endswith((".", "?")), problem.public)
        else:
            self.assertIsInstance(config, Config)


class AddressTests(SynchronousTestCase):
    def test_hosts_and_ports(self) -> None:
        self.assertEqual(split_address("127.0.0.1:25"), ("127.0.0.1", 25))
        self.assertEqual(split_address("[::]:25"), ("::", 25))
        self.assertEqual(split_address("smart.example.org:587"), ("smart.example.org", 587))

    def test_anything_else_is_refused(self) -> None:
        for text in ("", "25", ":25", "::25", "a:b", "a:70000", "[::1]", "a b:25", "a:25\n"):
            self.assertRaises(ValueError, split_address, text)


class RouteTests(SynchronousTestCase):
    def test_routes_are_read(self) -> None:
        for text, found in (
            ("example.net=10.0.0.5:25", ("example.net", "smtp", "10.0.0.5", 25)),
            ("*.Example.net = lmtp://[::1]:24", ("*.example.net", "lmtp", "::1", 24)),
            ("example.net=smtps://relay.example:465", ("example.net", "smtps", "relay.example", 465)),
            ("example.net=mx", ("example.net", "mx", "", 0)),
        ):
            self.assertEqual(split_route(text), found)

    def test_nonsense_is_refused(self) -> None:
        for text in ("", "example.net", "=10.0.0.5:25", "a b=10.0.0.5:25", "x=http://h:80", "x=h", "*=h:25"):
            self.assertRaises(ValueError, split_route, text)
