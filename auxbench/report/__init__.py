"""What records say, as tables and sentences; never imports torch."""
