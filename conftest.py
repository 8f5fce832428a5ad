"""The tests start pytest in pytest by its own plugin for that."""

pytest_plugins = ["pytester"]
