"""`output_mock.zod` against facts: the results of zod 4.3.6, with issues as JSON with ordered keys."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
from functools import partial
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from output_mock import zod
from output_mock.javascript_json import number_text, parse
from output_mock.zod.javascript import regex

SCHEMAS = {
    "string": zod.string(),
    "number": zod.number(),
    "boolean": zod.boolean(),
    "null": zod.null(),
    "never": zod.never(),
    "anything": zod.anything(),
    "array": zod.array(zod.number()),
    "object": zod.object({"a": zod.string()}),
    "record": zod.record(zod.number()),
    "any key": zod.object({"a": zod.anything(), "b": zod.anything()}),
    "shop": zod.object({"b": zod.string(), "a": zod.string().optional(), "d": zod.number().default(3)}),
    "loose": zod.object({"a": zod.string(), "b": zod.string().optional()}, zod.anything()),
    "catchall": zod.object({"a": zod.string()}, zod.number()),
    "indexes": zod.object(
        {"b": zod.anything().optional(), "2": zod.string(), "1": zod.string()}, zod.anything()
    ),
    "proto": zod.object({}, zod.anything()),
    "int": zod.number().int(),
    "limit": zod.number(coerce=True).int().min(1).max(1000),
    "coerced": zod.number(coerce=True),
    "positive": zod.number(coerce=True).int().positive(),
    "bounded": zod.number().min(5).int().max(3),
    "tenths": zod.number().multiple_of(0.1),
    "threes": zod.number().multiple_of(3),
    "tiny steps": zod.number().multiple_of(1e-7),
    "tinier steps": zod.number().multiple_of(1e-10),
    "between": zod.number().min(0.1, inclusive=False).max(1e21, inclusive=False),
    "text": zod.string().min(3).max(5).regex("^a"),
    "name": zod.string().regex("^[a-z0-9_.@-]+$", "i"),
    "token": zod.string().regex("^[A-Za-z0-9+/]+={0,2}$", message="Invalid pageToken format"),
    "units": zod.string().min(2).max(3),
    "unit": zod.string().regex("^[😀]$"),
    "pair of units": zod.string().regex("^..$"),
    "smiles": zod.string().regex("^😀+$"),
    "three": zod.string().length(3),
    "uuid": zod.uuid(),
    "url": zod.url(),
    "few": zod.array(zod.number()).min(2).max(3),
    "few at most": zod.object({"q": zod.array(zod.number()).max(1)}).refine(lambda _: False, "R"),
    "pair": zod.array(zod.anything()).length(2),
    "flag": zod.union(zod.literal("true"), zod.literal("false")),
    "choice": zod.enum("a", "b"),
    "literals": zod.literal("a", 1, None, True, 1.5),
    "one": zod.literal(1),
    "union": zod.union(zod.string().min(3), zod.object({"a": zod.number()})),
    "near both": zod.union(zod.string().min(3), zod.string().max(0)),
    "near": zod.union(zod.null(), zod.number(coerce=True).min(5)).refine(lambda value: value is None, "R"),
    "xor": zod.xor(zod.string(), zod.string().min(3), zod.number()),
    "event": zod.discriminated_union(
        "type",
        [
            (["a"], zod.object({"type": zod.literal("a"), "x": zod.string()})),
            (["b", "c"], zod.object({"type": zod.enum("b", "c")})),
        ],
    ),
    "nullable": zod.string().min(3).nullable(),
    "tuple": zod.tuple_of([zod.string(), zod.number()]),
    "triple": zod.tuple_of([zod.string(), zod.string(), zod.string()]),
    "tuple of anything": zod.tuple_of([zod.anything(), zod.anything()]),
    "tuple to fill": zod.tuple_of([zod.string(), zod.string().default("q")]),
    "tuple rest": zod.tuple_of([zod.string(), zod.number().optional()], zod.boolean()),
    "both": zod.intersection(zod.object({"a": zod.string()}), zod.object({"b": zod.number()})),
    "keyed": zod.record(zod.number(), keys=zod.string().regex("^a")),
    "sized keys": zod.record(zod.anything(), keys=zod.number().min(5)),
    "blank": zod.object({"t": zod.blank_is_absent(zod.string().regex("^a").optional())}),
    "page": zod.object(
        {"runId": zod.string().optional(), "pageToken": zod.string().min(3).optional()}
    ).refine(
        lambda query: "pageToken" not in query or "runId" in query,
        "runId is required when using pageToken",
        path=["runId"],
    ),
    "either": zod.object({"a": zod.xor(zod.anything(), zod.string().default("q")).optional()}),
    "defaults": zod.object(
        {
            "a": zod.string().default("r").optional(),
            "b": zod.array(zod.string()).default(["q"]),
            "c": zod.anything().default(1),
        }
    ),
    "nested": zod.object(
        {
            "a": zod.array(zod.object({"b": zod.string()})),
            "c d": zod.object({"e": zod.number().int()}),
        }
    ),
}

FACTS = r"""
string <- "x" => OK "x"
string <- "" => OK ""
string <- undefined => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received undefined"}]
string <- null => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received null"}]
string <- true => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received boolean"}]
string <- 1 => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received number"}]
string <- 1.5 => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received number"}]
string <- NaN => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received NaN"}]
string <- Infinity => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received number"}]
string <- -Infinity => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received number"}]
string <- [] => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received array"}]
string <- {} => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received object"}]
number <- 1 => OK 1
number <- 1.5 => OK 1.5
number <- 9007199254740992 => OK 9007199254740992
number <- undefined => [{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received undefined"}]
number <- null => [{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received null"}]
number <- true => [{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received boolean"}]
number <- "1" => [{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received string"}]
number <- NaN => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
number <- Infinity => [{"expected":"number","code":"invalid_type","received":"Infinity","path":[],"message":"Invalid input: expected number, received number"}]
number <- -Infinity => [{"expected":"number","code":"invalid_type","received":"Infinity","path":[],"message":"Invalid input: expected number, received number"}]
number <- [] => [{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received array"}]
number <- {} => [{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received object"}]
boolean <- true => OK true
boolean <- false => OK false
boolean <- undefined => [{"expected":"boolean","code":"invalid_type","path":[],"message":"Invalid input: expected boolean, received undefined"}]
boolean <- null => [{"expected":"boolean","code":"invalid_type","path":[],"message":"Invalid input: expected boolean, received null"}]
boolean <- 0 => [{"expected":"boolean","code":"invalid_type","path":[],"message":"Invalid input: expected boolean, received number"}]
boolean <- "true" => [{"expected":"boolean","code":"invalid_type","path":[],"message":"Invalid input: expected boolean, received string"}]
boolean <- [] => [{"expected":"boolean","code":"invalid_type","path":[],"message":"Invalid input: expected boolean, received array"}]
boolean <- {} => [{"expected":"boolean","code":"invalid_type","path":[],"message":"Invalid input: expected boolean, received object"}]
null <- null => OK null
null <- undefined => [{"expected":"null","code":"invalid_type","path":[],"message":"Invalid input: expected null, received undefined"}]
null <- 0 => [{"expected":"null","code":"invalid_type","path":[],"message":"Invalid input: expected null, received number"}]
null <- "" => [{"expected":"null","code":"invalid_type","path":[],"message":"Invalid input: expected null, received string"}]
null <- false => [{"expected":"null","code":"invalid_type","path":[],"message":"Invalid input: expected null, received boolean"}]
never <- 1 => [{"expected":"never","code":"invalid_type","path":[],"message":"Invalid input: expected never, received number"}]
never <- undefined => [{"expected":"never","code":"invalid_type","path":[],"message":"Invalid input: expected never, received undefined"}]
anything <- 1 => OK 1
anything <- null => OK null
anything <- undefined => OK undefined
anything <- [{}] => OK [{}]
array <- [] => OK []
array <- [1,2] => OK [1,2]
array <- ["a",1,null] => [{"expected":"number","code":"invalid_type","path":[0],"message":"Invalid input: expected number, received string"},{"expected":"number","code":"invalid_type","path":[2],"message":"Invalid input: expected number, received null"}]
array <- {} => [{"expected":"array","code":"invalid_type","path":[],"message":"Invalid input: expected array, received object"}]
array <- "x" => [{"expected":"array","code":"invalid_type","path":[],"message":"Invalid input: expected array, received string"}]
array <- undefined => [{"expected":"array","code":"invalid_type","path":[],"message":"Invalid input: expected array, received undefined"}]
object <- {"a":"x"} => OK {"a":"x"}
object <- {"b":1,"a":"x"} => OK {"a":"x"}
object <- {} => [{"expected":"string","code":"invalid_type","path":["a"],"message":"Invalid input: expected string, received undefined"}]
object <- {"a":1} => [{"expected":"string","code":"invalid_type","path":["a"],"message":"Invalid input: expected string, received number"}]
object <- [] => [{"expected":"object","code":"invalid_type","path":[],"message":"Invalid input: expected object, received array"}]
object <- null => [{"expected":"object","code":"invalid_type","path":[],"message":"Invalid input: expected object, received null"}]
object <- "x" => [{"expected":"object","code":"invalid_type","path":[],"message":"Invalid input: expected object, received string"}]
record <- {} => OK {}
record <- {"a":1,"b":"x"} => [{"expected":"number","code":"invalid_type","path":["b"],"message":"Invalid input: expected number, received string"}]
record <- {"__proto__":1,"a":1} => OK {"a":1}
record <- [] => [{"expected":"record","code":"invalid_type","path":[],"message":"Invalid input: expected record, received array"}]
record <- undefined => [{"expected":"record","code":"invalid_type","path":[],"message":"Invalid input: expected record, received undefined"}]
any key <- {} => OK {}
any key <- {"b":1,"a":null} => OK {"a":null,"b":1}
any key <- {"a":1} => OK {"a":1}
shop <- {"a":"1","b":"2","c":3} => OK {"b":"2","a":"1","d":3}
shop <- {} => [{"expected":"string","code":"invalid_type","path":["b"],"message":"Invalid input: expected string, received undefined"}]
shop <- {"b":"2","d":null} => [{"expected":"number","code":"invalid_type","path":["d"],"message":"Invalid input: expected number, received null"}]
shop <- {"b":"","a":null} => [{"expected":"string","code":"invalid_type","path":["a"],"message":"Invalid input: expected string, received null"}]
loose <- {"z":1,"b":"b","a":"a","y":2} => OK {"a":"a","b":"b","z":1,"y":2}
loose <- {"z":1} => [{"expected":"string","code":"invalid_type","path":["a"],"message":"Invalid input: expected string, received undefined"}]
catchall <- {"z":1,"a":""} => OK {"a":"","z":1}
catchall <- {"z":"1","y":2} => [{"expected":"string","code":"invalid_type","path":["a"],"message":"Invalid input: expected string, received undefined"},{"expected":"number","code":"invalid_type","path":["z"],"message":"Invalid input: expected number, received string"}]
indexes <- {} => [{"expected":"string","code":"invalid_type","path":["1"],"message":"Invalid input: expected string, received undefined"},{"expected":"string","code":"invalid_type","path":["2"],"message":"Invalid input: expected string, received undefined"}]
indexes <- {"1":"","2":"","9":0,"10":0,"b":1} => OK {"1":"","2":"","9":0,"10":0,"b":1}
proto <- {"__proto__":{"x":1},"a":2} => OK {"a":2}
int <- 5 => OK 5
int <- 2 => OK 2
int <- 1.5 => [{"expected":"int","format":"safeint","code":"invalid_type","path":[],"message":"Invalid input: expected int, received number"}]
int <- 9007199254740992 => [{"code":"too_big","maximum":9007199254740991,"note":"Integers must be within the safe integer range.","origin":"int","inclusive":true,"path":[],"message":"Too big: expected int to be <=9007199254740991"}]
int <- -9007199254740992 => [{"code":"too_small","minimum":-9007199254740991,"note":"Integers must be within the safe integer range.","origin":"int","inclusive":true,"path":[],"message":"Too small: expected int to be >=-9007199254740991"}]
int <- "x" => [{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received string"}]
int <- NaN => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
limit <- "5" => OK 5
limit <- " 5 " => OK 5
limit <- "0x10" => OK 16
limit <- "1e3" => OK 1000
limit <- null => [{"origin":"number","code":"too_small","minimum":1,"inclusive":true,"path":[],"message":"Too small: expected number to be >=1"}]
limit <- true => OK 1
limit <- ["7"] => OK 7
limit <- "0" => [{"origin":"number","code":"too_small","minimum":1,"inclusive":true,"path":[],"message":"Too small: expected number to be >=1"}]
limit <- "1001" => [{"origin":"number","code":"too_big","maximum":1000,"inclusive":true,"path":[],"message":"Too big: expected number to be <=1000"}]
limit <- "abc" => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
limit <- "1.5" => [{"expected":"int","format":"safeint","code":"invalid_type","path":[],"message":"Invalid input: expected int, received number"}]
limit <- "" => [{"origin":"number","code":"too_small","minimum":1,"inclusive":true,"path":[],"message":"Too small: expected number to be >=1"}]
limit <- 1152921504606847000 => [{"code":"too_big","maximum":9007199254740991,"note":"Integers must be within the safe integer range.","origin":"int","inclusive":true,"path":[],"message":"Too big: expected int to be <=9007199254740991"},{"origin":"number","code":"too_big","maximum":1000,"inclusive":true,"path":[],"message":"Too big: expected number to be <=1000"}]
limit <- "Infinity" => [{"expected":"number","code":"invalid_type","received":"Infinity","path":[],"message":"Invalid input: expected number, received number"}]
limit <- "-Infinity" => [{"expected":"number","code":"invalid_type","received":"Infinity","path":[],"message":"Invalid input: expected number, received number"}]
limit <- "1e400" => [{"expected":"number","code":"invalid_type","received":"Infinity","path":[],"message":"Invalid input: expected number, received number"}]
coerced <- "" => OK 0
coerced <- "  " => OK 0
coerced <- "+5" => OK 5
coerced <- "-0x10" => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
coerced <- "0b11" => OK 3
coerced <- "0o7" => OK 7
coerced <- ".5" => OK 0.5
coerced <- "5." => OK 5
coerced <- "." => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
coerced <- "1_000" => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
coerced <- "1n" => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
coerced <- "5e-1" => OK 0.5
coerced <- "﻿1 " => OK 1
coerced <- "١" => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
coerced <- "infinity" => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
coerced <- "0x" => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
coerced <- "0X1F" => OK 31
coerced <- false => OK 0
coerced <- null => OK 0
coerced <- undefined => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
coerced <- [] => OK 0
coerced <- [5] => OK 5
coerced <- [null] => OK 0
coerced <- [[3]] => OK 3
coerced <- [true] => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
coerced <- [1,2] => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
coerced <- {} => [{"expected":"number","code":"invalid_type","received":"NaN","path":[],"message":"Invalid input: expected number, received NaN"}]
positive <- "1" => OK 1
positive <- "0" => [{"origin":"number","code":"too_small","minimum":0,"inclusive":false,"path":[],"message":"Too small: expected number to be >0"}]
positive <- "-1.5" => [{"expected":"int","format":"safeint","code":"invalid_type","path":[],"message":"Invalid input: expected int, received number"}]
bounded <- 4.5 => [{"origin":"number","code":"too_small","minimum":5,"inclusive":true,"path":[],"message":"Too small: expected number to be >=5"},{"expected":"int","format":"safeint","code":"invalid_type","path":[],"message":"Invalid input: expected int, received number"}]
bounded <- 4 => [{"origin":"number","code":"too_small","minimum":5,"inclusive":true,"path":[],"message":"Too small: expected number to be >=5"},{"origin":"number","code":"too_big","maximum":3,"inclusive":true,"path":[],"message":"Too big: expected number to be <=3"}]
tenths <- 0.3 => OK 0.3
tenths <- 0.30000000000000004 => [{"origin":"number","code":"not_multiple_of","divisor":0.1,"path":[],"message":"Invalid number: must be a multiple of 0.1"}]
tenths <- 0.35 => [{"origin":"number","code":"not_multiple_of","divisor":0.1,"path":[],"message":"Invalid number: must be a multiple of 0.1"}]
tenths <- 1e-8 => OK 1e-8
tenths <- -1.5 => OK -1.5
tenths <- 1e+300 => OK 1e+300
threes <- 9 => OK 9
threes <- 2.9999999999999996 => [{"origin":"number","code":"not_multiple_of","divisor":3,"path":[],"message":"Invalid number: must be a multiple of 3"}]
threes <- 900000000000000000000 => OK 900000000000000000000
threes <- 1e+300 => [{"origin":"number","code":"not_multiple_of","divisor":3,"path":[],"message":"Invalid number: must be a multiple of 3"}]
threes <- 3e+300 => OK 3e+300
tiny steps <- 3e-7 => OK 3e-7
tiny steps <- 1.5e-7 => OK 1.5e-7
tiny steps <- 1.00000005 => [{"origin":"number","code":"not_multiple_of","divisor":1e-7,"path":[],"message":"Invalid number: must be a multiple of 1e-7"}]
tinier steps <- 1 => [{"origin":"number","code":"not_multiple_of","divisor":1e-10,"path":[],"message":"Invalid number: must be a multiple of 1e-10"}]
tinier steps <- 0 => [{"origin":"number","code":"not_multiple_of","divisor":1e-10,"path":[],"message":"Invalid number: must be a multiple of 1e-10"}]
between <- 0.1 => [{"origin":"number","code":"too_small","minimum":0.1,"inclusive":false,"path":[],"message":"Too small: expected number to be >0.1"}]
between <- 1e+21 => [{"origin":"number","code":"too_big","maximum":1e+21,"inclusive":false,"path":[],"message":"Too big: expected number to be <1e+21"}]
between <- 0.5 => OK 0.5
text <- "bb" => [{"origin":"string","code":"too_small","minimum":3,"inclusive":true,"path":[],"message":"Too small: expected string to have >=3 characters"},{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^a/","path":[],"message":"Invalid string: must match pattern /^a/"}]
text <- "😀" => [{"origin":"string","code":"too_small","minimum":3,"inclusive":true,"path":[],"message":"Too small: expected string to have >=3 characters"},{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^a/","path":[],"message":"Invalid string: must match pattern /^a/"}]
text <- "aaa" => OK "aaa"
text <- "aaaaaaa" => [{"origin":"string","code":"too_big","maximum":5,"inclusive":true,"path":[],"message":"Too big: expected string to have <=5 characters"}]
text <- [] => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received array"},{"origin":"array","code":"too_small","minimum":3,"inclusive":true,"path":[],"message":"Too small: expected array to have >=3 items"}]
text <- [1,2] => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received array"},{"origin":"array","code":"too_small","minimum":3,"inclusive":true,"path":[],"message":"Too small: expected array to have >=3 items"}]
text <- 5 => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received number"}]
name <- "A.b" => OK "A.b"
name <- "bad name" => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^[a-z0-9_.@-]+$/i","path":[],"message":"Invalid string: must match pattern /^[a-z0-9_.@-]+$/i"}]
name <- "" => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^[a-z0-9_.@-]+$/i","path":[],"message":"Invalid string: must match pattern /^[a-z0-9_.@-]+$/i"}]
name <- 5 => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received number"}]
name <- "a\n" => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^[a-z0-9_.@-]+$/i","path":[],"message":"Invalid string: must match pattern /^[a-z0-9_.@-]+$/i"}]
token <- "AAAA=" => OK "AAAA="
token <- "!!" => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^[A-Za-z0-9+/]+={0,2}$/","path":[],"message":"Invalid pageToken format"}]
units <- "a" => [{"origin":"string","code":"too_small","minimum":2,"inclusive":true,"path":[],"message":"Too small: expected string to have >=2 characters"}]
units <- "😀" => OK "😀"
units <- "a😀" => OK "a😀"
units <- "😀😀" => [{"origin":"string","code":"too_big","maximum":3,"inclusive":true,"path":[],"message":"Too big: expected string to have <=3 characters"}]
units <- "\ud83d" => [{"origin":"string","code":"too_small","minimum":2,"inclusive":true,"path":[],"message":"Too small: expected string to have >=2 characters"}]
unit <- "😀" => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^[😀]$/","path":[],"message":"Invalid string: must match pattern /^[😀]$/"}]
pair of units <- "😀" => OK "😀"
pair of units <- "a" => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^..$/","path":[],"message":"Invalid string: must match pattern /^..$/"}]
pair of units <- "a😀" => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^..$/","path":[],"message":"Invalid string: must match pattern /^..$/"}]
smiles <- "😀" => OK "😀"
smiles <- "😀😀" => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^😀+$/","path":[],"message":"Invalid string: must match pattern /^😀+$/"}]
three <- "abc" => OK "abc"
three <- "ab" => [{"origin":"string","code":"too_small","minimum":3,"inclusive":true,"exact":true,"path":[],"message":"Too small: expected string to have >=3 characters"}]
three <- "abcd" => [{"origin":"string","code":"too_big","maximum":3,"inclusive":true,"exact":true,"path":[],"message":"Too big: expected string to have <=3 characters"}]
uuid <- "00000000-0000-4000-8000-000000000000" => OK "00000000-0000-4000-8000-000000000000"
uuid <- "00000000-0000-0000-0000-000000000000" => OK "00000000-0000-0000-0000-000000000000"
uuid <- "xyz" => [{"origin":"string","code":"invalid_format","format":"uuid","pattern":"/^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$/","path":[],"message":"Invalid UUID"}]
uuid <- 5 => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received number"}]
url <- " http://a.b " => OK "http://a.b"
url <- "mailto:x@y" => OK "mailto:x@y"
url <- "a" => [{"code":"invalid_format","format":"url","path":[],"message":"Invalid URL"}]
url <- "http://" => [{"code":"invalid_format","format":"url","path":[],"message":"Invalid URL"}]
url <- "http://a b" => [{"code":"invalid_format","format":"url","path":[],"message":"Invalid URL"}]
url <- "http://a:99999" => [{"code":"invalid_format","format":"url","path":[],"message":"Invalid URL"}]
url <- "ht\ntp://a/\n" => OK "ht\ntp://a/"
url <- "\u0001http://a" => OK "\u0001http://a"
url <- "http://a\u0001b" => [{"code":"invalid_format","format":"url","path":[],"message":"Invalid URL"}]
url <- "x://a\u0001b" => OK "x://a\u0001b"
url <- "http://[::1]:80/" => OK "http://[::1]:80/"
url <- "http://[::g]" => [{"code":"invalid_format","format":"url","path":[],"message":"Invalid URL"}]
url <- "http://[::1::2]" => [{"code":"invalid_format","format":"url","path":[],"message":"Invalid URL"}]
url <- "x:///" => OK "x:///"
url <- "x://:80" => [{"code":"invalid_format","format":"url","path":[],"message":"Invalid URL"}]
few <- [1] => [{"origin":"array","code":"too_small","minimum":2,"inclusive":true,"path":[],"message":"Too small: expected array to have >=2 items"}]
few <- ["x"] => [{"expected":"number","code":"invalid_type","path":[0],"message":"Invalid input: expected number, received string"},{"origin":"array","code":"too_small","minimum":2,"inclusive":true,"path":[],"message":"Too small: expected array to have >=2 items"}]
few <- [1,2,3,4] => [{"origin":"array","code":"too_big","maximum":3,"inclusive":true,"path":[],"message":"Too big: expected array to have <=3 items"}]
few <- ["x","y","z","w"] => [{"expected":"number","code":"invalid_type","path":[0],"message":"Invalid input: expected number, received string"},{"expected":"number","code":"invalid_type","path":[1],"message":"Invalid input: expected number, received string"},{"expected":"number","code":"invalid_type","path":[2],"message":"Invalid input: expected number, received string"},{"expected":"number","code":"invalid_type","path":[3],"message":"Invalid input: expected number, received string"},{"origin":"array","code":"too_big","maximum":3,"inclusive":true,"path":[],"message":"Too big: expected array to have <=3 items"}]
few <- "a" => [{"expected":"array","code":"invalid_type","path":[],"message":"Invalid input: expected array, received string"},{"origin":"string","code":"too_small","minimum":2,"inclusive":true,"path":[],"message":"Too small: expected string to have >=2 characters"}]
few at most <- {"q":[1,2]} => [{"origin":"array","code":"too_big","maximum":1,"inclusive":true,"path":["q"],"message":"Too big: expected array to have <=1 items"},{"code":"custom","path":[],"message":"R"}]
few at most <- {"q":["x","y"]} => [{"expected":"number","code":"invalid_type","path":["q",0],"message":"Invalid input: expected number, received string"},{"expected":"number","code":"invalid_type","path":["q",1],"message":"Invalid input: expected number, received string"},{"origin":"array","code":"too_big","maximum":1,"inclusive":true,"path":["q"],"message":"Too big: expected array to have <=1 items"}]
pair <- [1,2] => OK [1,2]
pair <- [] => [{"origin":"array","code":"too_small","minimum":2,"inclusive":true,"exact":true,"path":[],"message":"Too small: expected array to have >=2 items"}]
pair <- [1,2,3] => [{"origin":"array","code":"too_big","maximum":2,"inclusive":true,"exact":true,"path":[],"message":"Too big: expected array to have <=2 items"}]
flag <- "true" => OK "true"
flag <- "yes" => [{"code":"invalid_union","errors":[[{"code":"invalid_value","values":["true"],"path":[],"message":"Invalid input: expected \"true\""}],[{"code":"invalid_value","values":["false"],"path":[],"message":"Invalid input: expected \"false\""}]],"path":[],"message":"Invalid input"}]
flag <- undefined => [{"code":"invalid_union","errors":[[{"code":"invalid_value","values":["true"],"path":[],"message":"Invalid input: expected \"true\""}],[{"code":"invalid_value","values":["false"],"path":[],"message":"Invalid input: expected \"false\""}]],"path":[],"message":"Invalid input"}]
choice <- "a" => OK "a"
choice <- "c" => [{"code":"invalid_value","values":["a","b"],"path":[],"message":"Invalid option: expected one of \"a\"|\"b\""}]
choice <- undefined => [{"code":"invalid_value","values":["a","b"],"path":[],"message":"Invalid option: expected one of \"a\"|\"b\""}]
choice <- 1 => [{"code":"invalid_value","values":["a","b"],"path":[],"message":"Invalid option: expected one of \"a\"|\"b\""}]
literals <- 1 => OK 1
literals <- true => OK true
literals <- null => OK null
literals <- "b" => [{"code":"invalid_value","values":["a",1,null,true,1.5],"path":[],"message":"Invalid option: expected one of \"a\"|1|null|true|1.5"}]
literals <- 0 => [{"code":"invalid_value","values":["a",1,null,true,1.5],"path":[],"message":"Invalid option: expected one of \"a\"|1|null|true|1.5"}]
one <- 1 => OK 1
one <- 1 => OK 1
one <- true => [{"code":"invalid_value","values":[1],"path":[],"message":"Invalid input: expected 1"}]
one <- 2 => [{"code":"invalid_value","values":[1],"path":[],"message":"Invalid input: expected 1"}]
union <- "abc" => OK "abc"
union <- "a" => [{"origin":"string","code":"too_small","minimum":3,"inclusive":true,"path":[],"message":"Too small: expected string to have >=3 characters"}]
union <- {"a":1,"b":2} => OK {"a":1}
union <- {"a":"x"} => [{"code":"invalid_union","errors":[[{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received object"}],[{"expected":"number","code":"invalid_type","path":["a"],"message":"Invalid input: expected number, received string"}]],"path":[],"message":"Invalid input"}]
union <- null => [{"code":"invalid_union","errors":[[{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received null"}],[{"expected":"object","code":"invalid_type","path":[],"message":"Invalid input: expected object, received null"}]],"path":[],"message":"Invalid input"}]
near both <- "a" => [{"code":"invalid_union","errors":[[{"origin":"string","code":"too_small","minimum":3,"inclusive":true,"path":[],"message":"Too small: expected string to have >=3 characters"}],[{"origin":"string","code":"too_big","maximum":0,"inclusive":true,"path":[],"message":"Too big: expected string to have <=0 characters"}]],"path":[],"message":"Invalid input"}]
near <- "4" => [{"origin":"number","code":"too_small","minimum":5,"inclusive":true,"path":[],"message":"Too small: expected number to be >=5"},{"code":"custom","path":[],"message":"R"}]
near <- null => OK null
xor <- "a" => OK "a"
xor <- "abc" => [{"code":"invalid_union","errors":[],"inclusive":false,"path":[],"message":"Invalid input"}]
xor <- 1 => OK 1
xor <- true => [{"code":"invalid_union","errors":[[{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received boolean"}],[{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received boolean"}],[{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received boolean"}]],"path":[],"message":"Invalid input"}]
event <- {"type":"c","y":1} => OK {"type":"c"}
event <- {"type":"a"} => [{"expected":"string","code":"invalid_type","path":["x"],"message":"Invalid input: expected string, received undefined"}]
event <- {"type":"z"} => [{"code":"invalid_union","errors":[],"note":"No matching discriminator","discriminator":"type","path":["type"],"message":"Invalid input"}]
event <- {} => [{"code":"invalid_union","errors":[],"note":"No matching discriminator","discriminator":"type","path":["type"],"message":"Invalid input"}]
event <- 5 => [{"code":"invalid_type","expected":"object","path":[],"message":"Invalid input: expected object, received number"}]
nullable <- null => OK null
nullable <- "abc" => OK "abc"
nullable <- "a" => [{"origin":"string","code":"too_small","minimum":3,"inclusive":true,"path":[],"message":"Too small: expected string to have >=3 characters"}]
nullable <- 5 => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received number"}]
nullable <- undefined => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received undefined"}]
tuple <- ["a",1] => OK ["a",1]
tuple <- ["a"] => [{"expected":"number","code":"invalid_type","path":[1],"message":"Invalid input: expected number, received undefined"}]
tuple <- ["a",1,2] => [{"code":"too_big","maximum":2,"inclusive":true,"origin":"array","path":[],"message":"Too big: expected array to have <=2 items"}]
tuple <- [1,1,2] => [{"code":"too_big","maximum":2,"inclusive":true,"origin":"array","path":[],"message":"Too big: expected array to have <=2 items"}]
tuple <- [1,"a"] => [{"expected":"string","code":"invalid_type","path":[0],"message":"Invalid input: expected string, received number"},{"expected":"number","code":"invalid_type","path":[1],"message":"Invalid input: expected number, received string"}]
tuple <- {} => [{"expected":"tuple","code":"invalid_type","path":[],"message":"Invalid input: expected tuple, received object"}]
triple <- [] => [{"code":"too_small","minimum":3,"origin":"array","path":[],"message":"Too small: expected array to have >3 items"}]
triple <- ["a"] => [{"code":"too_small","minimum":3,"origin":"array","path":[],"message":"Too small: expected array to have >3 items"}]
triple <- ["a","b"] => [{"expected":"string","code":"invalid_type","path":[2],"message":"Invalid input: expected string, received undefined"}]
triple <- ["a","b","c"] => OK ["a","b","c"]
triple <- [1,2,3,4] => [{"code":"too_big","maximum":3,"inclusive":true,"origin":"array","path":[],"message":"Too big: expected array to have <=3 items"}]
tuple of anything <- [] => [{"code":"too_small","minimum":2,"origin":"array","path":[],"message":"Too small: expected array to have >2 items"}]
tuple of anything <- [1] => OK [1,null]
tuple to fill <- ["a"] => OK ["a"]
tuple to fill <- ["a","b"] => OK ["a","b"]
tuple rest <- ["a"] => OK ["a"]
tuple rest <- ["a",1,true] => OK ["a",1,true]
tuple rest <- [1,1,2] => [{"expected":"string","code":"invalid_type","path":[0],"message":"Invalid input: expected string, received number"},{"expected":"boolean","code":"invalid_type","path":[2],"message":"Invalid input: expected boolean, received number"}]
tuple rest <- [] => [{"expected":"string","code":"invalid_type","path":[0],"message":"Invalid input: expected string, received undefined"}]
both <- {"a":"","b":1,"c":1} => OK {"a":"","b":1}
both <- {} => [{"expected":"string","code":"invalid_type","path":["a"],"message":"Invalid input: expected string, received undefined"},{"expected":"number","code":"invalid_type","path":["b"],"message":"Invalid input: expected number, received undefined"}]
both <- "x" => [{"expected":"object","code":"invalid_type","path":[],"message":"Invalid input: expected object, received string"},{"expected":"object","code":"invalid_type","path":[],"message":"Invalid input: expected object, received string"}]
keyed <- {"a":1} => OK {"a":1}
keyed <- {"a":"1","b":"x"} => [{"expected":"number","code":"invalid_type","path":["a"],"message":"Invalid input: expected number, received string"},{"code":"invalid_key","origin":"record","issues":[{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^a/","path":[],"message":"Invalid string: must match pattern /^a/"}],"path":["b"],"message":"Invalid key in record"}]
sized keys <- {"7":1,"7.50":2} => OK {"7":1,"7.5":2}
sized keys <- {"1":1,"a":2} => [{"code":"invalid_key","origin":"record","issues":[{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received string"}],"path":["1"],"message":"Invalid key in record"},{"code":"invalid_key","origin":"record","issues":[{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received string"}],"path":["a"],"message":"Invalid key in record"}]
blank <- {} => OK {}
blank <- {"t":""} => OK {}
blank <- {"t":"b"} => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^a/","path":["t"],"message":"Invalid string: must match pattern /^a/"}]
blank <- {"t":"a"} => OK {"t":"a"}
page <- {} => OK {}
page <- {"pageToken":"abc"} => [{"code":"custom","path":["runId"],"message":"runId is required when using pageToken"}]
page <- {"pageToken":"ab"} => [{"origin":"string","code":"too_small","minimum":3,"inclusive":true,"path":["pageToken"],"message":"Too small: expected string to have >=3 characters"},{"code":"custom","path":["runId"],"message":"runId is required when using pageToken"}]
page <- {"pageToken":5} => [{"expected":"string","code":"invalid_type","path":["pageToken"],"message":"Invalid input: expected string, received number"}]
page <- {"pageToken":"abc","runId":"r"} => OK {"runId":"r","pageToken":"abc"}
either <- {} => OK {}
either <- {"a":1} => OK {"a":1}
either <- {"a":"x"} => [{"code":"invalid_union","errors":[],"inclusive":false,"path":["a"],"message":"Invalid input"}]
defaults <- {} => OK {"a":"r","b":["q"],"c":1}
defaults <- {"a":"x","b":[],"c":null} => OK {"a":"x","b":[],"c":null}
defaults <- {"b":null} => [{"expected":"array","code":"invalid_type","path":["b"],"message":"Invalid input: expected array, received null"}]
nested <- {"a":[{"b":""},{"b":1},{}],"c d":{"e":1.5}} => [{"expected":"string","code":"invalid_type","path":["a",1,"b"],"message":"Invalid input: expected string, received number"},{"expected":"string","code":"invalid_type","path":["a",2,"b"],"message":"Invalid input: expected string, received undefined"},{"expected":"int","format":"safeint","code":"invalid_type","path":["c d","e"],"message":"Invalid input: expected int, received number"}]
nested <- {"a":[{"b":"x","z":1}],"c d":{"e":1,"z":1}} => OK {"a":[{"b":"x"}],"c d":{"e":1}}
"""  # noqa: E501

JSON_SCHEMA_FACTS = r"""
{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"],"additionalProperties":false} <- {"a":"1"} => [{"expected":"number","code":"invalid_type","path":["a"],"message":"Invalid input: expected number, received string"},{"expected":"number","code":"invalid_type","path":["b"],"message":"Invalid input: expected number, received undefined"}]
{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"],"additionalProperties":false} <- {"a":1,"b":2,"c":3} => OK {"a":1,"b":2}
{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"],"additionalProperties":false} <- undefined => [{"expected":"object","code":"invalid_type","path":[],"message":"Invalid input: expected object, received undefined"}]
{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"],"additionalProperties":false} <- null => [{"expected":"object","code":"invalid_type","path":[],"message":"Invalid input: expected object, received null"}]
{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"],"additionalProperties":false} <- [1] => [{"expected":"object","code":"invalid_type","path":[],"message":"Invalid input: expected object, received array"}]
{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],"additionalProperties":false} <- {"ok":"yes"} => [{"expected":"boolean","code":"invalid_type","path":["ok"],"message":"Invalid input: expected boolean, received string"}]
{"type":"object","properties":{"topic":{"type":"string"},"note":{"type":"string"},"n":{"default":3,"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["topic","n"],"additionalProperties":false} <- {"topic":"x","z":1} => OK {"topic":"x","n":3}
{"type":"object","properties":{"topic":{"type":"string"},"note":{"type":"string"},"n":{"default":3,"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["topic","n"],"additionalProperties":false} <- {"note":null} => [{"expected":"string","code":"invalid_type","path":["topic"],"message":"Invalid input: expected string, received undefined"},{"expected":"string","code":"invalid_type","path":["note"],"message":"Invalid input: expected string, received null"}]
{"type":"object","properties":{"x":{}},"required":["x"],"additionalProperties":false} <- {} => OK {}
{"type":"object","properties":{"x":{}},"required":["x"],"additionalProperties":false} <- {"x":null} => OK {"x":null}
{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":{}} <- {"z":1,"a":"x"} => OK {"a":"x","z":1}
{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":{"type":"number"}} <- {"a":"x","b":1} => OK {"a":"x","b":1}
{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":{"type":"number"}} <- {"a":"x","b":"y"} => [{"expected":"number","code":"invalid_type","path":["b"],"message":"Invalid input: expected number, received string"}]
{"type":"object","propertyNames":{"type":"string"},"additionalProperties":{"type":"number"}} <- {"a":1} => OK {"a":1}
{"type":"object","propertyNames":{"type":"string"},"additionalProperties":{"type":"number"}} <- {"a":"x"} => [{"expected":"number","code":"invalid_type","path":["a"],"message":"Invalid input: expected number, received string"}]
{"type":"object","propertyNames":{"type":"string"},"additionalProperties":{"type":"number"}} <- [] => [{"expected":"record","code":"invalid_type","path":[],"message":"Invalid input: expected record, received array"}]
{"type":"object","propertyNames":{"type":"string","pattern":"^k"},"additionalProperties":{}} <- {"k":1} => OK {"k":1}
{"type":"object","propertyNames":{"type":"string","pattern":"^k"},"additionalProperties":{}} <- {"a":1} => [{"code":"invalid_key","origin":"record","issues":[{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^k/","path":[],"message":"Invalid string: must match pattern /^k/"}],"path":["a"],"message":"Invalid key in record"}]
{"type":"object","propertyNames":{"type":"string","enum":["a","b"]},"additionalProperties":{"type":"number"},"required":["a","b"]} <- {"a":1,"b":2} => OK {"a":1,"b":2}
{"type":"object","propertyNames":{"type":"string","enum":["a","b"]},"additionalProperties":{"type":"number"},"required":["a","b"]} <- {"a":1} => [{"expected":"number","code":"invalid_type","path":["b"],"message":"Invalid input: expected number, received undefined"}]
{"type":"object","propertyNames":{"type":"string","enum":["a","b"]},"additionalProperties":{"type":"number"},"required":["a","b"]} <- {"a":1,"b":2,"c":3} => [{"code":"unrecognized_keys","keys":["c"],"path":[],"message":"Unrecognized key: \"c\""}]
{"type":"object","propertyNames":{"type":"string","enum":["a","b"]},"additionalProperties":{"type":"number"},"required":["a","b"]} <- 5 => [{"expected":"record","code":"invalid_type","path":[],"message":"Invalid input: expected record, received number"}]
{"type":"object","propertyNames":{"type":"string","enum":["b","a","1"]},"additionalProperties":{"type":"number"},"required":["b","a","1"]} <- {} => [{"expected":"number","code":"invalid_type","path":["b"],"message":"Invalid input: expected number, received undefined"},{"expected":"number","code":"invalid_type","path":["a"],"message":"Invalid input: expected number, received undefined"},{"expected":"number","code":"invalid_type","path":["1"],"message":"Invalid input: expected number, received undefined"}]
{"type":"object","propertyNames":{"type":"string","enum":["b","a","1"]},"additionalProperties":{"type":"number"},"required":["b","a","1"]} <- {"1":1,"a":1,"b":1} => OK {"1":1,"b":1,"a":1}
{"type":"object","propertyNames":{"type":"string","const":"a"},"additionalProperties":{},"required":["a"]} <- {} => OK {}
{"type":"object","propertyNames":{"type":"string","const":"a"},"additionalProperties":{},"required":["a"]} <- {"b":1} => [{"code":"unrecognized_keys","keys":["b"],"path":[],"message":"Unrecognized key: \"b\""}]
{"type":"object","propertyNames":{"anyOf":[{"type":"string","const":"a"},{"type":"string","enum":["b"]}]},"additionalProperties":{"type":"number"},"required":["a","b"]} <- {"a":1} => [{"expected":"number","code":"invalid_type","path":["b"],"message":"Invalid input: expected number, received undefined"}]
{"type":"object","propertyNames":{"anyOf":[{"type":"string","const":"a"},{"type":"string","enum":["b"]}]},"additionalProperties":{"type":"number"},"required":["a","b"]} <- {"a":1,"b":2} => OK {"a":1,"b":2}
{"type":"object","propertyNames":{"type":"string","enum":["a","b"]},"additionalProperties":{"type":"number"}} <- {} => OK {}
{"type":"object","propertyNames":{"type":"string","enum":["a","b"]},"additionalProperties":{"type":"number"}} <- {"b":1,"a":1} => OK {"b":1,"a":1}
{"type":"object","propertyNames":{"type":"string","enum":["a","b"]},"additionalProperties":{"type":"number"}} <- {"c":1,"a":"q"} => [{"code":"invalid_key","origin":"record","issues":[{"code":"invalid_value","values":["a","b"],"path":[],"message":"Invalid option: expected one of \"a\"|\"b\""}],"path":["c"],"message":"Invalid key in record"},{"expected":"number","code":"invalid_type","path":["a"],"message":"Invalid input: expected number, received string"}]
{"type":"object","propertyNames":{"type":"number"},"additionalProperties":{}} <- {"1.50":1} => OK {"1.5":1}
{"type":"object","propertyNames":{"type":"number"},"additionalProperties":{}} <- {"a":1} => [{"code":"invalid_key","origin":"record","issues":[{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received string"}],"path":["a"],"message":"Invalid key in record"}]
{"type":"object","patternProperties":{"^k":{"type":"number"}}} <- {"k":1,"a":"x"} => OK {"k":1,"a":"x"}
{"type":"object","patternProperties":{"^k":{"type":"number"}}} <- {"k":"x"} => [{"expected":"number","code":"invalid_type","path":["k"],"message":"Invalid input: expected number, received string"}]
{"type":"object","patternProperties":{"^k":{"type":"number"}}} <- 5 => [{"expected":"record","code":"invalid_type","path":[],"message":"Invalid input: expected record, received number"}]
{"allOf":[{"type":"object","propertyNames":{"type":"string","enum":["a"]},"additionalProperties":{},"required":["a"]},{"type":"object","propertyNames":{"type":"string","enum":["b"]},"additionalProperties":{},"required":["b"]}]} <- {"a":1,"b":1} => OK {"a":1,"b":1}
{"allOf":[{"type":"object","propertyNames":{"type":"string","enum":["a"]},"additionalProperties":{},"required":["a"]},{"type":"object","propertyNames":{"type":"string","enum":["b"]},"additionalProperties":{},"required":["b"]}]} <- {"a":1,"b":1,"c":1} => [{"code":"unrecognized_keys","keys":["c"],"path":[],"message":"Unrecognized key: \"c\""}]
{"allOf":[{"type":"object","properties":{"k":{"type":"object","propertyNames":{"type":"string","enum":["a"]},"additionalProperties":{},"required":["a"]}},"required":["k"],"additionalProperties":false},{"type":"object","properties":{"k":{"type":"object","propertyNames":{"type":"string","enum":["b"]},"additionalProperties":{},"required":["b"]}},"required":["k"],"additionalProperties":false}]} <- {"k":{"a":1,"b":1,"c":1,"d":1}} => [{"code":"unrecognized_keys","keys":["c","d"],"path":["k"],"message":"Unrecognized keys: \"c\", \"d\""}]
{"allOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false},{"type":"object","propertyNames":{"type":"string","enum":["b"]},"additionalProperties":{},"required":["b"]}]} <- {"a":"","b":1,"c":1} => OK {"a":"","b":1}
{"minItems":1,"maxItems":2,"type":"array","items":{"type":"string"}} <- [] => [{"origin":"array","code":"too_small","minimum":1,"inclusive":true,"path":[],"message":"Too small: expected array to have >=1 items"}]
{"minItems":1,"maxItems":2,"type":"array","items":{"type":"string"}} <- ["a"] => OK ["a"]
{"minItems":1,"maxItems":2,"type":"array","items":{"type":"string"}} <- ["a","b","c"] => [{"origin":"array","code":"too_big","maximum":2,"inclusive":true,"path":[],"message":"Too big: expected array to have <=2 items"}]
{"minItems":1,"maxItems":2,"type":"array","items":{"type":"string"}} <- "abc" => [{"expected":"array","code":"invalid_type","path":[],"message":"Invalid input: expected array, received string"},{"origin":"string","code":"too_big","maximum":2,"inclusive":true,"path":[],"message":"Too big: expected string to have <=2 characters"}]
{"minItems":1,"maxItems":2,"type":"array","items":{"type":"string"}} <- [1] => [{"expected":"string","code":"invalid_type","path":[0],"message":"Invalid input: expected string, received number"}]
{"type":"array","prefixItems":[{"type":"string"},{"type":"number"}]} <- ["a",1] => OK ["a",1]
{"type":"array","prefixItems":[{"type":"string"},{"type":"number"}]} <- ["a"] => [{"expected":"number","code":"invalid_type","path":[1],"message":"Invalid input: expected number, received undefined"}]
{"type":"array","prefixItems":[{"type":"string"},{"type":"number"}]} <- [] => [{"code":"too_small","minimum":2,"origin":"array","path":[],"message":"Too small: expected array to have >2 items"}]
{"type":"array","prefixItems":[{"type":"string"},{"type":"number"}]} <- ["a",1,1] => [{"code":"too_big","maximum":2,"inclusive":true,"origin":"array","path":[],"message":"Too big: expected array to have <=2 items"}]
{"type":"array","prefixItems":[{"type":"string"},{}],"items":{"type":"number"}} <- ["a"] => OK ["a",null]
{"type":"array","prefixItems":[{"type":"string"},{}],"items":{"type":"number"}} <- ["a",null,1] => OK ["a",null,1]
{"type":"array","prefixItems":[{"type":"string"},{}],"items":{"type":"number"}} <- ["a",1,"x"] => [{"expected":"number","code":"invalid_type","path":[2],"message":"Invalid input: expected number, received string"}]
{"type":"integer","minimum":1,"maximum":10} <- 5 => OK 5
{"type":"integer","minimum":1,"maximum":10} <- 0 => [{"origin":"number","code":"too_small","minimum":1,"inclusive":true,"path":[],"message":"Too small: expected number to be >=1"}]
{"type":"integer","minimum":1,"maximum":10} <- 11 => [{"origin":"number","code":"too_big","maximum":10,"inclusive":true,"path":[],"message":"Too big: expected number to be <=10"}]
{"type":"integer","minimum":1,"maximum":10} <- 1.5 => [{"expected":"int","format":"safeint","code":"invalid_type","path":[],"message":"Invalid input: expected int, received number"}]
{"type":"integer","minimum":1,"maximum":10} <- "5" => [{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received string"}]
{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991} <- 9007199254740992 => [{"code":"too_big","maximum":9007199254740991,"note":"Integers must be within the safe integer range.","origin":"int","inclusive":true,"path":[],"message":"Too big: expected int to be <=9007199254740991"}]
{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991} <- -1 => OK -1
{"type":"number","exclusiveMinimum":0,"multipleOf":2} <- -1 => [{"origin":"number","code":"too_small","minimum":0,"inclusive":false,"path":[],"message":"Too small: expected number to be >0"},{"origin":"number","code":"not_multiple_of","divisor":2,"path":[],"message":"Invalid number: must be a multiple of 2"}]
{"type":"number","exclusiveMinimum":0,"multipleOf":2} <- 3 => [{"origin":"number","code":"not_multiple_of","divisor":2,"path":[],"message":"Invalid number: must be a multiple of 2"}]
{"type":"string","minLength":2,"maxLength":3,"pattern":"^..$"} <- "😀" => OK "😀"
{"type":"string","minLength":2,"maxLength":3,"pattern":"^..$"} <- "a😀" => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^..$/","path":[],"message":"Invalid string: must match pattern /^..$/"}]
{"type":"string","minLength":2,"maxLength":3,"pattern":"^..$"} <- "a" => [{"origin":"string","code":"too_small","minimum":2,"inclusive":true,"path":[],"message":"Too small: expected string to have >=2 characters"},{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^..$/","path":[],"message":"Invalid string: must match pattern /^..$/"}]
{"type":"string","minLength":2,"maxLength":4,"pattern":"^a"} <- "b" => [{"origin":"string","code":"too_small","minimum":2,"inclusive":true,"path":[],"message":"Too small: expected string to have >=2 characters"},{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^a/","path":[],"message":"Invalid string: must match pattern /^a/"}]
{"type":"string","minLength":2,"maxLength":4,"pattern":"^a"} <- "abcde" => [{"origin":"string","code":"too_big","maximum":4,"inclusive":true,"path":[],"message":"Too big: expected string to have <=4 characters"}]
{"type":"string","minLength":2,"maxLength":4,"pattern":"^a"} <- "ab" => OK "ab"
{"type":"string","minLength":3,"maxLength":3} <- "ab" => [{"origin":"string","code":"too_small","minimum":3,"inclusive":true,"exact":true,"path":[],"message":"Too small: expected string to have >=3 characters"}]
{"type":"string","allOf":[{"pattern":"^a"},{"pattern":"b$"}]} <- "c" => [{"origin":"string","code":"invalid_format","format":"regex","pattern":"/^a/","path":[],"message":"Invalid string: must match pattern /^a/"},{"origin":"string","code":"invalid_format","format":"regex","pattern":"/b$/","path":[],"message":"Invalid string: must match pattern /b$/"}]
{"type":"string","allOf":[{"pattern":"^a"},{"pattern":"b$"}]} <- "ab" => OK "ab"
{"type":"string","format":"email","pattern":"^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$"} <- "a@b.co" => OK "a@b.co"
{"type":"string","format":"email","pattern":"^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$"} <- "nobody" => [{"origin":"string","code":"invalid_format","format":"email","pattern":"/^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$/","path":[],"message":"Invalid email address"}]
{"type":"string","format":"email","pattern":"^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$"} <- "a..b@c.de" => [{"origin":"string","code":"invalid_format","format":"email","pattern":"/^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$/","path":[],"message":"Invalid email address"}]
{"type":"string","format":"cidrv6","pattern":"^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|::|([0-9a-fA-F]{1,4})?::([0-9a-fA-F]{1,4}:?){0,6})\\/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$"} <- "1:2::/64" => OK "1:2::/64"
{"type":"string","format":"cidrv6","pattern":"^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|::|([0-9a-fA-F]{1,4})?::([0-9a-fA-F]{1,4}:?){0,6})\\/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$"} <- "::/0" => OK "::/0"
{"type":"string","format":"cidrv6","pattern":"^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|::|([0-9a-fA-F]{1,4})?::([0-9a-fA-F]{1,4}:?){0,6})\\/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$"} <- "::1/129" => [{"code":"invalid_format","format":"cidrv6","path":[],"message":"Invalid IPv6 range"}]
{"type":"string","format":"cidrv6","pattern":"^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|::|([0-9a-fA-F]{1,4})?::([0-9a-fA-F]{1,4}:?){0,6})\\/(12[0-8]|1[01][0-9]|[1-9]?[0-9])$"} <- "::1" => [{"code":"invalid_format","format":"cidrv6","path":[],"message":"Invalid IPv6 range"}]
{"type":"string","format":"base64","contentEncoding":"base64","pattern":"^$|^(?:[0-9a-zA-Z+/]{4})*(?:(?:[0-9a-zA-Z+/]{2}==)|(?:[0-9a-zA-Z+/]{3}=))?$"} <- "AA==" => OK "AA=="
{"type":"string","format":"base64","contentEncoding":"base64","pattern":"^$|^(?:[0-9a-zA-Z+/]{4})*(?:(?:[0-9a-zA-Z+/]{2}==)|(?:[0-9a-zA-Z+/]{3}=))?$"} <- "AAA " => OK "AAA "
{"type":"string","format":"base64","contentEncoding":"base64","pattern":"^$|^(?:[0-9a-zA-Z+/]{4})*(?:(?:[0-9a-zA-Z+/]{2}==)|(?:[0-9a-zA-Z+/]{3}=))?$"} <- "AAA" => [{"code":"invalid_format","format":"base64","path":[],"message":"Invalid base64-encoded string"}]
{"type":"string","format":"base64url","contentEncoding":"base64url","pattern":"^[A-Za-z0-9_-]*$"} <- "AAA" => OK "AAA"
{"type":"string","format":"base64url","contentEncoding":"base64url","pattern":"^[A-Za-z0-9_-]*$"} <- "A" => [{"code":"invalid_format","format":"base64url","path":[],"message":"Invalid base64url-encoded string"}]
{"type":"string","format":"hex","pattern":"^[0-9a-fA-F]*$"} <- "fF" => OK "fF"
{"type":"string","format":"hex","pattern":"^[0-9a-fA-F]*$"} <- "x" => [{"code":"invalid_format","format":"hex","path":[],"message":"Invalid hex"}]
{"type":"string","format":"ulid","pattern":"^[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26}$"} <- "x" => [{"origin":"string","code":"invalid_format","format":"ulid","pattern":"/^[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26}$/","path":[],"message":"Invalid ULID"}]
{"type":"string","format":"cuid","pattern":"^[cC][^\\s-]{8,}$"} <- "x" => [{"origin":"string","code":"invalid_format","format":"cuid","pattern":"/^[cC][^\\s-]{8,}$/","path":[],"message":"Invalid cuid"}]
{"type":"string","format":"uuid","pattern":"^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$"} <- "x" => [{"origin":"string","code":"invalid_format","format":"guid","pattern":"/^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$/","path":[],"message":"Invalid GUID"}]
{"type":"string","format":"uri"} <- "x" => [{"code":"invalid_format","format":"url","path":[],"message":"Invalid URL"}]
{"type":"string","format":"ipv6","pattern":"^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2}|([0-9a-fA-F]{1,4}:){1,4}(:[0-9a-fA-F]{1,4}){1,3}|([0-9a-fA-F]{1,4}:){1,3}(:[0-9a-fA-F]{1,4}){1,4}|([0-9a-fA-F]{1,4}:){1,2}(:[0-9a-fA-F]{1,4}){1,5}|[0-9a-fA-F]{1,4}:((:[0-9a-fA-F]{1,4}){1,6})|:((:[0-9a-fA-F]{1,4}){1,7}|:))$"} <- "::1" => OK "::1"
{"type":"string","format":"ipv6","pattern":"^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2}|([0-9a-fA-F]{1,4}:){1,4}(:[0-9a-fA-F]{1,4}){1,3}|([0-9a-fA-F]{1,4}:){1,3}(:[0-9a-fA-F]{1,4}){1,4}|([0-9a-fA-F]{1,4}:){1,2}(:[0-9a-fA-F]{1,4}){1,5}|[0-9a-fA-F]{1,4}:((:[0-9a-fA-F]{1,4}){1,6})|:((:[0-9a-fA-F]{1,4}){1,7}|:))$"} <- "x" => [{"code":"invalid_format","format":"ipv6","path":[],"message":"Invalid IPv6 address"}]
{"type":"string","format":"ipv4","pattern":"^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])$"} <- "1.2.3.4" => OK "1.2.3.4"
{"type":"string","format":"ipv4","pattern":"^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])$"} <- "256.1.1.1" => [{"origin":"string","code":"invalid_format","format":"ipv4","pattern":"/^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])$/","path":[],"message":"Invalid IPv4 address"}]
{"type":"string","format":"hostname","pattern":"^(?=.{1,253}\\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\\.?$"} <- "a b" => [{"code":"invalid_format","format":"hostname","path":[],"message":"Invalid hostname"}]
{"type":"string","format":"date","pattern":"^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))$"} <- "2024-02-29" => OK "2024-02-29"
{"type":"string","format":"date","pattern":"^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))$"} <- "2023-02-29" => [{"origin":"string","code":"invalid_format","format":"date","pattern":"/^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))$/","path":[],"message":"Invalid ISO date"}]
{"type":"string","pattern":"^(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?$"} <- "10:00" => OK "10:00"
{"type":"string","pattern":"^(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?$"} <- "24:00" => [{"origin":"string","code":"invalid_format","format":"time","pattern":"/^(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?$/","path":[],"message":"Invalid ISO time"}]
{"type":"string","format":"date-time","pattern":"^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))T(?:(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?(?:Z))$"} <- "2024-01-01T00:00:00Z" => OK "2024-01-01T00:00:00Z"
{"type":"string","format":"date-time","pattern":"^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))T(?:(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?(?:Z))$"} <- "2024-01-01T00:00Z" => OK "2024-01-01T00:00Z"
{"type":"string","format":"date-time","pattern":"^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))T(?:(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?(?:Z))$"} <- "2024-01-01" => [{"origin":"string","code":"invalid_format","format":"datetime","pattern":"/^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))T(?:(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?(?:Z))$/","path":[],"message":"Invalid ISO datetime"}]
{"type":"string","format":"date-time","pattern":"^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))T(?:(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?(?:Z|))$"} <- "2024-01-01T00:00" => OK "2024-01-01T00:00"
{"type":"string","format":"duration","pattern":"^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$"} <- "P1D" => OK "P1D"
{"type":"string","format":"duration","pattern":"^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$"} <- "1 day" => [{"origin":"string","code":"invalid_format","format":"duration","pattern":"/^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$/","path":[],"message":"Invalid ISO duration"}]
{"type":"string","format":"nanoid","pattern":"^[a-zA-Z0-9_-]{21}$"} <- "x" => [{"origin":"string","code":"invalid_format","format":"nanoid","pattern":"/^[a-zA-Z0-9_-]{21}$/","path":[],"message":"Invalid nanoid"}]
{"type":"string","enum":["a","b"]} <- "c" => [{"code":"invalid_value","values":["a","b"],"path":[],"message":"Invalid option: expected one of \"a\"|\"b\""}]
{"type":"string","const":"a"} <- "b" => [{"code":"invalid_value","values":["a"],"path":[],"message":"Invalid input: expected \"a\""}]
{"type":"number","enum":[1,2]} <- 3 => [{"code":"invalid_value","values":[1,2],"path":[],"message":"Invalid option: expected one of 1|2"}]
{"type":"number","enum":[1,2]} <- true => [{"code":"invalid_value","values":[1,2],"path":[],"message":"Invalid option: expected one of 1|2"}]
{"anyOf":[{"type":"string"},{"type":"null"}]} <- 5 => [{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received number"}]
{"anyOf":[{"type":"string"},{"type":"null"}]} <- null => OK null
{"type":"object","properties":{"a":{"anyOf":[{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false},{"type":"null"}]}},"required":["a"],"additionalProperties":false} <- {"a":{}} => [{"expected":"string","code":"invalid_type","path":["a","b"],"message":"Invalid input: expected string, received undefined"}]
{"type":"object","properties":{"a":{"anyOf":[{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false},{"type":"null"}]}},"required":["a"],"additionalProperties":false} <- {"a":null} => OK {"a":null}
{"anyOf":[{"type":"string"},{"type":"number"}]} <- true => [{"code":"invalid_union","errors":[[{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received boolean"}],[{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received boolean"}]],"path":[],"message":"Invalid input"}]
{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false},{"type":"array","items":{"type":"number"}}]} <- {"a":"x","b":1} => OK {"a":"x"}
{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false},{"type":"array","items":{"type":"number"}}]} <- ["x"] => [{"code":"invalid_union","errors":[[{"expected":"object","code":"invalid_type","path":[],"message":"Invalid input: expected object, received array"}],[{"expected":"number","code":"invalid_type","path":[0],"message":"Invalid input: expected number, received string"}]],"path":[],"message":"Invalid input"}]
{"oneOf":[{"type":"object","properties":{"kind":{"anyOf":[{"type":"string","const":"a"},{"type":"string","const":"b"}]}},"required":["kind"],"additionalProperties":false},{"type":"object","properties":{"kind":{"type":"null","const":null}},"required":["kind"],"additionalProperties":false}]} <- {"kind":"b"} => OK {"kind":"b"}
{"oneOf":[{"type":"object","properties":{"kind":{"anyOf":[{"type":"string","const":"a"},{"type":"string","const":"b"}]}},"required":["kind"],"additionalProperties":false},{"type":"object","properties":{"kind":{"type":"null","const":null}},"required":["kind"],"additionalProperties":false}]} <- {"kind":1} => [{"code":"invalid_union","errors":[],"note":"No matching discriminator","discriminator":"kind","path":["kind"],"message":"Invalid input"}]
{"oneOf":[{"type":"object","properties":{"kind":{"type":"string","const":"a"},"x":{"type":"string"}},"required":["kind","x"],"additionalProperties":false},{"type":"object","properties":{"kind":{"type":"string","const":"b"}},"required":["kind"],"additionalProperties":false}]} <- {"kind":"c"} => [{"code":"invalid_union","errors":[],"note":"No matching discriminator","discriminator":"kind","path":["kind"],"message":"Invalid input"}]
{"oneOf":[{"type":"object","properties":{"kind":{"type":"string","const":"a"},"x":{"type":"string"}},"required":["kind","x"],"additionalProperties":false},{"type":"object","properties":{"kind":{"type":"string","const":"b"}},"required":["kind"],"additionalProperties":false}]} <- {"kind":"a"} => [{"expected":"string","code":"invalid_type","path":["x"],"message":"Invalid input: expected string, received undefined"}]
{"oneOf":[{"type":"object","properties":{"kind":{"type":"string","const":"a"},"x":{"type":"string"}},"required":["kind","x"],"additionalProperties":false},{"type":"object","properties":{"kind":{"type":"string","const":"b"}},"required":["kind"],"additionalProperties":false}]} <- {"kind":"b","y":1} => OK {"kind":"b"}
{"oneOf":[{"type":"object","properties":{"kind":{"type":"string","const":"a"},"x":{"type":"string"}},"required":["kind","x"],"additionalProperties":false},{"type":"object","properties":{"kind":{"type":"string","const":"b"}},"required":["kind"],"additionalProperties":false}]} <- "a" => [{"code":"invalid_type","expected":"object","path":[],"message":"Invalid input: expected object, received string"}]
{"oneOf":[{"type":"string"},{"type":"number"}]} <- true => [{"code":"invalid_union","errors":[[{"expected":"string","code":"invalid_type","path":[],"message":"Invalid input: expected string, received boolean"}],[{"expected":"number","code":"invalid_type","path":[],"message":"Invalid input: expected number, received boolean"}]],"path":[],"message":"Invalid input"}]
{"oneOf":[{"type":"string"},{"type":"number"}]} <- 1 => OK 1
{"allOf":[{"$ref":"#/$defs/A"},{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false}],"$defs":{"A":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false,"id":"A"}}} <- {} => [{"expected":"string","code":"invalid_type","path":["a"],"message":"Invalid input: expected string, received undefined"},{"expected":"string","code":"invalid_type","path":["b"],"message":"Invalid input: expected string, received undefined"}]
{"allOf":[{"$ref":"#/$defs/A"},{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false}],"$defs":{"A":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false,"id":"A"}}} <- {"a":"","b":"","c":""} => OK {"a":"","b":""}
{"type":"object","properties":{"v":{"type":"number"},"children":{"type":"array","items":{"$ref":"#"}}},"required":["v","children"],"additionalProperties":false} <- {"v":1,"children":[{"v":2,"children":[],"z":1}]} => OK {"v":1,"children":[{"v":2,"children":[]}]}
{"type":"object","properties":{"v":{"type":"number"},"children":{"type":"array","items":{"$ref":"#"}}},"required":["v","children"],"additionalProperties":false} <- {"v":1,"children":[{"v":"x","children":[]},5]} => [{"expected":"number","code":"invalid_type","path":["children",0,"v"],"message":"Invalid input: expected number, received string"},{"expected":"object","code":"invalid_type","path":["children",1],"message":"Invalid input: expected object, received number"}]
{"not":{}} <- 1 => [{"expected":"never","code":"invalid_type","path":[],"message":"Invalid input: expected never, received number"}]
{"type":"null"} <- 0 => [{"expected":"null","code":"invalid_type","path":[],"message":"Invalid input: expected null, received number"}]
{} <- [1] => OK [1]
{"type":"object","properties":{"1":{"type":"string"},"2":{"type":"string"},"b":{"type":"string"}},"required":["1","2","b"],"additionalProperties":false} <- {} => [{"expected":"string","code":"invalid_type","path":["1"],"message":"Invalid input: expected string, received undefined"},{"expected":"string","code":"invalid_type","path":["2"],"message":"Invalid input: expected string, received undefined"},{"expected":"string","code":"invalid_type","path":["b"],"message":"Invalid input: expected string, received undefined"}]
"""  # noqa: E501


def facts(text: str) -> list[Any]:
    """Lines of `schema <- value => OK parsed` or `schema <- value => issues`."""
    table = []
    for line in text.strip().split("\n"):
        schema, rest = line.split(" <- ", 1)
        value, answer = rest.rsplit(" => ", 1)
        table.append(pytest.param(schema, value, answer, id=f"{schema[:60]} <- {value[:40]}"))
    return table


def from_json(text: str) -> Any:
    return zod.UNDEFINED if text == "undefined" else json.loads(text)


def to_json(value: Any) -> str:
    if value is zod.UNDEFINED:
        return "undefined"
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub(r"\b(\d[\d.]*e-)0", r"\1", text)


def answer_of(schema: zod.Schema, value: Any) -> str:
    parsed, issues = schema.safe_parse(value)
    return to_json(issues) if issues else f"OK {to_json(parsed)}"


@pytest.mark.parametrize(("name", "value", "answer"), facts(FACTS))
def test_combinators_validate_as_in_zod(name: str, value: str, answer: str) -> None:
    assert answer_of(SCHEMAS[name], from_json(value)) == answer


@pytest.mark.parametrize(("schema", "value", "answer"), facts(JSON_SCHEMA_FACTS))
def test_a_json_schema_from_zod_validates_like_its_original(schema: str, value: str, answer: str) -> None:
    parser = zod.from_json_schema(json.loads(schema), where="test")
    assert answer_of(parser, from_json(value)) == answer


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string", "format": "email"}, "nobody", "✖ Invalid email address"),
        ({"type": "string", "format": "uuid"}, "1", "✖ Invalid UUID"),
        ({"type": "string", "format": "uri"}, "x", "✖ Invalid URL"),
        ({"type": "string", "format": "url"}, "x", "✖ Invalid URL"),
        ({"type": "string", "format": "date-time"}, "2024-01-01T00:00:00", "✖ Invalid ISO datetime"),
        ({"type": "string", "format": "date-time"}, "2024-01-01T00:00:00+01:00", None),
        ({"type": "string", "format": "time"}, "10:00:00Z", None),
        ({"type": "string", "format": "time"}, "25:00", "✖ Invalid ISO time"),
        ({"type": "string", "format": "no such format"}, "x", None),
        ({"type": ["string", "null"]}, 5, "✖ Invalid input: expected string, received number"),
        ({"type": ["string", "number"]}, True, "✖ Invalid input"),
        (
            {"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 5},
            1,
            "✖ Too small: expected number to be >1",
        ),
        ({"type": "object", "minProperties": 1}, {}, "✖ Too small: expected object to have >=1 properties"),
        (
            {"type": "object", "required": ["a"]},
            {},
            "✖ 'a' is a required property",
        ),
        (
            {"type": "object", "properties": {"a": False}},
            {"a": 1},
            "✖ Invalid input: expected never, received number\n  → at a",
        ),
        ({"properties": {"a": {"type": "string"}}}, 5, None),
        ({"minLength": 3}, "ab", "✖ 'ab' is too short"),
        ({"const": {"a": 1}}, {"a": 2}, "✖ {'a': 1} was expected"),
        ({"oneOf": [{"type": "string"}]}, 5, "✖ Invalid input: expected string, received number"),
        ({"type": "string", "anyOf": [{"not": {"const": "x"}}, {"type": "null"}]}, "y", None),
        (
            {"type": "object", "unevaluatedProperties": False},
            {"a": 1},
            "✖ Unevaluated properties are not allowed ('a' was unexpected)",
        ),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, {}, None),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, {}, "✖ 'b' is a required property"),
        (
            {"type": "object", "propertyNames": {"pattern": "^b"}, "required": ["b"]},
            {"a": 1},
            "✖ 'a' does not match '^b'\n✖ 'b' is a required property",
        ),
        ({"type": "object", "propertyNames": {"enum": ["a", 1]}, "required": ["a"]}, {"a": 1}, None),
        (
            {"type": "object", "propertyNames": {"anyOf": [True, {"const": "b"}]}, "required": ["b"]},
            {"a": 1},
            "✖ 'b' is a required property",
        ),
        ({"type": "object", "additionalProperties": {"type": "null"}, "required": ["a"]}, {"a": None}, None),
        (
            {"type": "object", "additionalProperties": {"type": "null"}, "required": ["a"]},
            {},
            "✖ Invalid input: expected null, received undefined\n  → at a",
        ),
        ({"type": "array", "uniqueItems": True}, [1, 1], "✖ [1, 1] has non-unique elements"),
        ({"type": "array", "contains": {"type": "string"}}, ["x"], None),
        ({"not": {"type": "string"}}, "x", "✖ 'x' should not be valid under {'type': 'string'}"),
        ({"type": "string", "not": {"const": "x"}}, 5, "✖ Invalid input: expected string, received number"),
        (
            {"type": "string", "allOf": [{"not": {"const": "x"}}, True]},
            "x",
            "✖ 'x' should not be valid under {'const': 'x'}",
        ),
        ({"type": "object", "dependentRequired": {"a": ["b"]}}, {"a": 1}, "✖ 'b' is a dependency of 'a'"),
        (
            {"type": "array", "prefixItems": [{"type": "string"}], "minItems": 2},
            ["a"],
            "✖ ['a'] is too short",
        ),
        (
            {"type": "object", "properties": {"ab": {}}, "propertyNames": {"maxLength": 1}},
            {"ab": 1},
            "✖ 'ab' is too long",
        ),
        (
            {"allOf": [{"$ref": "#/$defs/a~1b"}], "$defs": {"a/b": {"type": "null"}}},
            0,
            "✖ Invalid input: expected null, received number",
        ),
    ],
)
def test_a_custom_json_schema_gives_zod_messages_or_else_those_of_jsonschema(
    schema: Any, value: Any, expected: str | None
) -> None:
    _, issues = zod.from_json_schema(schema, where="test").safe_parse(value)
    assert (zod.prettify(issues) or None) == expected


@pytest.mark.parametrize(
    ("schema", "value", "parsed"),
    [
        ({"type": "object", "properties": {"a": {}}}, {"a": 1, "b": 2}, {"a": 1}),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
            {"a": 1, "b": 2},
            {"a": 1},
        ),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
            {"b": 2, "a": 1},
            {"a": 1, "b": 2},
        ),
        ({"type": "object"}, {"a": 1}, {"a": 1}),
        ({"type": "object", "required": ["a"]}, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (
            {"type": "object", "properties": {}, "patternProperties": {"^x": {"type": "number"}}},
            {"x": 1, "y": 2},
            {"x": 1},
        ),
        (
            {"type": "object", "properties": {"a": {}}, "allOf": [{"required": ["a"]}]},
            {"a": 1, "b": 2},
            {"a": 1},
        ),
        (
            {"type": "object", "properties": {"a": {}}, "if": {"required": ["b"]}},
            {"a": 1, "b": 2},
            {"a": 1, "b": 2},
        ),
        ({"type": "object", "properties": {"a": {"default": {"n": 1}}}}, {}, {"a": {"n": 1}}),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/d"}}, "$defs": {"d": {"default": 1}}},
            {},
            {"a": 1},
        ),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, {}, {}),
        ({"oneOf": [{"type": "object", "properties": {"a": {}}, "required": ["a"]}]}, {"a": 1}, {"a": 1}),
        ({"oneOf": [{"type": "object", "properties": {"a": {}}}]}, {"b": 1}, {}),
        ({"type": "integer"}, 5.0, 5),
        (
            {"type": "object", "propertyNames": {"$ref": "#/$defs/k"}, "$defs": {"k": {"maxLength": 1}}},
            {"a": 1},
            {"a": 1},
        ),
        (
            {"allOf": [{"type": "array", "items": {"type": "object"}}, {"type": "array"}]},
            [{"a": 1}],
            [{"a": 1}],
        ),
        ({"type": "array", "prefixItems": [{"type": "string"}], "minItems": 0}, [], []),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, [], []),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": True}, ["a", 1], ["a", 1]),
    ],
)
def test_an_object_keeps_fills_in_and_strips_keys_as_its_json_schema_says(
    schema: Any, value: Any, parsed: Any
) -> None:
    assert to_json(zod.from_json_schema(schema, where="test").parse(value)) == to_json(parsed)


def test_custom_keywords_are_ignored() -> None:
    own = {
        "x-order": 1,
        "ui:widget": "text",
        "enumNames": ["a"],
        "errorMessage": "no",
        "markdownDescription": "",
    }
    assert zod.from_json_schema({"type": "string", **own}, where="test").parse("a") == "a"


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"propertis": {}}, """$.propertis: there is no such keyword; did you mean "properties"?"""),
        (
            {"type": "object", "properties": {"a": {"type": "object", "require": ["b"]}}},
            """$.properties.a.require: there is no such keyword; did you mean "required"?""",
        ),
        (
            {"anyOf": [{"minlength": 1}]},
            """$.anyOf[0].minlength: there is no such keyword; did you mean "minLength"?""",
        ),
        ({"type": "strng"}, """$.type: 'strng' is not a type; did you mean "string"?"""),
        (
            {"properties": {"a": {"type": str}}},
            """$.properties.a.type: 'str' is not a type; did you mean "string"?""",
        ),
        (
            {"items": {"type": ["null", "list"]}},
            """$.items.type: 'list' is not a type; did you mean "array"?""",
        ),
        ({"type": ["null", "null"]}, "$.type: ['null', 'null'] is not valid under any of the given schemas"),
        (
            {"type": "any"},
            "$.type: 'any' is not a type; "
            "the types are array, boolean, integer, null, number, object, string",
        ),
        ({"properties": {"type": 5}}, "$.properties.type: 5 is not of type 'object', 'boolean'"),
        ({"anyOf": [{"minimum": "1"}]}, "$.anyOf[0].minimum: '1' is not of type 'number'"),
        (
            {"type": "string", "pattern": "(?P<x>a)"},
            "$.pattern: '(?P<x>a)' is not a regular expression of JavaScript: invalid group",
        ),
        (
            {"$ref": "#/$defs/Usr", "$defs": {"User": {}}},
            """$.$ref: #/$defs/Usr refers to nothing; did you mean "User"?""",
        ),
        (
            {"$ref": "#/x", "x": {"type": "strng"}},
            """$.x.type: 'strng' is not a type; did you mean "string"?""",
        ),
        (
            {"$ref": "https://example.com/s"},
            "$.$ref: https://example.com/s is in another document; only #/… is supported",
        ),
        ({"anyOf": [{"$ref": "#"}]}, "$.anyOf[0].$ref: # refers to itself"),
        ([], "a JSON Schema must be an object, not list"),
    ],
)
def test_an_invalid_json_schema_is_refused_with_the_place_and_a_hint(schema: Any, problem: str) -> None:
    with pytest.raises(zod.SchemaError) as caught:
        zod.from_json_schema(schema, where='workflow "sum"')
    assert str(caught.value).startswith('workflow "sum": ')
    assert str(caught.value).endswith(problem)


def custom(*path: str | int, message: str = "m") -> zod.Issue:
    return {"code": "custom", "path": list(path), "message": message}


@pytest.mark.parametrize(
    ("issues", "text"),
    [
        ([], ""),
        (
            [
                custom("a", "b", 0, "c", message="deep"),
                custom(message="root"),
                custom("z", message="two\nlines"),
            ],
            "✖ root\n✖ two\nlines\n  → at z\n✖ deep\n  → at a.b[0].c",
        ),
        ([custom("", message=""), custom("a", "")], "✖ \n  → at \n✖ m\n  → at a."),
        ([custom("", "a")], "✖ m\n  → at .a"),
        ([custom(0, "a", 1, 2)], "✖ m\n  → at [0].a[1][2]"),
        ([custom("a b", "c-d", "é", "_x", "$", "1", "a.b")], '✖ m\n  → at ["a b"]["c-d"]["é"]._x.$.1["a.b"]'),
        ([custom('"\n\u2028\ud800')], '✖ m\n  → at ["\\"\\n\u2028\\ud800"]'),
    ],
)
def test_prettify_formats_and_sorts_paths_as_in_zod(issues: list[zod.Issue], text: str) -> None:
    assert zod.prettify(issues) == text


def test_an_error_has_its_issues_and_their_text() -> None:
    with pytest.raises(zod.ZodError, match="expected string, received undefined\n  → at a") as caught:
        SCHEMAS["object"].parse({})
    assert [issue["path"] for issue in caught.value.issues] == [["a"]]


def test_a_default_is_never_shared_between_two_values() -> None:
    SCHEMAS["defaults"].parse({})["b"].append("more")
    assert SCHEMAS["defaults"].parse({})["b"] == ["q"]


def test_adding_a_check_does_not_change_the_original_schema() -> None:
    name = zod.string()
    name.min(3)
    assert name.parse("") == ""


def test_common_schemas_do_not_need_jsonschema() -> None:
    code = "import sys, output_mock.zod, output_mock.scripts.demo; sys.exit('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": 5},
        {"type": ["string", "text"]},
        {"type": []},
        {"title": 1},
        {"description": None},
        {"minLength": -1},
        {"minLength": True},
        {"maxItems": 1.5},
        {"maxLength": "5"},
        {"properties": []},
        {"properties": {"a": 1}},
        {"items": []},
        {"items": None},
        {"additionalProperties": "no"},
        {"required": "a"},
        {"required": [1]},
        {"required": ["a", "a"]},
        {"enum": "a"},
        {"enum": {}},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("key", [None, "a"])
def test_a_misused_keyword_is_refused_at_any_depth(wrong: Any, key: str | None) -> None:
    schema = wrong if key is None else {"items": {"properties": {"b": True, key: wrong}}}
    with pytest.raises(zod.SchemaError):
        zod.from_json_schema(schema, where="it")


@pytest.mark.parametrize(
    ("source", "matching", "other"),
    [
        ("^a$", "a", "a\n"),
        ("^.$", "x", "\r"),
        (r"^\s$", "\ufeff", "\x1c"),
        (r"^\S$", "\x1c", "\u00a0"),
        (r"^[\s]$", "\u2003", "x"),
        (r"^\d$", "5", "٥"),
        (r"\bé", "aé", "é"),
        ("^[^]$", "\n", "ab"),
        ("^a{,2}$", "a{,2}", "aa"),
        (r"^\u0041\x42\cJ\0$", "AB\n\0", "AB"),
        (r"^(?<x>a)\k<x>$", "aa", "ab"),
        ("^[a&&b]$", "&", "&&"),
        ("^[+--]$", ",", "a"),
        (r"^[\d-x]$", "-", "y"),
        ("^[[]$", "[", "]"),
        (r"^\Z$", "Z", ""),
        ("(?<=a)b(?!c)", "ab", "abc"),
        ("^..$", "😀", "a😀"),
        ("^[😀]$", "\ud83d", "😀"),
        (r"\ud83d\ude00", "a😀", "\ud83d"),
        ("^😀?$", "\ud83d", ""),
        ("^[^a]{2}$", "😀", "é"),
    ],
)
def test_a_regular_expression_matches_as_in_javascript(source: str, matching: str, other: str) -> None:
    matches, _ = regex(source)
    assert matches(matching)
    assert not matches(other)


@pytest.mark.parametrize(
    ("source", "flags", "text", "quoted"),
    [
        ("a/b[/]", "", "a/b/", r"/a\/b[/]/"),
        ("", "", "", "/(?:)/"),
        ("\n", "", "\n", r"/\n/"),
        ("^b.$", "ms", "a\rb\n", "/^b.$/ms"),
        ("^$", "m", "a\n", "/^$/m"),
        ("[😀/]", "", "😀", "/[😀/]/"),
    ],
)
def test_a_regular_expression_is_quoted_as_in_javascript(
    source: str, flags: str, text: str, quoted: str
) -> None:
    matches, shown = regex(source, flags)
    assert shown == quoted
    assert matches(text)


def test_an_empty_class_matches_nothing() -> None:
    assert not regex("[]")[0]("a")


@pytest.mark.parametrize("source", ["a++", "(?i)a", "(?>a)", "[b-a]", r"\p{L}", "\\", "("])
def test_a_regular_expression_must_be_valid_in_python_and_javascript(source: str) -> None:
    with pytest.raises(re.error):
        regex(source)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e21, "1e+21"),
        (10**21, "1e+21"),
        (123456789012345680000, "123456789012345680000"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (0.0001234, "0.0001234"),
        (5.0, "5"),
        (-0.0, "0"),
        (2.0**60, "1152921504606847000"),
        (2**60, "1152921504606847000"),
    ],
)
def test_a_number_is_formatted_as_in_javascript(number: float, text: str) -> None:
    assert number_text(number) == text


@pytest.mark.parametrize("host", ["a:80", "u:p@h", "[::1]", "%41", "é.com"])
def test_a_url_may_have_any_host_that_browsers_accept(host: str) -> None:
    assert zod.url().parse(f"http://{host}/x?y#z") == f"http://{host}/x?y#z"


def test_a_number_too_large_for_a_double_is_infinite() -> None:
    _, issues = zod.number().safe_parse(10**400)
    assert issues[0]["received"] == "Infinity"
    assert zod.number(coerce=True).safe_parse("0x" + "f" * 300)[1] == issues


def test_undefined_is_a_falsy_singleton_even_when_copied() -> None:
    assert copy.deepcopy(zod.UNDEFINED) is zod.UNDEFINED
    assert pickle.loads(pickle.dumps(zod.UNDEFINED)) is zod.UNDEFINED
    assert not zod.UNDEFINED
    assert repr(zod.UNDEFINED) == "UNDEFINED"


# JSON Schema counts characters, zod UTF-16 code units. These characters count as one in both.
texts = partial(st.text, st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-(2**40), 2**40) | texts(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(max_size=3), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["a", "b", "c d", "n1", "10"])


@st.composite
def schemas_with_values(draw: st.DrawFn, depth: int = 2) -> tuple[dict[str, Any], Any]:
    """A JSON Schema whose objects keep no unknown keys, and a value that fits it."""
    kind = draw(st.sampled_from(["string", "integer", "boolean", "enum", "array", "object"][: 4 + depth]))
    if kind == "string":
        low = draw(st.integers(0, 2))
        return {"type": "string", "minLength": low, "maxLength": 6}, draw(texts(min_size=low, max_size=6))
    if kind == "integer":
        return {"type": "integer", "minimum": -9, "multipleOf": 3}, 3 * draw(st.integers(-3, 99))
    if kind == "boolean":
        return {"type": ["boolean", "null"]}, draw(st.none() | st.booleans())
    if kind == "enum":
        return {"enum": ["x", 1, None]}, draw(st.sampled_from(["x", 1, None]))
    if kind == "array":
        item, value = draw(schemas_with_values(depth - 1))
        return {"type": "array", "items": item}, [value] * draw(st.integers(0, 2))
    fields = draw(st.dictionaries(names, schemas_with_values(depth - 1), max_size=3))
    required = [name for name in fields if draw(st.booleans())]
    properties = {name: schema for name, (schema, _) in fields.items()}
    value = {name: value for name, (_, value) in fields.items() if name in required or draw(st.booleans())}
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return schema, value


def damaged(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict):
        more = draw(st.dictionaries(names, json_values, max_size=2))
        return {**{key: damaged(draw, item) for key, item in value.items()}, **more}
    if isinstance(value, list):
        return [damaged(draw, item) for item in value]
    return draw(json_values) if draw(st.booleans()) else value


@st.composite
def schemas_with_any_values(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    schema, value = draw(schemas_with_values())
    return schema, damaged(draw, value)


@given(schemas_with_values())
def test_a_valid_value_is_returned_unchanged(case: tuple[dict[str, Any], Any]) -> None:
    schema, value = case
    assert zod.from_json_schema(schema, where="test").parse(value) == value


@given(schemas_with_any_values())
def test_parsing_is_idempotent(case: tuple[dict[str, Any], Any]) -> None:
    schema, value = case
    parser = zod.from_json_schema(schema, where="test")
    parsed, issues = parser.safe_parse(value)
    if not issues:
        assert parser.parse(parsed) == parsed


def without_unknown(schema: dict[str, Any], value: Any) -> Any:
    if "properties" in schema and isinstance(value, dict):
        fields = schema["properties"]
        return {key: without_unknown(fields[key], item) for key, item in value.items() if key in fields}
    if "items" in schema and isinstance(value, list):
        return [without_unknown(schema["items"], item) for item in value]
    return value


@given(schemas_with_any_values())
def test_only_unknown_keys_are_stripped(case: tuple[dict[str, Any], Any]) -> None:
    schema, value = case
    parsed, issues = zod.from_json_schema(schema, where="test").safe_parse(value)
    if not issues:
        assert parsed == without_unknown(schema, value)


@given(schemas_with_any_values())
def test_a_schema_accepts_what_jsonschema_accepts_apart_from_unknown_keys(
    case: tuple[dict[str, Any], Any],
) -> None:
    schema, value = case
    _, issues = zod.from_json_schema(schema, where="test").safe_parse(value)
    is_valid = jsonschema.Draft202012Validator(schema).is_valid(without_unknown(schema, value))
    assert (not issues) == is_valid


@given(schemas_with_any_values())
def test_every_issue_is_one_line_and_has_a_path_in_the_value(
    case: tuple[dict[str, Any], Any],
) -> None:
    schema, value = case
    _, issues = zod.from_json_schema(schema, where="test").safe_parse(value)
    lines = zod.prettify(issues).split("\n") if issues else []
    assert sum(line.startswith("✖ ") for line in lines) == len(issues)
    for issue in issues:
        place = value
        for key in issue["path"]:
            place = place.get(key, {}) if isinstance(place, dict) else place[key]


@given(json_values)
def test_the_any_schema_accepts_every_json_value_unchanged(value: Any) -> None:
    assert zod.from_json_schema({}, where="test").parse(value) is value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_formatting_and_parsing_a_number_returns_it(number: float) -> None:
    assert float(zod.number(coerce=True).parse(number_text(number))) == number


def test_a_large_number_matches_a_schema_that_writes_it_differently() -> None:
    """The double has fewer digits than Python writes. In JavaScript both are the same number."""
    number = 3.099350534467731e16
    schema = {"const": number, "minimum": number, "maximum": int(number)}
    given = parse("30993505344677312")
    assert zod.from_json_schema(schema, where="test").parse(given) == given
