"""Lanes as pytest uses them: clients, messages, watchdog, Context access."""
