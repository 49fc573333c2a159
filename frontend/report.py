"""Why it changed, as one file to keep or to send: no script, nothing loaded, everything from outside escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from frontend import changes, paragraph, reasons
from frontend.charts import DOWN, UP, Figure
from frontend.formats import moment, signed
from frontend.tables import sentences
from frontend.texts import known, language, text

Json = Mapping[str, Any]

_STYLE: Final = f"""
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1c2526; background: #fff; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.15rem; margin-top: 2rem; }} .about {{ color: #566; }}
table {{ border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-weight: 600; padding: .8rem 0 .3rem; }} .ap-scroll {{ overflow-x: auto; }}
th, td {{ padding: .35rem .6rem; border-bottom: 1px solid #d5dbda; text-align: right; }} th {{ color: #566; }}
.words {{ text-align: left; }} .strong {{ font-weight: 650; }} .bars td {{ border: 0; }}
.bar {{ display: inline-block; height: .8rem; background: {UP}; border-radius: 2px; }} .less {{ background: {DOWN}; }}
@media print {{ body {{ margin: 0; }} }}
"""


def file_name(compared: Json) -> str:
    """Return what the file is called."""
    champion = compared["champion_version"]
    beside = f"-beside-{champion}" if champion else ""
    return f"why-version-{compared['candidate_version']}{beside}.html"


def page(compared: Json) -> str:
    """Return the whole file."""
    body = "\n".join(_parts(compared, compared.get("explanation") or {}))
    title = escape(changes.title(compared))
    return (
        f'<!doctype html>\n<html lang="{language()}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _parts(compared: Json, explanation: Json) -> Iterator[str]:
    yield f'<p class="about">{escape(_about(compared))}</p>'
    if compared["verdict"]:
        yield f"<h2>{escape(known('verdict', compared['verdict']))}</h2>"
        yield reasons.listed(compared["reasons"])
    told = paragraph.sentences(explanation) if explanation.get("paragraph") else []
    if told:
        yield f"<h2>{escape(text('why.words'))}</h2>{changes.paragraph(told)}"
    yield changes.errors(compared["evidence"])
    if explanation.get("table"):
        yield changes.table_of(explanation)
    if explanation.get("error_change"):
        yield _bars(changes.terms(explanation["error_change"]), text("why.error_change"))
        if explanation["error_change"]["novelties"]:
            yield changes.novelties(explanation["error_change"]["novelties"])
    if explanation.get("gain_split"):
        yield _bars(changes.parts(explanation["gain_split"]), text("why.gain_split"))
        yield changes.fits(explanation["gain_split"]["fits"])
    if explanation.get("attributions"):
        yield changes.attributions(explanation["attributions"]["features"])
    if compared["evidence"].get("slices"):
        yield changes.slices(compared["evidence"]["slices"])
    # The paragraph ends with the explanation's notes.
    notes = [*compared["evidence"].get("notes", ()), *(one for one in explanation.get("notes", ()) if one not in told)]
    if notes:
        yield f"<h2>{escape(text('why.notes'))}</h2>{sentences(map(str, notes))}"


def _about(compared: Json) -> str:
    return text(
        "why.report_about", batch=compared["batch_number"], run=compared["run_id"], time=moment(compared["measured_at"])
    )


def _bars(found: Sequence[Figure], title: str) -> str:
    most = max((abs(one.point) for one in found), default=0.0) or 1.0
    rows = "".join(
        f'<tr><td class="words">{escape(one.name)}</td><td>{escape(signed(one.point))}</td>'
        f"<td>({escape(signed(one.low))} … {escape(signed(one.high))})</td>"
        f'<td class="words" style="width:45%"><span class="bar{" less" if one.point < 0 else ""}" '
        f'style="width:{abs(one.point) / most:.1%}"></span></td></tr>'
        for one in found
    )
    return f'<table class="bars"><caption>{escape(title)}</caption><tbody>{rows}</tbody></table>'
