"""Keys of the recipe language that this version does not read yet."""

ROOT = frozenset(
    {
        "vars",
        "required",
        "needs",
        "stop_on_failure",
        "secrets",
        "matrix",
        "defaults",
    }
)
STEP = frozenset(
    {
        "if",
        "outputs",
        "measurements",
        "background",
        "ready",
        "stop_signal",
        "artifacts",
        "resources",
        "host",
        "use",
        "with",
    }
)
RETRY = frozenset({"until", "abort_if"})
TYPES = frozenset({"ssh"})
SUCCESS = frozenset({"assert", "result_schema"})
SENTENCE = "is not supported by this version of pytest-orchestrator"
