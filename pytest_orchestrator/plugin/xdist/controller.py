"""xdist controller: registers the scheduler, sends data to workers, and serves their Context.

Workers know which items belong together, and write this to a file whose path the controller sent.
The Context and the journal of the session are created at the first request of a worker, so a
session without recipes creates neither.
"""

import contextlib
import functools
import os
import tempfile
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.collection import file_matching, needs
from pytest_orchestrator.plugin.interrupts import interrupt_on_sigterm
from pytest_orchestrator.plugin.options.variables import INPUTS
from pytest_orchestrator.plugin.questions.person import TERMINAL, has_person
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.reporting import header, not_run, progress, tables
from pytest_orchestrator.plugin.reporting.worker_reports import DeadWorkers, LateReports
from pytest_orchestrator.plugin.session_state import CAUSE, CONTROLLER, GUARD, RUN, SERIAL, state_of
from pytest_orchestrator.plugin.worker_context import EVENT, INPUT, KNOWN, LEARNT, SECRETS, SYNC
from pytest_orchestrator.runs.journal.debt_marks import may_have_debts

if TYPE_CHECKING:
    from pytest_orchestrator.context.rpc.protocol import Reply, Request
    from pytest_orchestrator.context.rpc.server import Execute, Server
    from pytest_orchestrator.context.rpc.xdist import Ask, XdistContextServer
    from pytest_orchestrator.core.events import StepFinished
    from pytest_orchestrator.plugin.session_state import SessionState


def join(config: pytest.Config) -> None:
    """Register the plugins of the xdist controller, unless this process is a worker."""
    if not hasattr(config, "workerinput"):
        tables.show_tables(config)
        config.pluginmanager.register(not_run.NotRun(config), not_run.NAME)
        late = LateReports(config)
        config.pluginmanager.register(late, "orchestrator-late-reports")
        controller = Controller(late)
        config.pluginmanager.register(controller, "orchestrator-distribution")
        if config.getoption("dist", "no") != "each":
            dead = DeadWorkers(config, controller.guard_of)
            config.pluginmanager.register(dead, "orchestrator-dead-workers")
        config.pluginmanager.register(ControllerContext(config), "orchestrator-sharing")


def _ask_for_inputs(config: pytest.Config) -> dict[str, str]:
    """Ask for the missing inputs of all recipes that the workers may collect.

    Returns:
        The texts of the values by name, for the workers.
    """
    from pytest_orchestrator.plugin.options.inputs import mask_inputs
    from pytest_orchestrator.recipe import RecipeError, looks_like_recipe

    state, values = state_of(config), dict[str, str]()
    names = (argument.partition("::")[0] for argument in config.args)
    asked = [config.invocation_params.dir / name for name in names]
    patterns, root = config.getini("recipe_files"), config.rootpath
    folders = file_matching.asked_folders(tuple(config.args), config.invocation_params.dir, root)
    for path, claim in file_matching.claimed(asked, root, patterns, folders):
        if claim == "must be" or looks_like_recipe(path):
            with contextlib.suppress(RecipeError):  # the workers report it
                recipe = state.recipe(path)
                given = state.ask_for_inputs(recipe)
                mask_inputs(recipe, state.var_values, state.secrets)
                values |= given
    return values


