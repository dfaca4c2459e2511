"""Runs beside each other: what is comparable, tested, drawn and written."""
