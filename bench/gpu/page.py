"""The results as a page in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.support.machine import describe
from bench.support.report import Findings, format_value, label

__all__ = ["write_page"]


def write_page(path: Path, sections: Mapping[str, Findings | str]) -> None:
    """Write the page.

    Args:
        sections: by name, the findings, or why there are none.
    """
    path.write_text("\n".join(_lines(sections)) + "\n", "utf-8")


def _lines(sections: Mapping[str, Findings | str]) -> Iterator[str]:
    yield "# Measurements on a GPU"
    yield ""
    yield "Written by `python -m bench.gpu`, with random weights."
    yield ""
    yield from _table(
        ["machine", ""],
        [[label(name), format_value(name, value)] for name, value in describe().items() if value is not None],
    )
    for name, findings in sections.items():
        yield ""
        yield f"## {name.replace('-', ' ').capitalize()}"
        yield ""
        if isinstance(findings, str):
            yield f"{findings[0].upper()}{findings[1:]}."
            continue
        names = list(dict.fromkeys(figure for case in findings.cases.values() for figure in case.figures))
        yield from _table(
            ["", *(label(figure) for figure in names)],
            [
                [title, *(format_value(figure, case.figures.get(figure)) for figure in names)]
                for title, case in findings.cases.items()
            ],
        )
        if findings.checks:
            yield ""
            yield from _table(
                ["check", "value", "target", ""],
                [
                    [
                        label(title),
                        format_value(title, check.value),
                        format_value(title, check.target),
                        "ok" if check.ok else "missed",
                    ]
                    for title, check in findings.checks.items()
                ],
            )


def _table(heading: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield _row(heading)
    yield _row(["---"] * len(heading))
    for cells in rows:
        yield _row(cells)


def _row(cells: list[str]) -> str:
    escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
