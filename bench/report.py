"""What was measured, as a table for people and as values for programs."""

from typing import Any

from bench.comparison import Comparison, Goal, Interval, Spread

PLACES_BELOW_TEN = 2


def table(comparison: Comparison, note: str = "") -> str:
    """Figures, ratios to the baseline, what was seen beside them, goals and faults; `note` goes into the first line."""
    repeats = len(next(iter(comparison.runs.values())))
    lines = [f"\n{comparison.name} ({comparison.unit}; median, least to most of {repeats}{note})"]
    width = max(map(len, comparison.runs))
    for variant in comparison.runs:
        against = "baseline"
        if variant != comparison.baseline:
            against = f"x {interval(comparison.ratio(variant, comparison.baseline))}"
        figures = comparison.spread(variant)
        digits = PLACES_BELOW_TEN if figures.median < 10 else 0
        lines.append(f"  {variant:<{width}}  {spread(figures, digits):<26}  {against}".rstrip())
        if seen := ", ".join(f"{name} {value:,.4g}" for name, value in comparison.seen(variant).items()):
            lines.append(f"  {'':<{width}}    {seen}")
    lines += [f"  {judgement(comparison, goal)}" for goal in comparison.goals]
    lines += [f"  FAULT    {fault}" for fault in comparison.faults]
    if comparison.is_judged and not comparison.faults:
        lines.append("  nothing oversold, lost or doubled")
    if comparison.load is not None:
        lines.append("  load average {:.1f} before, {:.1f} after".format(*comparison.load))
    return "\n".join(lines) + "\n"


def judgement(comparison: Comparison, goal: Goal) -> str:
    """Whether a goal is reached, and by what."""
    value = comparison.reached(goal)
    verdict = "reached" if goal.is_reached(value.median) else "MISSED "
    return f"{verdict}  {wanted(goal)}: {interval(value)}"


def wanted(goal: Goal) -> str:
    """What the goal asks for, as a formula."""
    what = f"{goal.variant}: {goal.seen}" if goal.seen else goal.variant
    over = f" / {goal.baseline}" if goal.baseline else ""
    return f"{what}{over} {'>=' if goal.at_least else '<='} {goal.bound:,g}"


def spread(values: Spread, digits: int) -> str:
    """`median (least to most)`."""
    return f"{values.median:,.{digits}f} ({values.least:,.{digits}f} to {values.most:,.{digits}f})"


def interval(values: Interval) -> str:
    """`median (low to high with 98 %)`; of a single run the median alone, which nobody can be confident of."""
    median, low, high = (f"{value:,.{2 if abs(value) < 100 else 0}f}" for value in values[:3])
    return f"{median} ({low} to {high} with {values.confidence:.0%})" if values.confidence else median


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """One comparison for programs."""
    return {
        "name": comparison.name,
        "unit": comparison.unit,
        "baseline": comparison.baseline,
        "variants": {
            variant: {
                "figure": comparison.spread(variant)._asdict(),
                "ratio": comparison.ratio(variant, comparison.baseline)._asdict(),
                "seen": comparison.seen(variant),
                "runs": [run.figure for run in runs],
                "seen_by_run": [run.seen for run in runs],
            }
            for variant, runs in comparison.runs.items()
        },
        "goals": [
            goal._asdict()
            | {
                "wanted": wanted(goal),
                "value": (value := comparison.reached(goal))._asdict(),
                "is_reached": goal.is_reached(value.median),
            }
            for goal in comparison.goals
        ],
        "load_average": comparison.load and dict(zip(("before", "after"), comparison.load, strict=True)),
        "is_judged": comparison.is_judged,
        "faults": comparison.faults,
    }
