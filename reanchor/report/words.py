"""Sentences computed from the numbers, whichever way they point."""

from reanchor.methods.registry import methods, of_row, untrained
from reanchor.report import names


def main_row(judged: list[str]) -> str:
    """The row that chooses what is shown: the first method made for occlusion, or else the last one judged."""
    made = (name for name, method in methods().items() if method.occlusion and name in judged)
    return next(made, judged[-1] if judged else "")


def made_for_occlusion(row: str) -> bool:
    """Whether a row of the tables is of a method whose leads are told."""
    method, _ = of_row(row)
    return method is not None and method.occlusion



def signed(value: float, digits: int = 1) -> str:
    """+1.2, -0.4 with a true minus sign, 0.0 without any."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else ("+" if value > 0 else "\N{MINUS SIGN}") + text


def cell(result: dict) -> str:
    """59.4 [57.1, 61.6]."""
    return f"{result['value']:.1f} [{result['low']:.1f}, {result['high']:.1f}]"


def study_sentences(evaluation: dict) -> dict:
    """{"headline": str, "verdicts": [str], "leads": [{kind, method, text}], "tokens": [str]}."""
    if "skipped" in evaluation["protocol"]:
        return {"headline": skipped(evaluation["protocol"]), "verdicts": [], "leads": [], "tokens": []}
    return {"headline": headline(evaluation), "verdicts": verdicts(evaluation),
            "leads": [lead_sentence(s) for s in main_slopes(evaluation)],
            "tokens": token_sentences(evaluation["token_shares"])}


def skipped(protocol: dict) -> str:
    """Why there is no figure of image queries."""
    return f"Image queries were not evaluated: {protocol['skipped']}."


def headline(evaluation: dict) -> str:
    """Who is best on whole bodies and under occlusion, and how far the zero-shot backbone is."""
    results = evaluation["results"]
    text = [_best(results, "whole", "On whole bodies")]
    for kind, phrase in (("masking", "masked"), ("people", "covered by another person")):
        series = evaluation["ratios"][kind]
        if series:
            name, ratio = series[len(series) // 2]
            text.append(_best(results, name, f"With {100 * ratio:.0f} % of the image {phrase}"))
    return " ".join(text)


def _best(results: dict, condition: str, where: str) -> str:
    ranked = sorted(results, key=lambda m: -results[m][condition]["mAP"]["value"])
    sentence = (
        f"{where}, {names.method(ranked[0])} is first with mAP {cell(results[ranked[0]][condition]['mAP'])}"
    )
    if len(ranked) > 1:
        second = results[ranked[1]][condition]["mAP"]["value"]
        sentence += f", before {names.method(ranked[1])} with {second:.1f}"
    if untrained() in results and untrained() not in ranked[:2]:
        sentence += f"; the zero-shot backbone reaches {results[untrained()][condition]['mAP']['value']:.1f}"
    return sentence + "."


def main_slopes(evaluation: dict, metric: str = "mAP") -> list[dict]:
    """Slopes of the rows of the methods made for occlusion, in the order of the table."""
    return [s for s in evaluation["slopes"] if s["metric"] == metric and made_for_occlusion(s["method"])]


def verdicts(evaluation: dict) -> list[str]:
    """One line per kind of occlusion and method made for it: how it stands against global pooling."""
    return [
        f"{names.method(s['method'])} against {names.method(s['reference'])}, "
        f"{names.kind(s['kind']).lower()}: {signed(s['lead'][0])} mAP on whole bodies, "
        f"{signed(s['lead'][-1])} at {100 * s['ratios'][-1]:.0f} %; {verdict(s)}."
        for s in main_slopes(evaluation)
        if s["method"] in methods()
    ]


def lead_sentence(slope: dict) -> dict:
    """How a method's lead over global pooling changes with occlusion, with its interval."""
    method, reference = names.method(slope["method"]), names.method(slope["reference"])
    first, last = (
        f"{signed(slope['lead'][i])} [{signed(slope['lead_low'][i])}, {signed(slope['lead_high'][i])}]"
        for i in (0, -1)
    )
    rate = (f"{signed(slope['slope_per_0.1'], 2)} points per 10 % of occluded area "
            f"[{signed(slope['low'], 2)}, {signed(slope['high'], 2)}]")
    text = (
        f"mAP of {method} minus {reference} goes from {first} on whole bodies to "
        f"{last} at {100 * slope['ratios'][-1]:.0f} %. Fitted over all ratios it changes by {rate}: "
        f"{verdict(slope)}."
    )
    return {"kind": slope["kind"], "method": slope["method"], "text": text}


def verdict(slope: dict) -> str:
    """What the slope's interval and the lead's two ends say, in words."""
    first, last = slope["lead"][0], slope["lead"][-1]
    if slope["low"] > 0:
        if last <= 0:
            return "it is behind by less as occlusion grows"
        if first >= 0:
            return "the lead grows with occlusion"
        if slope["lead_low"][-1] <= 0:
            return "what is a deficit on whole bodies is made up as occlusion grows"
        return "what is a deficit on whole bodies becomes a lead"
    if slope["high"] < 0:
        if last > 0:
            return "the lead shrinks with occlusion"
        return (
            "it falls further behind as occlusion grows" if first <= 0 else "the lead is lost under occlusion"
        )
    return "no change with occlusion can be told from zero"


def token_sentences(shares: list[dict]) -> list[str]:
    """Per method: token weight on the visible person against the share of area it covers, over all suites."""
    sentences = []
    for method in dict.fromkeys(row["method"] for row in shares):
        own = [row for row in shares if row["method"] == method]
        parts = []
        for label, noun in (("target", "the visible target"), ("person", "the pasted person"),
                            ("occluder", "masks and objects"), ("background", "background")):
            rows = [row for row in own if row["label"] == label]
            if rows:
                weight, area = (sum(row[key] for row in rows) / len(rows) for key in ("weight", "area"))
                parts.append(f"{weight / area:.2f} on {noun}")
        if parts:
            sentences.append(f"{names.method(method)}: weight relative to area (1 = an even share) is "
                             + ", ".join(parts) + ".")
    return sentences
