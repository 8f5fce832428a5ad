r"""NAME
    cdu_statistics - means and deltas of a coolant distribution unit

DESCRIPTION
    Computes the mean of each quantity over all readings in the Context, and
    the deltas over the racks: the pressure drop (supply minus return) and the
    temperature rise (return minus supply). Each is written to the Context and
    must be within its limits.

USAGE
    In a recipe:
        type: python
        module: scriptlets.python.steps.cdu_statistics
        class: CduStatistics
        params:
          limits:
            delta_pressure: {low: 120, high: 160}
            delta_temperature: {low: 8, high: 12}
    Alone:
        python scriptlets/python/steps/cdu_statistics.py --params '{"limits": {}}' \
            --context '{"cdu.readings_v1": [{"supply_pressure_kpa": 320.0,
                "return_pressure_kpa": 180.0, "supply_temperature_c": 32.0,
                "return_temperature_c": 42.0}]}'

RETURNS
    {"status": "ok", "figures": {"mean_supply_pressure": 320.0, ...}}; the Context
    then has cdu.<figure>_v1 for each of mean_supply_pressure, mean_return_pressure
    (kPa), mean_supply_temperature, mean_return_temperature (degC), delta_pressure
    (kPa) and delta_temperature (K).
    {"status": "error", "reason": ...} if a figure is outside its limits; the
    Context has all figures then too.

LIMITATIONS
    Limits are inclusive. Every reading has the same weight, whatever the time
    between two of them.
"""

from statistics import fmean
from typing import Any

from pytest_orchestrator import BaseScriptlet, Context, get_logger

MEANS = {
    "mean_supply_pressure": "supply_pressure_kpa",
    "mean_return_pressure": "return_pressure_kpa",
    "mean_supply_temperature": "supply_temperature_c",
    "mean_return_temperature": "return_temperature_c",
}
UNITS = {
    "mean_supply_pressure": "kPa",
    "mean_return_pressure": "kPa",
    "mean_supply_temperature": "degC",
    "mean_return_temperature": "degC",
    "delta_pressure": "kPa",
    "delta_temperature": "K",
}

log = get_logger(__name__)


def figures_of(readings: list[dict[str, float]]) -> dict[str, float]:
    """Compute means and deltas.

    Args:
        readings: At least one reading, pressures in kPa, temperatures in degrees Celsius.

    Returns:
        Each figure by its name, in its unit of `UNITS`, to three decimals.
    """
    exact = {name: fmean(reading[field] for reading in readings) for name, field in MEANS.items()}
    exact["delta_pressure"] = exact["mean_supply_pressure"] - exact["mean_return_pressure"]
    exact["delta_temperature"] = exact["mean_return_temperature"] - exact["mean_supply_temperature"]
    return {name: round(value, 3) for name, value in exact.items()}


def outside(figures: dict[str, float], limits: dict[str, dict[str, float]]) -> list[str]:
    """Return a sentence for each figure that is outside its limits.

    Args:
        figures: The return value of `figures_of`.
        limits: `low` and `high` (either may be missing) by the figure's name.

    Returns:
        A sentence for each exceeded limit.
    """
    violations = []
    for name, limit in limits.items():
        value, unit = figures[name], UNITS[name]
        if value < limit.get("low", value):
            violations.append(f"{name} is {value} {unit}, below {limit['low']} {unit}")
        if value > limit.get("high", value):
            violations.append(f"{name} is {value} {unit}, above {limit['high']} {unit}")
    return violations


class CduStatistics(BaseScriptlet):
    """Write the figures of cdu.readings_v1 and check them against limits."""

    def validate(self, ctx: Context, params: dict[str, Any]) -> None:
        """Raise an error for limits of unknown figures, or if there are no readings.

        Args:
            ctx: The Context of the run.
            params: The step's parameters.

        Raises:
            ValueError: `limits` names an unknown figure, or there are no readings.
        """
        unknown = sorted(set(params.get("limits", {})) - set(UNITS))
        if unknown:
            known = ", ".join(UNITS)
            raise ValueError(f"no such figure: {', '.join(unknown)}; there are {known}")
        if not ctx.get("cdu.readings_v1"):
            raise ValueError("no readings in the Context under 'cdu.readings_v1'")

    def run(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Compute the figures, write them to the Context and check their limits.

        Args:
            ctx: The Context of the run, with cdu.readings_v1.
            params: `limits`: `low` and `high` by the figure's name.

        Returns:
            The status, and the figures or the reason.
        """
        figures = figures_of(ctx.get("cdu.readings_v1"))
        for name, value in figures.items():
            ctx.set(f"cdu.{name}_v1", value, who="cdu_statistics")
            log.info("%s: %s %s", name, value, UNITS[name])
        violations = outside(figures, params.get("limits", {}))
        if violations:
            return {"status": "error", "reason": "; ".join(violations)}
        return {"status": "ok", "figures": figures}


if __name__ == "__main__":
    CduStatistics.main()
