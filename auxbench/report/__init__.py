"""Turns records into tables and sentences; never imports torch."""
