"""Prompt at a held step: commands to look at the run, to change it, and to decide what follows.

Each command is in the journal before it takes effect.
"""

import cmd
import contextlib
import importlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.events import StepHeld
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import clipped
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.plugin.collection.nodes import StepItem
from pytest_orchestrator.plugin.journal.resume import fingerprint_inputs, read_files_again
from pytest_orchestrator.plugin.questions.form import Terminal
from pytest_orchestrator.plugin.questions.presenter import terminal_of
from pytest_orchestrator.plugin.questions.queue import user
from pytest_orchestrator.plugin.results import failures
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.recipe import PythonStep
from pytest_orchestrator.recipe.analysis import fingerprint
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields.extensions import asks

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.execution.scheduling.hold import Decision, Hold
    from pytest_orchestrator.recipe.model.recipe import Recipe

_COMMANDS: Final = {
    "ctx": "ctx [KEY]        the Context, or the value of one key",
    "vars": "vars [NAME]      the vars of the recipe",
    "steps": "steps [NAME]     the steps so far, or one with its values",
    "query": "query NAME CMD   ask an instrument of the station, such as: query psu MEAS:VOLT?",
    "set": "set KEY VALUE    set a key of the Context; the recipe is then 'by hand'",
    "redo": "redo             read the recipe and its scripts again and run the step; hold again "
    "if it fails",
    "skip": "skip             do not run the step; the recipe is then 'by hand'",
    "continue": "continue         run the step and go on",
    "abort": "abort            end the session: 'finally' and safe states follow",
}
_LOOK: Final = 0.1
"""Seconds after which the watcher looks whether the hold is over."""

_WIDEST: Final = 200
"""Characters of a value in a list."""


def decision(config: pytest.Config, held: "Hold", why: str) -> "Decision | None":
    """Show the prompt of a held step at the terminal until the person has decided.

    Args:
        config: The configuration of the session.
        held: The step.
        why: The condition because of which the run holds; empty without one.

    Returns:
        The decision; None if the hold is over before.

    Raises:
        KeyboardInterrupt: The person ends the session.
    """
    with terminal_of(config) as terminal:
        if isinstance(terminal, str):  # it was closed since the session began
            raise KeyboardInterrupt(f"{terminal}, while the run held before {held.step.name}")
        prompt = HoldPrompt(config, held, terminal)
        prompt.begin(why)
        with _ended_when(held.is_over):
            prompt.cmdloop()
        if held.is_over():
            terminal.write("\n  the hold is over: the recipe was stopped\n")
            return None
        return prompt.decided


