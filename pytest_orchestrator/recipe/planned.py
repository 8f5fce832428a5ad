"""Keys of the recipe language that this version does not read yet."""

STEP = frozenset(
    {
        "resources",
        "host",
    }
)
DEFAULTS = frozenset({"resources", "host"})
TYPES = frozenset({"ssh"})
SENTENCE = "is not supported by this version of pytest-orchestrator"
