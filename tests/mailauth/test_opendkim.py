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
        for key, algorithm, forms in (
            (RSA, "rsa-sha256", "simple/simple"),
            (RSA, "rsa-sha256", "relaxed/simple"),
            (RSA, "rsa-sha256", "simple/relaxed"),
            (RSA, "rsa-sha256", "relaxed/relaxed"),
            # With a "simple" head it folds the field anew after signing; nobody believes those, not even itself.
            (ED, "ed25519-sha256", "relaxed/simple"),
            (ED, "ed25519-sha256", "relaxed/relaxed"),
        ):
            pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            message = opendkim.signed(
                HEAD + b"\r\n" + BODY, "there.example", key.selector, pem, algorithm, forms
            )
            (result,) = check(message, now=int(time.time()) + 2)
            self.assertEqual((result.result, result.algorithm), ("pass", algorithm), (forms, result))
            (result,) = check(message.replace(b"Hello  Bob", b"Hello Eve"), now=int(time.time()) + 2)
            self.assertEqual(result.result, "fail")
