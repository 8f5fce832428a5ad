"""Root conftest: loads pytester for all tests."""

pytest_plugins = ["pytester"]
