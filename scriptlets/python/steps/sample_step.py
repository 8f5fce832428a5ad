"""NAME
    sample_step - write a message to the Context

DESCRIPTION
    The smallest useful Python scriptlet: `validate` checks the parameters
    before the step runs, `run` does the work and returns the result.

USAGE
    In a recipe:
        type: python
        module: scriptlets.python.steps.sample_step
        class: SampleStep
        params: {message: Hi}
    Alone:
        python scriptlets/python/steps/sample_step.py --params '{"message": "Hi"}'

RETURNS
    {"status": "ok", "recorded_key": "sample.message_v1"}; the Context then has that key.

LIMITATIONS
    The message is text and not empty.
"""

from typing import Any

from pytest_orchestrator import BaseScriptlet, Context, get_logger, track_resources

log = get_logger(__name__)


class SampleStep(BaseScriptlet):
    """Keep the parameter `message` as sample.message_v1."""

    def validate(self, ctx: Context, params: dict[str, Any]) -> None:
        """Raise an error for a message that is empty or not text.

        Args:
            ctx: The Context of the run; not used.
            params: The step's parameters.

        Raises:
            ValueError: `message` is missing, empty or no text.
        """
        message = params.get("message")
        if not isinstance(message, str) or not message:
            raise ValueError(f"'message' must be text that is not empty, not {message!r}")

    @track_resources
    def run(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Write the message to the Context.

        Args:
            ctx: The Context of the run.
            params: The step's parameters: `message`.

        Returns:
            The status and the key of the message.
        """
        key = "sample.message_v1"
        ctx.set(key, params["message"], who="sample_step")
        log.info("message kept: %s", params["message"])
        return {"status": "ok", "recorded_key": key}


if __name__ == "__main__":
    SampleStep.main()