class HoldPrompt(cmd.Cmd):
    """Prompt of one hold.

    Args:
        config: The configuration of the session.
        held: The step.
        terminal: The terminal.

    Attributes:
        decided: The decision; None before.
    """

    def __init__(self, config: pytest.Config, held: "Hold", terminal: Terminal) -> None:
        super().__init__()
        self.decided: Decision | None = None
        self._config, self._held, self._terminal = config, held, terminal
        self._state = state_of(config)
        self.prompt = f"{held.step.name}> "

    def begin(self, why: str) -> None:
        """Record the hold, and say where the run holds, or why the last try failed."""
        run, step = self._held.run, self._held.step
        self._terminal.begin()
        failed = self._held.failed
        if failed is not None:
            self._say(failures.failure_text(self._config, run.recipe, step, failed))
            self._say(f"'{step.name}' failed: edit, and redo")
            return
        self._record("")
        place = f"{run.recipe.source(step).id}:{step.line}"
        self._say(f"orchestrator: holds before {step.name} ({place}){why and f', as {why}'}")
        self._say("  locks stay held, sampling goes on, the recipe's clock stands still; try: help")

    def _say(self, text: str) -> None:
        self._terminal.write(f"{self._state.secrets.text(text)}\n")

    def _record(self, line: str) -> None:
        """Append a command to the journal, and have the disk write it."""
        recorder, run = self._state.recorder, self._held.run
        if recorder is not None and not recorder.has_failed:
            event = StepHeld(
                recipe=run.recipe.key,
                step=self._held.step.name,
                command=self._state.masked(line),
                who=user(),
            )
            recorder.record_start(run.recipe)
            recorder.append(event)
            recorder.sync()

    def onecmd(self, line: str) -> bool:
        """Record and execute a command; return True at the end of the hold."""
        try:
            words = line.split()
            if words and line != "EOF":
                # The event of the change has the value, masked if only the key makes it secret.
                self._record(" ".join(words[:2]) if words[0] == "set" else line.strip())
            return bool(super().onecmd(line))
        except (OrchestratorError, ExpressionError) as error:
            self._say(f"  {error}")
            return False

    def emptyline(self) -> bool:
        """Do nothing; `cmd.Cmd` would repeat the last command."""
        return False

    def default(self, line: str) -> bool | None:  # type: ignore[override]
        """Name the nearest command to an unknown one; a closed terminal ends the session."""
        if line == "EOF":
            if not sys.stdin.isatty():
                raise KeyboardInterrupt("the terminal was closed")
            self._say("\n  to end the session, type abort; to go on, continue")
            return False
        word = line.split(maxsplit=1)[0]
        self._say(f"  there is no command '{word}'{nearest(word, _COMMANDS)}; try: help")
        return False

    def do_help(self, _: str) -> None:
        """List the commands."""
        self._say("\n".join(f"  {line}" for line in _COMMANDS.values()))

    def do_ctx(self, key: str) -> None:
        """Show the Context."""
        context = self._held.context
        self._show(context.to_dict(), key, lambda: context[key])

    def do_vars(self, name: str) -> None:
        """Show the vars."""
        values = dict(self._held.names()["vars"])
        self._show(values, name, lambda: values[name])

    def _show(self, values: dict[str, Any], name: str, value: Callable[[], Any]) -> None:
        """Show all values, each in one line, or the one of a name as a whole."""
        masked = self._state.masked_value
        if name:
            try:
                self._say(json.dumps(masked(value()), indent=2, ensure_ascii=False))
            except KeyError:
                self._say(f"  there is no '{name}'{nearest(name, values)}")
            return
        for key, one in values.items():
            text = json.dumps(masked(one), ensure_ascii=False)
            self._say(f"  {key} = {clipped(text, _WIDEST)}")

    def do_steps(self, name: str) -> None:
        """Show what became of the steps so far."""
        run = self._held.run
        outcomes: dict[str, Any] = {}
        for step in (*run.recipe.steps, *run.recipe.final):
            result = run.known(step.name)
            held = "held" if step.name == self._held.step.name else "-"
            outcomes[step.name] = held if result is None else result.outcome
        self._show(outcomes, name, lambda: self._step(name))

    def _step(self, name: str) -> dict[str, Any]:
        result = self._held.run.known(name)
        if result is None:
            self._held.run.recipe.step(name)  # an unknown name is a KeyError
            return {"outcome": None}
        failure = result.failure
        return {
            "outcome": result.outcome,
            "reason": failure.reason if failure else result.reason,
            "result": result.ended.value if result.ended else None,
        }

    def do_query(self, line: str) -> None:
        """Ask an instrument."""
        name, _, command = line.partition(" ")
        access = self._held.run.attempt_defaults.instruments
        if not command.strip().partition(" ")[0].endswith("?"):
            self._say("  write: query NAME CMD?; a command without a question would change it")
        elif access is None:
            self._say("  there is no station file, so there are no instruments")
        else:
            instrument = access.used_by(self._held.step.name).opener(name)
            self._say(f"  {instrument.query(command.strip())}")

    def do_set(self, line: str) -> None:
        """Set a key of the Context to JSON, or to a text."""
        key, _, text = line.partition(" ")
        if not text.strip():
            self._say("  write: set KEY VALUE; VALUE is JSON, or else a text")
            return
        value: Any = text.strip()
        with contextlib.suppress(ValueError):
            value = json.loads(value)
        self._held.context.set(key, value)
        self._held.acts["set"] = None
        self._say(f"  {key} = {json.dumps(self._held.context.get(key))}")
        self._state.by_hand = True

    def do_redo(self, _: str) -> bool:
        """Read the recipe and its scripts again, and run the step."""
        step = self._held.step
        if self._held.failed and not (step.idempotent or asks(step)):
            self._say(f"  '{step.name}' has run, and does not say `idempotent: true`.")
            if not input("  run it again? [y/N] ").strip().lower().startswith("y"):
                return False
        reason = self._state.read_again(self._held.run.recipe.path, self._refusal)
        if reason:
            self._say(reason)
            return False
        self._read_again()
        self.decided = "redo"
        return True

    def _refusal(self, cells: "list[Recipe]") -> str:
        """Return why the recipe as it is now does not fit this run; empty if it does."""
        run = self._held.run
        before: Recipe = run.recipe
        now = next((one for one in cells if one.key == before.key), None)
        begun = [
            one
            for one in (*before.steps, *before.final)
            if one.name != self._held.step.name
            and (run.known(one.name) or run.workers.has_begun(one.name))
        ]
        other = "its matrix" if now is None else fingerprint.changed_since(before, now, begun)
        return other and (
            f"  {before.id}: {other} is not what it was when the run began. 'redo' would not\n"
            "  give what a clean run gives: undo that edit, or abort and run again"
        )

    def _read_again(self) -> None:
        """Use the recipe, and the scripts and modules, as they are now."""
        state, held, before = self._state, self._held, self._held.run.recipe
        recipe = next(one for one in state.cells(before.path) if one.key == before.key)
        read_files_again(state)
        held.read_again(recipe)
        if state.recorder is not None:
            state.recorder.read_again(recipe)
        session: Any = self._config.pluginmanager.get_plugin("session")
        for item in session.items:
            if isinstance(item, StepItem) and item.recipe.key == recipe.key:
                item.recipe, item.step = recipe, recipe.step(item.step.name)
        for slot in state.slots:
            slot.python.read_again()
        step = held.step
        is_inline = isinstance(step, PythonStep) and step.isolation == "inline"
        if is_inline or state.run_config.runs_inline:
            _forget_modules(fingerprint.files_of_step(step, fingerprint_inputs(state).sources))

    def do_skip(self, _: str) -> bool:
        """Do not run the step."""
        self._state.by_hand = True
        self.decided = "skip"
        return True

    def do_continue(self, _: str) -> bool:
        """Run the step and go on."""
        self.decided = "continue"
        return True

    def do_abort(self, _: str) -> bool:
        """End the session."""
        raise KeyboardInterrupt(f"abort at the prompt before {self._held.step.name}")

    def completedefault(self, text: str, line: str, *_: Any) -> list[str]:
        """Return the names that may follow a command and begin with a text."""
        run, names = self._held.run, list[str]()
        match line.split(maxsplit=1)[0]:
            case "ctx" | "set":
                names = self._held.context.keys()
            case "vars":
                names = [*run.recipe.var_names]
            case "steps":
                names = [one.name for one in (*run.recipe.steps, *run.recipe.final)]
            case "query" if self._state.station is not None:
                names = [*self._state.station.instruments]
        # For readline the dots and brackets of a name may separate words: `text` is only the last.
        written = line.rpartition(" ")[2]
        begin = len(written) - len(text)
        return [one[begin:] for one in names if one.startswith(written)]


def _forget_modules(files: "Iterable[Path]") -> None:
    """Have the next inline step import the modules in these files anew."""
    wanted = {*map(str, files)}
    for name, module in [*sys.modules.items()]:
        if getattr(module, "__file__", None) in wanted:
            del sys.modules[name]
    importlib.invalidate_caches()


@contextlib.contextmanager
def _ended_when(is_over: Callable[[], bool]) -> Iterator[None]:
    """End a ``with`` block of the main thread, which may read a line, once `is_over` returns True.

    A thread looks, and interrupts the main thread as Ctrl-C does.
    """
    lock, done = threading.Lock(), InterruptibleEvent()
    main = threading.get_ident()

    def watch() -> None:
        while not done.wait(_LOOK):
            with lock:
                if not done.is_set() and is_over():
                    done.set()
                    signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=watch, name="orchestrator-hold", daemon=True)
    thread.start()
    try:
        try:
            yield
        finally:
            with lock:
                done.set()
    except KeyboardInterrupt:
        if not is_over():
            raise
    thread.join()
