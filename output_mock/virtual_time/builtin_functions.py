"""Change what functions of `time` and class methods of `datetime` do, and leave the objects in place.

All code that uses `time.sleep` has the same object, whether they wrote `time.sleep`, `from time
import sleep` or `def poll(sleep=time.sleep)`, and whenever they did so. So other modules need no patching:
the object itself is made to call a Python function for a while. In CPython it holds a pointer to its C
function and one to its `self`; both are changed, through ctypes, so that the C function is one of CPython's
own that calls `self`. The object stays the same builtin function, with its name, its module and its place in
pickles.

`datetime.now` and the like are created from the class's dictionary at each access, so an entry of that
dictionary is changed. The class stays the same class.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterable
from types import BuiltinFunctionType, CodeType, ModuleType
from typing import Any

_HEAD = object.__basicsize__
# How a function takes its arguments, as CPython has it (METH_VARARGS and so on).
_TUPLE, _NONE, _ONE, _FAST_WITH_NAMES = 0x1, 0x4, 0x8, 0x82
_CONVENTION = 0x8F
# In Python 3.10, this holds for Python functions only.
_VECTORCALL = "PyObject_Vectorcall" if sys.version_info >= (3, 11) else "_PyFunction_Vectorcall"


class _MethodDef(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_void_p),
    )


class _Function(ctypes.Structure):
    """The beginning of a `PyCFunctionObject`."""

    _fields_ = (
        ("head", ctypes.c_byte * _HEAD),
        ("definition", ctypes.c_void_p),
        ("self", ctypes.c_void_p),
    )


def unsupported() -> str | None:
    """Why the functions of this Python cannot be changed; None if they can."""
    if sys.implementation.name != "cpython":
        return f"virtual time needs CPython, and this is {sys.implementation.name}"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "virtual time needs Python's global interpreter lock, and this is a free-threaded build"
    inside = _Function.from_address(id(_SLEEP))
    if inside.self != id(time) or _MethodDef.from_address(inside.definition).name != b"sleep":
        version = sys.version.split()[0]
        return f"virtual time does not support Python {version}: its functions look different in memory"
    return None


_SLEEP = time.sleep


class _Call(ModuleType):
    """The `self` of a function that is changed: calls a Python function.

    A module, so that the builtin function is still pickled by its name.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        super().__init__(name)
        # A function of CPython that takes two arguments, the second of which need not be a tuple.
        self.__dict__["function"] = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __getitem__(self, argument: Any) -> Any:
        return self.function(argument)


CALL_CODE: CodeType = _Call.__call__.__code__


def _address(function: Any) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address


def _caller(flags: int) -> int:
    """The C function with the calling convention of these flags that calls its `self`."""
    api = ctypes.pythonapi
    return {
        _NONE: lambda: _address(api.PyObject_CallObject),
        _TUPLE: lambda: _address(api.PyObject_CallObject),
        _ONE: lambda: _address(api.PyObject_GetItem),
        _FAST_WITH_NAMES: lambda: _address(getattr(api, _VECTORCALL)),
    }[flags & _CONVENTION]()


def original(function: Any) -> Any:
    """A builtin function that does what `function` originally does, even while that one is changed."""
    inside = _Function.from_address(id(function))
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
    return make(inside.definition, function.__self__, function.__module__)


class Changed:
    """A builtin function that calls a Python function, until it is put back."""

    def __init__(self, function: BuiltinFunctionType, instead: Callable[..., Any]) -> None:
        self._function = function
        self._inside = inside = _Function.from_address(id(function))
        self._before = inside.definition, inside.self
        was = _MethodDef.from_address(inside.definition)
        self._call: Any = instead
        if was.flags & _CONVENTION != _FAST_WITH_NAMES:
            self._call = _Call(getattr(function.__self__, "__name__", "time"), instead)
        self._definition = _MethodDef(was.name, _caller(was.flags), was.flags & _CONVENTION, was.doc)
        # The function drops this reference, which may be the last one.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._call))
        inside.definition, inside.self = ctypes.addressof(self._definition), id(self._call)

    def put_back(self) -> None:
        """Let the function do again what it did before."""
        self._inside.definition, self._inside.self = self._before
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(self._call))


class ChangedMethod:
    """Replaces a class method of a builtin class, until it is put back."""

    def __init__(self, kind: type, name: str, instead: Callable[..., Any]) -> None:
        self._kind, self._name = kind, name
        # `__dict__` only shows the class's dictionary, which is what it refers to.
        self._names: dict[str, Any] = gc.get_referents(kind.__dict__)[0]
        self._before = self._names.get(name)
        self._set(classmethod(instead))

    def put_back(self) -> None:
        """Give the class its own method back."""
        self._set(self._before)

    def _set(self, method: Any) -> None:
        if method is None:
            del self._names[self._name]
        else:
            self._names[self._name] = method
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(self._kind))


# The references to class methods that were found last, and the modules that there were then.
_taken: list[BuiltinFunctionType] = []
_searched: dict[str, int] = {}


def taken_methods(kinds: Iterable[type], names: Iterable[str]) -> list[BuiltinFunctionType]:
    """References to class methods that were made before: `field(default_factory=datetime.now)`.

    To find them, all objects of the process are searched, which takes longer than many tests. As modules
    make such references, the search is repeated only when there are new modules.
    """
    global _taken, _searched
    # Another thread may be importing; and anything may be there, also what has no hash or weak references.
    modules = {name: id(module) for name, module in sys.modules.copy().items()}
    if not modules.items() <= _searched.items():
        kinds, names = tuple(kinds), frozenset(names)
        # Frozen objects (`gc.freeze`) are not searched. Freezing again would also freeze objects that live
        # for a short time only.
        gc.unfreeze()
        _taken = [
            one
            for one in gc.get_referrers(*kinds)
            if type(one) is BuiltinFunctionType
            and one.__name__ in names
            and any(one.__self__ is kind for kind in kinds)
        ]
        _searched = modules
    return _taken
