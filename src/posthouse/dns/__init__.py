"""DNS for mail: answers told apart from failures. See :mod:`posthouse.dns.resolver`."""
