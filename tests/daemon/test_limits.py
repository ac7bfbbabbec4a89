"""The limit of open files goes up and never down."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from posthouse.daemon.limits import raise_file_limit


class LimitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, self.before)

    def test_goes_up_as_far_as_it_may(self) -> None:
        _, hard = self.before
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        self.assertEqual(raise_file_limit(600), 600)
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (600, hard))
        if hard != resource.RLIM_INFINITY:
            self.assertEqual(raise_file_limit(hard + 1), hard)

    def test_never_goes_down(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, self.before[1]))
        self.assertEqual(raise_file_limit(100), 512)
