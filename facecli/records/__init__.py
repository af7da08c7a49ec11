"""What commands and the service say as JSON: one typed definition for each kind of record.

A record is a TypedDict, since it goes to JSON as it is: its fields keep their order, and mypy
checks every field where a record is made. The meaning of a field stands in its annotation. From
these definitions come docs/json.md, the schemas of the HTTP interface, and a test that checks every
record that the tests see. Light enough to be imported before any command.
"""

from facecli.records.output import SCHEMA, Record, as_line, stamped, to_json

__all__ = ["SCHEMA", "Record", "as_line", "stamped", "to_json"]
