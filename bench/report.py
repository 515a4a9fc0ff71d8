"""What was measured, as a table for people and as values for programs."""

from typing import Any

from bench.comparison import Comparison, Spread

PLACES_BELOW_TEN = 1


def table(comparison: Comparison) -> str:
    """Figures, ratios to the baseline, what was seen beside them, goals and faults."""
    repeats = len(next(iter(comparison.runs.values())))
    lines = [f"\n{comparison.name} ({comparison.unit}; median, least to most of {repeats})"]
    width = max(map(len, comparison.runs))
    for variant in comparison.runs:
        ratio = spread(comparison.ratio(variant, comparison.baseline), 2)
        against = "baseline" if variant == comparison.baseline else f"x {ratio}"
        seen = ", ".join(f"{name} {value:,.4g}" for name, value in comparison.seen(variant).items())
        figures = comparison.spread(variant)
        digits = PLACES_BELOW_TEN if figures.median < 10 else 0
        lines.append(f"  {variant:<{width}}  {spread(figures, digits):<26}  {against:<24}  {seen}".rstrip())
    for goal in comparison.goals:
        value = comparison.reached(goal)
        what = f"{goal.variant} / {goal.baseline}" if goal.baseline else goal.variant
        bound = f"{'>=' if goal.at_least else '<='} {goal.bound:,g}"
        lines.append(f"  {'reached' if goal.is_reached(value) else 'MISSED '}  {what} {bound}: {value:,.3g}")
    lines += [f"  FAULT    {fault}" for fault in comparison.faults]
    if comparison.is_judged and not comparison.faults:
        lines.append("  nothing oversold, lost or doubled")
    return "\n".join(lines) + "\n"


def spread(values: Spread, digits: int) -> str:
    """`median (least to most)`."""
    return f"{values.median:,.{digits}f} ({values.least:,.{digits}f} to {values.most:,.{digits}f})"


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
            }
            for variant, runs in comparison.runs.items()
        },
        "goals": [
            goal._asdict() | {"value": (value := comparison.reached(goal)), "is_reached": goal.is_reached(value)}
            for goal in comparison.goals
        ],
        "is_judged": comparison.is_judged,
        "faults": comparison.faults,
    }
