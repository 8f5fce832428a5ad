"""Replay of a session: the run that answers for the instruments, and the station of that time."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from msgspec.structs import replace

from pytest_orchestrator.core.location import Places
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.execution.instruments.transcript import Transcript, load_transcript
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.recipe.station.model import Station
from pytest_orchestrator.runs.lookup import NoRun
from pytest_orchestrator.runs.owed_safe import OwedSafe

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.station.model import InstrumentSettings

OPTION: Final = "--recipe-instruments"
_REPLAY: Final = "replay:"


def replayed(config: pytest.Config) -> Transcript:
    """Return the transcript of the run that `--recipe-instruments` names.

    Raises:
        pytest.UsageError: The option has another form, or the run has no transcript.
    """
    text = str(config.getoption("recipe_instruments"))
    name = text.removeprefix(_REPLAY)
    if name == text or not name:
        hint = nearest(text.partition(":")[0] + ":", [_REPLAY])
        raise pytest.UsageError(f"{OPTION}: {text!r} should be replay:RUN or replay:BUNDLE{hint}")
    if config.getoption("recipe_resume"):
        raise pytest.UsageError(
            f"{OPTION} and --recipe-resume exclude each other: steps that ran with instruments and "
            "steps that are replayed would be one run"
        )
    try:
        found = load_transcript(settings.run_dir(config), name, Path(config.invocation_params.dir))
    except NoRun as error:
        raise pytest.UsageError(f"{OPTION}: {error}") from None
    config.option.recipe_instruments = f"{_REPLAY}{found.path}"  # `latest`, in workers of xdist
    return found


def station_of(transcript: Transcript, station: Station | None, root: Path) -> Station:
    """Return the station of a replay: its instruments are never made safe, and never overdue.

    Instruments that the station file does not have are those of the recorded run.

    Args:
        transcript: The recorded run.
        station: The station file of the session; None without one.
        root: The rootdir.
    """
    then = {name: OwedSafe(transcript.run, use) for name, use in transcript.opened.items()}
    known = {name: one.settings for name, one in then.items()}
    known |= {} if station is None else station.instruments
    if station is None:
        digest = sha256().hexdigest()
        station = Station(path=root, id=transcript.run, text="", sha256=digest, at=Places({}))
    instruments = {name: _harmless(one) for name, one in known.items()}
    return replace(station, instruments=instruments, require_calibrated=False)


def _harmless(settings: "InstrumentSettings") -> "InstrumentSettings":
    return replace(settings, safe=(), due=None)
