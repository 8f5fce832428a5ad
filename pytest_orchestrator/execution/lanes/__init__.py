"""pytest's side of the lanes: client, messages, watchdog, Context access, pattern search."""
