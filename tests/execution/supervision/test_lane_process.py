"""Lane processes: start of programs, output capture, cancellation, leftovers, resource usage."""

import json
import os
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import IS_THERE, PATIENCE, SEEN, alive, new_token, python, shell
from pytest_orchestrator.core.files import is_readable
from pytest_orchestrator.execution.lanes.lane import Lane, Lanes
from pytest_orchestrator.execution.lanes.messages import CommandRequest, CommandResult, LaneLost

MARK = b"\n[cut here: the log is limited to 10 bytes]\n"


class Runs:
    """Runs programs in a lane, with minimal requests except for the fields that a test sets."""

    def __init__(self, lane: Lane, folder: Path) -> None:
        self.lane = lane
        self.folder = folder

    def __call__(
        self, *argv: str, live: tuple[int, int] | None = None, **fields: Any
    ) -> CommandResult:
        fields = {"env": dict(os.environ), "cwd": str(self.folder), **fields}
        return self.lane.run(CommandRequest(argv=argv, **fields), live=live)


@pytest.fixture(scope="module")
def lanes() -> Iterator[Lanes]:
    with Lanes() as lanes:
        yield lanes


@pytest.fixture(scope="module")
def lane(lanes: Lanes) -> Lane:
    return lanes.shell()


@pytest.fixture
def run(lane: Lane, tmp_path: Path) -> Runs:
    return Runs(lane, tmp_path)


@pytest.fixture
def token() -> str:
    return new_token()


def test_a_program_gets_its_arguments_environment_folder_and_input(
    run: Runs, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(b"\xffin")
    exited = run(
        "sh", "-c", 'printf "%s|" "$0" "$A" "$PWD"; env | wc -l; cat', "a b",
        env={"A": "\udcff", "PATH": os.environ["PATH"]}, stdin=str(tmp_path / "in"),
    )  # fmt: skip

    words = exited.stdout.head.split(b"|")
    assert words == [b"a b", b"\xff", os.fsencode(tmp_path), b"3\n\xffin"]


def test_a_program_without_stdin_reads_end_of_file(run: Runs) -> None:
    assert run("cat").stdout.head == b""


def test_a_program_has_its_three_streams_and_nothing_else_open(run: Runs) -> None:
    # The fourth is the descriptor of the folder that `ls` reads.
    assert run("ls", "/proc/self/fd").stdout.head.split() == [b"0", b"1", b"2", b"3"]


def test_a_program_leads_a_session_of_its_own(run: Runs) -> None:
    exited = run(*python("import os; print(os.getsid(0) == os.getpgid(0) == os.getpid())"))

    assert exited.stdout.head == b"True\n"


def test_a_program_starts_with_default_signals_even_if_pytest_blocks_some(
    tmp_path: Path,
) -> None:
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        with Lanes() as lanes:
            exited = Runs(lanes.shell(), tmp_path)("grep", "^Sig[BI]", "/proc/self/status")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)

    assert exited.stdout.head.split() == [b"SigBlk:", b"0" * 16, b"SigIgn:", b"0" * 16]


def test_exit_statuses_are_known_if_the_parent_ignores_sigchld(
    tmp_path: Path,
) -> None:
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Lanes() as lanes:
            run = Runs(lanes.shell(), tmp_path)
            ends = [run("sh", "-c", cmd).status for cmd in ("exit 3", "kill -9 $$")]
            ignored = run("grep", "^SigIgn", "/proc/self/status").stdout.head
    finally:
        signal.signal(signal.SIGCHLD, former)

    assert ends == [3 << 8, signal.SIGKILL]
    assert ignored.split() == [b"SigIgn:", b"0" * 16]