class Controller(Plugin):
    """Plugin of the controller: its scheduler, its journal and the input of workers."""

    def __init__(self, late: LateReports) -> None:
        self._late = late
        self._started: list[Any] = []
        self._causes: dict[Any, Any] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._session: pytest.Session | None = None
        self._inputs: dict[str, str] = {}
        self._late_serial: dict[str, str] = {}
        self._restore: Callable[[], None] = lambda: None

    @property
    def _file(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="orchestrator-")
        return Path(self._folder.name, "groups.json")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send a worker the paths of the shared files, the controller's process id and the run."""
        self._started.append(node)
        node.workerinput[needs.INPUT] = str(self._file)
        state = state_of(node.config)
        node.workerinput[CONTROLLER] = os.getpid()
        node.workerinput[CAUSE] = self._causes[node] = node.gateway.newchannel()
        node.workerinput[INPUTS] = self._inputs
        node.workerinput[TERMINAL] = has_person(node.config)
        node.workerinput[GUARD] = str(self.guard_of(node))
        node.workerinput[RUN] = state.folder.path.name
        if state.resumed is not None:
            state.resumed.send_to_worker(node.workerinput)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Interrupt the workers with the same cause; execnet waits five seconds and sends none."""
        for node in self._started:
            with contextlib.suppress(OSError):  # the worker has ended
                self._causes[node].send(str(excinfo.value))

    def guard_of(self, node: Any) -> Path:
        """Return the path of a worker's watchdog file."""
        return self._file.with_name(f"{node.gateway.id}.guard")

    @pytest.hookimpl(optionalhook=True, wrapper=True)
    def pytest_xdist_make_scheduler(
        self, config: pytest.Config, log: Any
    ) -> Generator[None, Any, Any]:
        """Return a scheduler that uses `RecipeScheduler` for recipes, else xdist's default one."""
        default = yield
        dist = config.getvalue("dist")
        if dist == "each":
            return default
        from pytest_orchestrator.plugin.xdist import scheduler as xdist_scheduler

        return SchedulerChoice(
            default,
            xdist_scheduler.RecipeScheduler(config, log, dist, self._file, self._started),
            self._prepare_recipes,
        )

    def _prepare_recipes(self) -> None:
        self._late.expected = True
        self._show_header()
        self._start_progress()
        self._restore = interrupt_on_sigterm()

    def _show_header(self) -> None:
        """Print the header that a worker has written, because no worker has a terminal."""
        assert self._session is not None  # noqa: S101  # it has begun
        terminal = self._session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            for line in needs.read_groups(self._file)["header"]:
                terminal.write_line(line)

    def _start_progress(self) -> None:
        """Show the running steps of the workers in the status line."""
        assert self._session is not None  # noqa: S101  # it has begun
        config, nodes = self._session.config, state_of(self._session.config).collected
        progress.start_progress(config, nodes)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Store the recipes that the worker could not run in parallel, for the summary."""
        self._late_serial |= getattr(node, "workeroutput", {}).get(SERIAL, {})

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the recipes that workers had to run one step at a time."""
        header.show_serial_recipes(terminalreporter, self._late_serial)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Begin the journal before any worker runs a step."""
        state = state_of(node.config)
        from pytest_orchestrator.plugin.session import journal, run_end

        has_steps = self._file.exists() or any(map(needs.recipe_of, ids))
        if not has_steps and node is self._started[0] and may_have_debts(state.folder.path.parent):
            from pytest_orchestrator.plugin.instruments import owed

            owed.say(node.config)
        if has_steps or run_end.exports_mistakes(state):
            self._restore_steps(state)
            assert self._session is not None  # noqa: S101  # it has begun
            journal.begin(self._session, state)
        else:
            state.discard_buffered()

    def _restore_steps(self, state: "SessionState") -> None:
        """Restore the steps and Contexts of a resumed run; the controller holds the Contexts."""
        if state.resumed is None or state.runs:
            return
        from pytest_orchestrator.plugin.collection import recipe_needs

        recipes = needs.read_groups(self._file)["recipes"]
        for path in dict.fromkeys(recipes.values()):
            for cell in state.cells(state.config.rootpath / path):
                if cell.key in recipes:
                    recipe_needs.link(state.run(cell), state)
        state.resumed.restore_steps(list(state.runs.values()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Store the session; ask for missing inputs before the workers start, if asked to."""
        self._session = session
        if session.config.getoption("recipe_ask"):
            self._inputs = _ask_for_inputs(session.config)

    def pytest_unconfigure(self) -> None:
        """Restore the signal handlers and delete the group file."""
        self._restore()
        if self._folder is not None:
            self._folder.cleanup()


