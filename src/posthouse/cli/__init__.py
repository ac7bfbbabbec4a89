"""The ``posthouse`` command: thin calls into the rooms."""
