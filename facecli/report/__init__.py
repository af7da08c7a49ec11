"""Pages to read and print: figures of an evaluation and contact sheets of faces."""

from facecli.report.page import (
    FacePair,
    FacePairs,
    Figure,
    Number,
    Numbers,
    Page,
    Section,
    Table,
    Text,
    data_uri,
    render,
    write_html,
)

__all__ = [
    "FacePair",
    "FacePairs",
    "Figure",
    "Number",
    "Numbers",
    "Page",
    "Section",
    "Table",
    "Text",
    "data_uri",
    "render",
    "write_html",
]
