"""MIME: the structure of messages, their headers, bodies and summaries, and the making of new ones.

Pure functions of bytes and values: no clock, no randomness, no input or output. Every input is bounded,
and content never raises.
"""
