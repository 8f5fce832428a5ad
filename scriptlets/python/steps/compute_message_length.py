r"""NAME
    compute_message_length - measure a message that an earlier step wrote

DESCRIPTION
    A scriptlet can also be a function. This one reads a text from the Context
    and writes its length; `track_resources` logs its resource usage.

USAGE
    In a recipe:
        type: python
        module: scriptlets.python.steps.compute_message_length
        function: compute_message_length
        params: {key: sample.message_v1}
    Alone:
        python scriptlets/python/steps/compute_message_length.py \
            --context '{"sample.message_v1": "Hi"}'

RETURNS
    {"status": "ok", "length": 2}; the Context then has metrics.message_length_v1.
    {"status": "error", "reason": ...} if there is no text under the key.

LIMITATIONS
    The length is in characters (code points), not in bytes or on the screen.
"""

from typing import Any

from pytest_orchestrator import Context, get_logger, main, track_resources

log = get_logger(__name__)


@track_resources
def compute_message_length(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Write the length of a text in the Context as metrics.message_length_v1.

    Args:
        ctx: The Context of the run.
        params: `key`: where the text is (default sample.message_v1).

    Returns:
        The status and the length in characters.
    """
    key = params.get("key", "sample.message_v1")
    message = ctx.get(key)
    if not isinstance(message, str):
        return {"status": "error", "reason": f"no text in the Context under {key!r}"}
    ctx.set("metrics.message_length_v1", len(message), who="compute_message_length")
    log.info("%s has %d characters", key, len(message))
    return {"status": "ok", "length": len(message)}


if __name__ == "__main__":
    main(compute_message_length)
