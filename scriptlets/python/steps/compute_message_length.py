"""NAME
    compute_message_length - measure a message

DESCRIPTION
    Writes the length of a text to the Context; `track_resources` logs its
    resource usage. A recipe can pass a text that an earlier step wrote, as an
    expression.

USAGE
    In a recipe:
        type: python
        module: scriptlets.python.steps.compute_message_length
        class: ComputeMessageLength
        params: {message: "${{ ctx.sample.message_v1 }}"}
    Alone:
        python scriptlets/python/steps/compute_message_length.py --params '{"message": "Hello"}'

RETURNS
    {"status": "ok", "key": "metrics.message_length_v1", "length": 5}; the Context then has
    that key.

LIMITATIONS
    The length is in characters (code points), not in bytes or on the screen.
"""

from typing import Any

from pytest_orchestrator import BaseScriptlet, Context, get_logger, track_resources

log = get_logger(__name__)


class ComputeMessageLength(BaseScriptlet):
    """Write the length of the parameter `message` as metrics.message_length_v1."""

    def validate(self, ctx: Context, params: dict[str, Any]) -> None:
        """Raise an exception for a message that is not text.

        Args:
            ctx: The Context of the run; not used.
            params: The step's parameters.

        Raises:
            ValueError: `message` is missing or not text.
        """
        if not isinstance(params.get("message"), str):
            raise ValueError(f"'message' must be text, not {params.get('message')!r}")

    @track_resources
    def run(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Write the length of the message to the Context.

        Args:
            ctx: The Context of the run.
            params: The step's parameters: `message`.

        Returns:
            The status, the key of the length and the length in characters.
        """
        key = "metrics.message_length_v1"
        length = len(params["message"])
        ctx.set(key, length, who="compute_message_length")
        log.info("the message has %d characters", length)
        return {"status": "ok", "key": key, "length": length}


if __name__ == "__main__":
    ComputeMessageLength.main()
