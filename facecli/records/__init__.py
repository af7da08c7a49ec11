"""What the commands and the service write as JSON: one typed definition for each kind of record.

A definition is a TypedDict. A record is a dict from the start: nothing has to be converted before
it is written, a field may have a name that Python reserves, such as `from`, and mypy checks the
name and the type of every field where a record is built. The unit, the range and the meaning of a
field stand next to its type, as metadata of `Annotated`. docs/json.md, the schemas of the HTTP
interface and the checks of the tests are made from the definitions.

The modules are named for their subject. Each holds definitions and the functions that build their
records; `kinds` lists them all. Importing them loads neither NumPy nor pydantic.
"""

from facecli.records.output import SCHEMA, as_line, stamped, to_json

__all__ = ["SCHEMA", "as_line", "stamped", "to_json"]