class SchedulerChoice:
    """Scheduler that delegates to `grouping` if the session has recipes, else to `default`."""

    def __init__(self, default: Any, grouping: Any, prepare_recipes: Callable[[], None]) -> None:
        self._default = default
        self._grouping = grouping
        self._prepare_recipes = prepare_recipes
        self._chosen: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen or self._default, name)

    def add_node(self, node: Any) -> None:
        """Add a worker to the scheduler; to both schedulers before the choice."""
        for scheduler in self._active():
            scheduler.add_node(node)

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Add the node ids that a worker collected."""
        for scheduler in self._active():
            scheduler.add_node_collection(node, collection)

    def remove_node(self, node: Any) -> Any:
        """Remove a worker; return the node id of the item that the worker was running, or None."""
        first, *others = self._active()
        for scheduler in others:
            scheduler.remove_node(node)
        return first.remove_node(node)

    def schedule(self) -> None:
        """Assign items to workers; the first call chooses the scheduler by the collected items."""
        if self._chosen is None:
            has_recipes = self._grouping.has_recipes()
            self._chosen = self._grouping if has_recipes else self._default
            if has_recipes:
                self._prepare_recipes()
        self._chosen.schedule()

    def _active(self) -> list[Any]:
        return [self._chosen] if self._chosen else [self._default, self._grouping]


class ControllerContext(Plugin):
    """Plugin of the controller that serves the Context and the journal to workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: Server | None = None
        self._lock = threading.Lock()
        self._workers: dict[str, Execute] = {}
        self._context_server: XdistContextServer | None = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send a worker the address of the Context server and a token."""
        if self._config.getvalue("dist") == "each":  # each worker has its own Context
            return
        if self._server is None:
            self._server = self._started()
        name = node.gateway.id
        token = self._server.admit(name, functools.partial(self._execute, name))
        node.workerinput[INPUT] = {"address": self._server.address, "token": token}

    def _started(self) -> "Server":
        from pytest_orchestrator.context.rpc import address
        from pytest_orchestrator.context.rpc.protocol import MAX_LINE
        from pytest_orchestrator.context.rpc.server import Limits, Server
        from pytest_orchestrator.core.files import private_folder

        try:
            self._folder = private_folder()
            listener = address.listen_unix(Path(self._folder.name, "context"))
        except OSError:  # the path is too long for a Unix socket
            listener = address.listen_tcp("127.0.0.1", 0)
        # The event of a step contains its result, which may have 16 MiB.
        server = Server(listener=listener, limits=Limits(idle=None, line=MAX_LINE))
        server.start()
        return server

    def _execute(self, worker: str, request: "Request") -> "Reply":
        """Execute a request of a worker; the first request creates the shared Context."""
        with self._lock:
            execute = self._workers.get(worker)
            if execute is None:
                self._context_server = self._context_server or self._shared()
                execute = self._workers[worker] = self._context_server.join(worker)
        return execute(request)

    def _shared(self) -> "XdistContextServer":
        from pytest_orchestrator.context.rpc.xdist import XdistContextServer

        assert self._server is not None  # noqa: S101  # it has received a request
        state = state_of(self._config)
        asks = _request_handlers(state)
        return XdistContextServer(self._server, state.context, asks, state.scopes)

    def pytest_unconfigure(self) -> None:
        """Close the server after the last worker has ended."""
        if self._server is not None:
            self._server.close()
        if self._folder is not None:
            self._folder.cleanup()


def _request_handlers(state: "SessionState") -> "dict[str, Ask]":
    """Return the handlers of workers' requests about journal and secrets, by request name."""
    import msgspec

    from pytest_orchestrator.core.events import AnyEvent, RecipeStarted
    from pytest_orchestrator.plugin.questions.queue import WorkerQuestions
    from pytest_orchestrator.plugin.questions.session import questions_of
    from pytest_orchestrator.plugin.reporting.progress import progress_of

    recorder = state.recorder
    assert recorder is not None  # noqa: S101  # this is the controller

    def append(data: Any) -> None:
        event = msgspec.convert(data, AnyEvent)
        if isinstance(event, RecipeStarted):  # the replacement of a worker sends this again
            recorder.append_start(event)
        else:
            recorder.append(event)
        if (progress := progress_of(state.config)) is not None:
            progress.reported(event)

    return {
        **WorkerQuestions(lambda: questions_of(state.config).queue).handlers,
        SECRETS: lambda declared: _learn(state, declared),
        LEARNT: state.secrets.add,
        EVENT: append,
        KNOWN: lambda _: _recorded_steps(state),
        SYNC: lambda _: recorder.sync(),
    }


def _recorded_steps(state: "SessionState") -> "dict[str, dict[str, StepFinished | None]]":
    """Return the last `StepFinished` event of each started step; None for a step without one.

    The events are read from the journal file, because they are needed only after a worker has
    died.
    """
    from pytest_orchestrator.core.events import StepFinished, StepStarted
    from pytest_orchestrator.runs.journal.reader import read_journal
    from pytest_orchestrator.runs.journal.writer import NAME

    recorded: dict[str, dict[str, StepFinished | None]] = {}
    journal = state.folder.path / NAME
    for entry in read_journal(journal).entries if journal.exists() else ():
        match entry.event:
            case StepStarted(cut_off_in=None, recipe=recipe, step=step):
                recorded.setdefault(recipe, {})[step] = None
            case StepFinished(restored=None, recipe=recipe, step=step) as event:
                if event.outcome != "not run":
                    recorded.setdefault(recipe, {})[step] = event
    return recorded


def _learn(state: "SessionState", declared: dict[str, Any]) -> None:
    state.secrets.declare(declared["names"], declared["values"])
    state.secrets.add_environment(os.environ)
