"""Records as tables and sentences; never imports torch."""
