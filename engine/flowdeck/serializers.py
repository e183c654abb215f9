"""Ways to turn a result into bytes and back: ``pickle``, ``json``, both compressed, and those that
users register under a name of their own."""

from __future__ import annotations

import difflib
import json
import pickle
import re
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar, overload

from flowdeck.exceptions import ConfigurationError, UnserialisableResult
from flowdeck.values.previews import safe_repr
from flowdeck.values.statics import is_a, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Those whose decoding executes nothing, whoever made the bytes.
HARMLESS: Final = frozenset({"json", "compressed/json"})
_ATOMS: Final = frozenset({int, str, float, bool, bytes, type(None)})
#: Parts of a value that are tried when one that cannot be serialised is looked for.
_MAX_TRIES: Final = 500
_MAX_DEPTH: Final = 6
#: Bytes that a compressed value from elsewhere may unpack to: more is an attack on our memory.
_MOST_UNPACKED: Final = 256 << 20
#: What the first line of a kept value takes, see :mod:`flowdeck_store.file.kept`.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._/-]{0,39}")


class Serializer(NamedTuple):
    """A named pair of functions; :func:`serializer` gives them by name."""

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    def dumps(self, value: Any) -> bytes:
        """Return the value as bytes.

        Raises:
            UnserialisableResult: it cannot be; the message says which part of it.
        """
        try:
            data = self.encode(value)
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise TypeError(f"its dumps returned {type_name(data)} instead of bytes")
            return bytes(data)
        except Exception as error:
            part = unencodable_part(value, self.encode)
            where = f" (its part {part})" if part else ""
            raise UnserialisableResult(
                f"The result, a {type_name(value)}, cannot be serialised with {self.name!r}"
                f"{where}: {type_name(error)}: {error}. Return something that can be, choose "
                "another result_serializer, or do not keep it (persist_result=False)."
            ) from error

    def loads(self, data: bytes) -> Any:
        """Return the value that :meth:`dumps` made the bytes from; raises what decoding raises."""
        return self.decode(data)

    def loads_foreign(self, data: bytes) -> Any:
        """Return the value of bytes that a stranger may have made.

        Raises:
            ValueError: decoding them could execute code, or they unpack to more than 256 MB; and
                what decoding raises.
        """
        if self.name not in HARMLESS:
            raise ValueError(f"{self.name} may execute code")
        if self.decode is json.loads:
            return json.loads(data)
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(data, _MOST_UNPACKED)
        if unpacking.unconsumed_tail or not unpacking.eof:
            raise ValueError(f"it is cut off, or unpacks to more than {_MOST_UNPACKED >> 20} MB")
        return json.loads(text)


class SerializerLike(Protocol):
    """What :func:`register_serializer` takes: its ``type`` is the name."""

    type: str

    def dumps(self, value: Any, /) -> bytes: ...
    def loads(self, data: bytes, /) -> Any: ...


L = TypeVar("L", bound=SerializerLike)


@overload
def register_serializer(
    name: str, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]
) -> None: ...
@overload
def register_serializer(name: type[L]) -> type[L]: ...
@overload
def register_serializer(name: L) -> L: ...
def register_serializer(name: Any, dumps: Any = None, loads: Any = None) -> Any:
    """Give a serializer of yours a name, for ``result_serializer``. Registered again under the same
    name, the new one counts.

    The name stands in front of each kept value, so a process that reads one has to register it, too.

    Args:
        name: 1 to 40 lower-case letters, digits and ``. _ - /``; or an object (or a class, made
            without arguments) that has it as ``type``, and the functions: this can be a decorator.
        dumps: makes bytes of a value; what it raises says that the value cannot be kept.
        loads: makes the value of the bytes.

    Returns:
        What was given, if that was an object or a class.

    Raises:
        TypeError: it has no such functions.
        ValueError: the name cannot be one, or is one of flowdeck's own.
    """
    given = name
    if not isinstance(name, str):
        made = name() if isinstance(name, type) else name
        name, dumps, loads = (getattr(made, each, None) for each in ("type", "dumps", "loads"))
    if not isinstance(name, str) or not callable(dumps) or not callable(loads):
        raise TypeError(
            "register_serializer takes a name and two functions, `register_serializer('arrow', dumps, "
            "loads)`, or an object that has them as type, dumps and loads."
        )
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be the name of a serializer: 1 to 40 lower-case letters, digits and "
            "the characters . _ - / are what it may have, with a letter or digit first."
        )
    if name in NAMES:
        raise ValueError(f"{name!r} is a serializer of flowdeck's own: choose another name.")
    _SERIALIZERS[name] = Serializer(name, dumps, loads)
    return None if isinstance(given, str) else given


def is_registered(name: str) -> bool:
    """Say whether there is a serializer of this name in this process."""
    return name in _SERIALIZERS


def serializer(name: str) -> Serializer:
    """Return the serializer of this name.

    Raises:
        ConfigurationError: there is none; the message lists the names.
    """
    found = _SERIALIZERS.get(name) if isinstance(name, str) else None
    if found is None:
        near = difflib.get_close_matches(str(name), _SERIALIZERS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigurationError(
            f"There is no result serializer {safe_repr(name)}.{hint} Choose one of: "
            f"{', '.join(_SERIALIZERS)}. One of your own is registered before: "
            "flowdeck.serializers.register_serializer(name, dumps, loads)."
        )
    return found


def _pickle(value: Any) -> bytes:
    if type(value) in _ATOMS:
        return pickle.dumps(value, protocol=5)
    # By value what lives in __main__: another process has another __main__.
    import cloudpickle

    data: bytes = cloudpickle.dumps(value, protocol=5)
    return data


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _compressed(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    return lambda value: zlib.compress(encode(value), 6)


def _decompressed_pickle(data: bytes) -> Any:
    return pickle.loads(zlib.decompress(data))


def _decompressed_json(data: bytes) -> Any:
    return json.loads(zlib.decompress(data))


_SERIALIZERS: Final[dict[str, Serializer]] = {
    each.name: each
    for each in (
        Serializer("pickle", _pickle, pickle.loads),
        Serializer("json", _json, json.loads),
        Serializer("compressed/pickle", _compressed(_pickle), _decompressed_pickle),
        Serializer("compressed/json", _compressed(_json), _decompressed_json),
    )
}
#: The names of flowdeck's own.
NAMES: Final = tuple(_SERIALIZERS)


def unencodable_part(value: Any, encode: Callable[[Any], bytes]) -> str:
    """Return the path of the innermost part that cannot be encoded, ``""`` if it is the whole."""
    path, tries = "", 0
    for _ in range(_MAX_DEPTH):
        for step, part in _parts(value):
            tries += 1
            if tries > _MAX_TRIES:
                return path
            if type(part) not in _ATOMS and not _works(encode, part):
                path, value = path + step, part
                break
        else:
            return path
    return path


def _works(encode: Callable[[Any], bytes], part: Any) -> bool:
    try:
        encode(part)
    except Exception:
        return False
    return True


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if type(value) is dict:
        yield from ((f"[{safe_repr(key, 60)}]", item) for key, item in value.items())
    elif type(value) in {list, tuple}:
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif is_a(getattr(value, "__dict__", None), dict) and not is_a(value, type):
        yield from ((f".{name}", item) for name, item in vars(value).items())
