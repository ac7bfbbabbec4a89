"""Calendars and contacts as text and as values: pure, without clock, network or store."""
