"""Certificates made on the spot."""

from __future__ import annotations

import stat
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from posthouse.certs.files import load_pair
from posthouse.certs.selfsigned import ensure_selfsigned, make_selfsigned, write_private
from posthouse.errors import ConfigError

NOW = 1_790_000_000_000


class SelfSignedTests(SynchronousTestCase):
    def _folder(self) -> Path:
        folder = Path(self.mktemp())
        folder.mkdir()
        return folder

    def test_it_names_hosts_and_addresses(self) -> None:
        hosts = ["mail.example.org", "bücher.example", "*.a.example"]
        pem, _ = make_selfsigned(hosts, ["127.0.0.1", "::1"], NOW)
        found = x509.load_pem_x509_certificate(pem).extensions
        names = found.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(
            names.get_values_for_type(x509.DNSName),
            ["mail.example.org", "xn--bcher-kva.example", "*.a.example"],
        )
        self.assertEqual(
            names.get_values_for_type(x509.IPAddress), [ip_address("127.0.0.1"), ip_address("::1")]
        )
        self.assertFalse(found.get_extension_for_class(x509.BasicConstraints).value.ca)

    def test_apple_devices_take_its_life_time(self) -> None:
        leaf = x509.load_pem_x509_certificate(make_selfsigned(["a.example"], [], NOW)[0])
        self.assertLess((leaf.not_valid_after_utc - leaf.not_valid_before_utc).days, 825)
        self.assertLess(leaf.not_valid_before_utc.timestamp() * 1000, NOW)

    def test_impossible_names_are_one_sentence(self) -> None:
        for hosts, ips in (([], []), (["a..b"], []), (["x" * 70 + ".example"], []), ([], ["300.1.1.1"])):
            error = self.assertRaises(ConfigError, make_selfsigned, hosts, ips, NOW)
            self.assertTrue(error.public.endswith("."))

    def test_both_files_are_made_once(self) -> None:
        folder = self._folder()
        certificate, key = folder / "cert.pem", folder / "key.pem"
        self.assertTrue(ensure_selfsigned(certificate, key, ["a.example"], [], NOW))
        before = certificate.read_bytes()
        self.assertFalse(ensure_selfsigned(certificate, key, ["b.example"], [], NOW))
        self.assertEqual(certificate.read_bytes(), before)
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        self.assertEqual(load_pair(certificate, key, NOW).names, ("a.example",))
        self.assertEqual(sorted(path.name for path in folder.iterdir()), ["cert.pem", "key.pem"])

    def test_a_half_pair_is_made_anew(self) -> None:
        folder = self._folder()
        certificate, key = folder / "cert.pem", folder / "key.pem"
        for missing in (certificate, key):
            ensure_selfsigned(certificate, key, ["a.example"], [], NOW)
            missing.unlink()
            self.assertTrue(ensure_selfsigned(certificate, key, ["a.example"], [], NOW))
            load_pair(certificate, key, NOW)

    def test_a_folder_that_is_not_there_is_one_sentence(self) -> None:
        folder = self._folder() / "absent"
        error = self.assertRaises(
            ConfigError, ensure_selfsigned, folder / "c", folder / "k", ["a.example"], [], NOW
        )
        self.assertIn("Cannot write", error.public)

    def test_a_failed_write_leaves_the_file_before(self) -> None:
        folder = self._folder()
        (folder / "target").mkdir()
        self.assertRaises(OSError, write_private, folder / "target", b"x")
        self.assertEqual([path.name for path in folder.iterdir()], ["target"])
