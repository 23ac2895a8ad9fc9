"""What tests/gpu/run leaves behind: results.json and results.md."""

import dataclasses
import json
import pathlib


def cell(value):
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def markdown_table(columns, rows):
    lines = ["| " + " | ".join(map(cell, columns)) + " |",
             "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return lines


def summary_row(outcome):
    note = outcome.note
    if outcome.failures:
        note = f"{len(outcome.failures)} failed; " + note
    return (outcome.name, outcome.status, f"{outcome.seconds:.1f}",
            note.rstrip("; "))


def markdown(header, outcomes):
    lines = ["# GPU results", ""]
    lines += [f"- {name}: {value}" for name, value in header.items()]
    lines += ["", *markdown_table(("section", "status", "s", "note"),
                                  map(summary_row, outcomes))]
    for outcome in outcomes:
        if not outcome.tables and not outcome.failures:
            continue
        lines += ["", f"## {outcome.name}"]
        if outcome.failures:
            lines += ["", *(f"- failed: {cell(f)}" for f in outcome.failures)]
        for table in outcome.tables:
            lines += ["", f"**{table['title']}**", "",
                      *markdown_table(table["columns"], table["rows"])]
    return "\n".join(lines) + "\n"


def write(out, header, outcomes):
    """Written after every section: an interrupted run keeps the others."""
    out = pathlib.Path(out)
    (out / "results.md").write_text(markdown(header, outcomes),
                                    encoding="utf-8")
    record = dict(header, sections=[dataclasses.asdict(o) for o in outcomes])
    (out / "results.json").write_text(json.dumps(record, indent=1) + "\n",
                                      encoding="utf-8")
