"""Keys of the recipe language that this version does not read yet."""

STEP = frozenset(
    {
        "resources",
    }
)
DEFAULTS = frozenset({"resources"})
SENTENCE = "is not supported by this version of pytest-orchestrator"
