"""Keys of the recipe language that this version does not read yet."""

ROOT = frozenset(
    {
        "vars",
        "required",
        "needs",
        "stop_on_failure",
        "secrets",
        "context",
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
SUCCESS = frozenset(
    {
        "ctx_lacks_keys",
        "files_absent",
        "assert",
        "stdout_contains",
        "stdout_not_contains",
        "stdout_matches",
        "stderr_contains",
        "stderr_not_contains",
        "stderr_matches",
        "files",
        "result_schema",
        "max_seconds",
        "max_cpu_seconds",
        "max_rss_mb",
        "leftover_processes",
    }
)
SENTENCE = "is not supported by this version of pytest-orchestrator"
