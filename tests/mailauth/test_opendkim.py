"""OpenDKIM and we believe each other's signatures, and neither believes what was changed."""

from __future__ import annotations

import time

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mailauth.dkim_sign import SigningKey, key_record
from tests.mailauth.test_dkim import BODY, ED, HEAD, RSA, check, signed
from tests.support import opendkim


class OpenDkimTests(SynchronousTestCase):
    def theirs(self, key: SigningKey, message: bytes) -> str:
        return opendkim.verified(message, {f"{key.selector}._domainkey.{key.domain}": key_record(key)})

    def test_it_believes_ours(self) -> None:
        for key in (RSA, ED):
            message = signed(keys=(key,), now=int(time.time()))
            self.assertIn("dkim=pass", self.theirs(key, message))
            self.assertIn("dkim=fail", self.theirs(key, message.replace(b"Hello  Bob", b"Hello Eve")))

    def test_we_believe_its(self) -> None:
        for key, algorithm in ((RSA, "rsa-sha256"), (ED, "ed25519-sha256")):
            pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            for forms in ("simple/simple", "relaxed/simple", "simple/relaxed", "relaxed/relaxed"):
                message = opendkim.signed(
                    HEAD + b"\r\n" + BODY, "there.example", key.selector, pem, algorithm, forms
                )
                (result,) = check(message, now=int(time.time()) + 2)
                # With a "simple" head it does not believe its own Ed25519 signatures: it folds the field anew.
                spoiled = key is ED and forms.startswith("simple")
                self.assertEqual("dkim=fail" in self.theirs(key, message), spoiled, forms)
                self.assertEqual(result.algorithm, algorithm)
                self.assertEqual(result.result, "fail" if spoiled else "pass", (forms, result))
                (result,) = check(message.replace(b"Hello  Bob", b"Hello Eve"), now=int(time.time()) + 2)
                self.assertEqual(result.result, "fail")
