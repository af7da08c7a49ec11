"""Make HTML pages to read and print: evaluation reports and contact sheets of faces."""

from facecli.report.page import (
    FacePair,
    FacePairs,
    Figure,
    Number,
    Numbers,
    Page,
    Section,
    Shot,
    Shots,
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
    "Shot",
    "Shots",
    "Table",
    "Text",
    "data_uri",
    "render",
    "write_html",
]