def test_a_program_is_searched_in_the_path_of_its_environment(run: Runs, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mine"
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    (tmp_path / "mine").write_text("no program")

    assert run("mine", env={"PATH": f"{tmp_path}:bin"}).stdout.head == b"mine\n"


@pytest.mark.parametrize(
    ("argv", "fields", "error", "missing"),
    [
        (("there_is_no_such",), {}, FileNotFoundError, "there_is_no_such"),
        (("./none",), {}, FileNotFoundError, "./none"),
        (("/",), {}, PermissionError, "/"),
        (("true",), {"cwd": "/none"}, FileNotFoundError, "/none"),
        (("true",), {"stdin": "/none"}, FileNotFoundError, "/none"),
    ],
)
def test_a_program_that_cannot_start_raises_an_error_with_the_missing_path(
    run: Runs, argv: tuple[str, ...], fields: dict[str, Any], error: type[OSError], missing: str
) -> None:
    with pytest.raises(error) as caught:
        run(*argv, **fields)

    assert caught.value.filename == missing


def test_a_script_without_an_interpreter_line_raises_exec_format_error(
    run: Runs, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("echo\n")
    (tmp_path / "x").chmod(0o755)

    with pytest.raises(OSError, match="Exec format error"):
        run("./x")


def test_an_argument_with_a_null_byte_is_an_error(run: Runs) -> None:
    with pytest.raises(ValueError, match="embedded null byte"):
        run("true", "a\0b")


def test_exit_codes_and_signals_are_reported(run: Runs) -> None:
    ends = [run("sh", "-c", script) for script in ("exit 3", "kill -TERM $$", "kill -40 $$")]

    assert [one.code for one in ends] == [3, None, None]
    assert [one.signal for one in ends] == [None, "SIGTERM", "signal 40"]


def test_a_log_is_created_at_the_first_output(run: Runs, tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    exited = run("printf", r"\377a\n", stdout_log=str(out), stderr_log=str(err))

    assert out.read_bytes() == b"\xffa\n"
    assert not err.exists()
    assert exited.stdout.log == str(out)


def test_a_log_grows_while_the_program_runs(run: Runs, tmp_path: Path) -> None:
    log = tmp_path / "log"
    # The program ends when it finds its own output in its log.
    exited = run(
        "sh", "-c", "echo x; until grep -qs x log; do :; done", stdout_log=str(log), timeout=60.0
    )

    assert exited.code == 0


@pytest.mark.parametrize(
    ("text", "log"), [("0123456789", b"0123456789"), ("0123456789a", b"0123456789" + MARK)]
)
def test_a_log_is_cut_with_a_mark_after_its_limit(
    run: Runs, tmp_path: Path, text: str, log: bytes
) -> None:
    exited = run("printf", text, stdout_log=str(tmp_path / "log"), max_log=10)

    assert (tmp_path / "log").read_bytes() == log
    assert (exited.stdout.size, exited.stdout.cut) == (len(text), len(text) > 10)
    assert exited.stdout.head == text.encode()


def test_first_and_last_bytes_are_in_memory_and_the_log_has_all(run: Runs, tmp_path: Path) -> None:
    exited = run("seq", "30000", stdout_log=str(tmp_path / "log"))

    whole = b"".join(b"%d\n" % number for number in range(1, 30001))
    out = exited.stdout
    assert (out.size, len(out.head), len(out.tail)) == (len(whole), 1 << 15, 1 << 15)
    assert out.head == whole[: 1 << 15]
    assert out.tail == whole[-(1 << 15) :]
    assert out.whole(1 << 20) == whole
    assert out.whole(1000) is None


def test_a_full_disk_is_reported_and_does_not_end_the_program(run: Runs) -> None:
    exited = run("printf", "text", stdout_log="/dev/full")

    assert exited.stdout.error == "No space left on device"
    assert (exited.code, exited.stdout.head) == (0, b"text")


def test_output_is_copied_live(run: Runs) -> None:
    (out, their_out), (err, their_err) = os.pipe(), os.pipe()
    seen: list[bytes] = []

    def read() -> None:
        seen.append(os.read(out, 10))
        (run.folder / "seen").touch()
        seen.extend([os.read(out, 10), os.read(err, 10)])

    reader = threading.Thread(target=read)
    reader.start()
    script = "printf one; until [ -e seen ]; do :; done; printf two; printf err >&2"
    run("sh", "-c", script, live=(their_out, their_err), timeout=60.0)
    reader.join()

    assert seen == [b"one", b"two", b"err"]
    for fd in (out, their_out, err, their_err):
        os.close(fd)


def test_a_blocked_terminal_delays_no_deadline_and_loses_no_output(
    run: Runs, tmp_path: Path, token: str
) -> None:
    out, theirs = os.pipe()
    log = tmp_path / "log"
    rest: list[bytes] = []
    ended: list[float] = []
    begun = time.monotonic()

    def read_late() -> None:
        # Nothing is read before the lane has ended the program.
        while not log.exists() or alive(token):
            pass
        ended.append(time.monotonic() - begun)
        while piece := os.read(out, 1 << 20):
            rest.append(piece)

    reader = threading.Thread(target=read_late)
    reader.start()
    exited = run("yes", token, live=(theirs, theirs), timeout=0.3, stdout_log=str(log))
    os.close(theirs)
    reader.join()
    os.close(out)

    assert exited.timed_out
    assert ended[0] < PATIENCE
    assert sum(map(len, rest)) == exited.stdout.size


def test_a_cancel_ends_the_program_with_a_grace_period(lanes: Lanes, tmp_path: Path) -> None:
    lane = lanes.shell()
    out, theirs = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        script = "trap 'echo bye; exit 4' TERM; echo; while :; do sleep 0.01; done"
        running = pool.submit(
            Runs(lane, tmp_path), *shell(script), live=(theirs, theirs), grace=PATIENCE
        )
        os.read(out, 1)
        lane.cancel()
        exited = running.result()

    assert (exited.cancelled, exited.code, exited.stdout.head) == (True, 4, b"\nbye\n")
    os.close(out)
    os.close(theirs)


def test_a_second_cancel_kills_the_program_at_once(
    lanes: Lanes, tmp_path: Path, token: str
) -> None:
    lane = lanes.shell()
    out, theirs = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        script = "trap 'echo' TERM; echo; while :; do sleep $0 & wait; done"
        running = pool.submit(
            Runs(lane, tmp_path), *shell(script), token, live=(theirs, theirs), grace=2 * PATIENCE
        )
        os.read(out, 1)
        lane.cancel()
        os.read(out, 1)  # it has received TERM and continues
        begun = time.monotonic()
        lane.cancel(at_once=True)
        exited = running.result()

    assert (exited.cancelled, exited.signal) == (True, "SIGKILL")
    assert time.monotonic() - begun < PATIENCE
    assert alive(token) == []
    os.close(out)
    os.close(theirs)


def test_a_cancel_between_two_programs_affects_neither(run: Runs) -> None:
    run("true")
    run.lane.cancel(at_once=True)

    assert run("sh", "-c", "exit 5").code == 5


def test_an_interrupt_grants_the_grace_period_and_the_lane_remains_usable(
    run: Runs, token: str
) -> None:
    out, theirs = os.pipe()

    def interrupt() -> None:
        os.read(out, 1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    script = """
        trap 'touch bye; exit' TERM
        setsid sh -c 'echo; exec sleep $0' $0 &
        while :; do sleep 0.01; done
    """
    with pytest.raises(KeyboardInterrupt):
        run(*shell(script), token, live=(theirs, theirs), grace=PATIENCE)

    assert alive(token) == []
    assert (run.folder / "bye").exists()
    assert run("true").code == 0
    os.close(out)
    os.close(theirs)


def test_leftover_processes_are_named(run: Runs, token: str) -> None:
    exited = run(*shell(f"setsid sleep $0 >/dev/null & {IS_THERE}; echo $!"), token)

    assert exited.leftovers == [f"sleep (pid {int(exited.stdout.head)})"]


def test_leftover_processes_of_two_lanes_are_kept_apart(lanes: Lanes, tmp_path: Path) -> None:
    tokens = [new_token(), new_token()]
    together = threading.Barrier(2)

    def left_by(token: str) -> tuple[list[str], list[str]]:
        run = Runs(lanes.shell(), tmp_path)
        together.wait(PATIENCE)
        # Both leave a daemon at the same time; the lane that ends first must not end the other's.
        exited = run(*shell(f"setsid env -i sleep $0 & {IS_THERE}; echo $!"), token)
        return exited.leftovers, [f"sleep (pid {int(exited.stdout.head)})"]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(left_by, tokens))

    assert [left for left, _ in found] == [own for _, own in found]


def test_cpu_time_includes_all_processes_and_orphans(run: Runs) -> None:
    exited = run(*python("""
        import os, resource, time
        ours, theirs = os.pipe()
        def burn():
            while sum(os.times()[:2]) < 0.1:
                pass
        for _ in range(3):
            if os.fork() == 0:
                if os.fork() == 0:
                    burn()
                os._exit(0)
            os.wait()
        burn()
        os.close(theirs)
        os.read(ours, 1)  # until the last of the processes has ended
    """), timeout=60.0)  # fmt: skip

    assert (
        0.35 < (exited.usage.cpu_user_seconds or 0) + (exited.usage.cpu_system_seconds or 0) < 0.7
    )


def test_memory_peaks_are_those_of_the_tree_and_of_its_largest_process(run: Runs) -> None:
    hold = """
        import json, os, time
        held = bytearray(40 << 20)
        both = 0
        while both < 80 << 20:  # until a sample has seen the memory of both
            time.sleep(0.01)
            if os.path.exists("samples"):
                both = max(json.loads(line)["rss"] for line in open("samples"))
    """
    one = shlex.join(python(hold))
    samples = str(run.folder / "samples")
    both = run("sh", "-c", f"{one} & {one}; wait", samples=samples, timeout=PATIENCE)
    assert not both.timed_out

    assert 40 << 20 < (both.usage.largest_rss or 0) < 60 << 20
    assert 80 << 20 < (both.usage.max_rss or 0) < 120 << 20


def test_memory_of_a_small_program_is_not_that_of_pytest(run: Runs) -> None:
    ballast = bytearray(100 << 20)

    assert 0 < (run("true").usage.max_rss or 0) < 20 << 20
    assert ballast[-1] == 0


def test_samples_show_how_memory_and_cpu_grew(run: Runs) -> None:
    exited = run(*python("""
        import json, os, time
        held = []
        seen = 0
        while seen < 2:  # different samples
            held.append(b"x" * (1 << 20))
            time.sleep(0.01)
            if os.path.exists("samples"):
                samples = [json.loads(line) for line in open("samples")]
                seen = len({sample["cpu_seconds"] for sample in samples})
    """), samples=str(run.folder / "samples"), timeout=PATIENCE)  # fmt: skip

    assert not exited.timed_out
    times, rss, cpu = zip(*exited.samples, strict=True)
    assert sorted(times) == list(times)
    assert times[-1] <= exited.usage.seconds
    assert rss[-1] > rss[0]
    assert cpu[-1] > cpu[0]


def test_samples_are_written_while_the_program_runs(run: Runs, tmp_path: Path) -> None:
    samples = tmp_path / "resources" / "measure.1.jsonl"

    exited = run(
        "sh", "-c", f"until grep -qs rss {samples}; do sleep 0.01; done", samples=str(samples)
    )

    assert exited.status == 0
    first = json.loads(samples.read_text(encoding="utf-8").splitlines()[0])
    seconds, rss, cpu = exited.samples[0]
    assert first == {"seconds": round(seconds, 6), "rss": rss, "cpu_seconds": round(cpu, 6)}


def test_processes_are_counted(run: Runs) -> None:
    script = f"sleep 600 & one=$!; sleep 600 & {SEEN}; kill $one $!; wait"
    samples = str(run.folder / "samples")

    assert run("sh", "-c", script, samples=samples, timeout=PATIENCE).usage.processes == 3


def test_a_lane_that_its_program_kills_is_reported_and_replaced(run: Runs, token: str) -> None:
    run("true")
    pid = run.lane.pid
    with pytest.raises(LaneLost) as lost:
        run(*shell("setsid sleep $0 & kill -KILL $PPID; sleep $0"), token)

    assert str(lost.value) == f"the process that runs this step (pid {pid}) was ended by SIGKILL"
    assert alive(token) == []
    assert lost.value.leftovers
    assert run("true").code == 0


@pytest.mark.nightly
def test_a_lane_that_its_program_stops_does_not_delay_the_deadline(run: Runs, token: str) -> None:
    run("true")  # starts the lane
    begun = time.monotonic()

    def stops() -> None:
        script = "kill -STOP $PPID; trap '' TERM; sleep $0"
        for _ in range(10):  # on a loaded machine the program may be late to stop the lane
            assert run(*shell(script), token, timeout=1.0, grace=0.1).timed_out

    with pytest.raises(LaneLost) as lost:
        stops()

    assert lost.value.timed_out
    assert time.monotonic() - begun < PATIENCE
    assert alive(token) == []
    assert run("true").code == 0


def test_a_lane_that_died_while_idle_is_replaced_silently(run: Runs) -> None:
    run("true")
    assert run.lane.pid is not None
    gone = os.pidfd_open(run.lane.pid)
    os.kill(run.lane.pid, signal.SIGKILL)
    is_readable(gone, None)
    os.close(gone)

    assert run("sh", "-c", "exit 6").code == 6


def test_a_lane_ignores_signals_sent_to_all_processes(run: Runs) -> None:
    for name in ("TERM", "INT", "HUP", "QUIT"):
        assert run("sh", "-c", f"kill -{name} $PPID; exit 7").code == 7


def test_memory_of_the_lane_is_constant_whatever_the_volume(run: Runs) -> None:
    run.lane.close()
    exited = run("head", "-c", "100000000", "/dev/zero")
    status = Path(f"/proc/{run.lane.pid}/status").read_text()

    assert exited.stdout.size == 100_000_000
    assert int(status.partition("VmHWM:")[2].split()[0]) < 20 << 10
