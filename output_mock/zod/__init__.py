"""zod 4.3.6 for JSON values: parsing, its issue objects, and their text.

    schema = zod.object({"limit": zod.number(coerce=True).int().min(1).max(1000).optional()})
    query, issues = schema.safe_parse({"limit": "0"})
    zod.prettify(issues)

The names are zod's own. `from_json_schema` makes the same schemas from a JSON Schema.
"""

from output_mock.javascript_json import UNDEFINED

from .containers import Array, DiscriminatedUnion, Intersection, Object, OneOf, Record, Tuple, Union
from .issues import Issue, ZodError, prettify
from .json_schema import SchemaError, from_json_schema
from .schemas import Anything, BlankIsAbsent, Boolean, Literal, Never, Null, Number, Schema, String, url, uuid

string: type[String] = String
number: type[Number] = Number
boolean: type[Boolean] = Boolean
null: type[Null] = Null
anything: type[Anything] = Anything
never: type[Never] = Never
literal: type[Literal] = Literal
enum: type[Literal] = Literal
array: type[Array] = Array
tuple_of: type[Tuple] = Tuple
object: type[Object] = Object
record: type[Record] = Record
union: type[Union] = Union
xor: type[OneOf] = OneOf
discriminated_union: type[DiscriminatedUnion] = DiscriminatedUnion
intersection: type[Intersection] = Intersection
blank_is_absent: type[BlankIsAbsent] = BlankIsAbsent

__all__ = [
    "UNDEFINED",
    "Issue",
    "Schema",
    "SchemaError",
    "ZodError",
    "anything",
    "array",
    "blank_is_absent",
    "boolean",
    "discriminated_union",
    "enum",
    "from_json_schema",
    "intersection",
    "literal",
    "never",
    "null",
    "number",
    "object",
    "prettify",
    "record",
    "string",
    "tuple_of",
    "union",
    "url",
    "uuid",
    "xor",
]
