"""Ways to turn a result into bytes and back: ``pickle``, ``json``, and both compressed."""

from __future__ import annotations

import difflib
import json
import pickle
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck.exceptions import ConfigurationError, UnserialisableResult
from flowdeck.statics import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ATOMS: Final = frozenset({int, str, float, bool, bytes, type(None)})
#: Parts of a value that are tried when one that cannot be serialised is looked for.
_MAX_TRIES: Final = 500
_MAX_DEPTH: Final = 6


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
            return self.encode(value)
        except Exception as error:
            part = _culprit(value, self.encode)
            where = f" (its part {part})" if part else ""
            raise UnserialisableResult(
                f"The result, a {type_name(value)}, cannot be serialised with {self.name!r}"
                f"{where}: {type_name(error)}: {error}. Return something that can be, choose "
                "another result_serializer, or do not keep it (persist_result=False)."
            ) from error

    def loads(self, data: bytes) -> Any:
        """Return the value that :meth:`dumps` made the bytes from; raises what decoding raises."""
        return self.decode(data)


def serializer(name: str) -> Serializer:
    """Return the serializer of this name.

    Raises:
        ConfigurationError: there is none; the message lists the names.
    """
    found = _SERIALIZERS.get(name)
    if found is None:
        near = difflib.get_close_matches(str(name), _SERIALIZERS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigurationError(
            f"There is no result serializer {name!r}.{hint} Choose one of: "
            f"{', '.join(_SERIALIZERS)}."
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


def _decompressed(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    return lambda data: decode(zlib.decompress(data))


_SERIALIZERS: Final = {
    each.name: each
    for each in (
        Serializer("pickle", _pickle, pickle.loads),
        Serializer("json", _json, json.loads),
        Serializer("compressed/pickle", _compressed(_pickle), _decompressed(pickle.loads)),
        Serializer("compressed/json", _compressed(_json), _decompressed(json.loads)),
    )
}
#: The names that settings and decorators take.
NAMES: Final = tuple(_SERIALIZERS)


def _culprit(value: Any, encode: Callable[[Any], bytes]) -> str:
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
    from flowdeck.previews import safe_repr

    if type(value) is dict:
        yield from ((f"[{safe_repr(key, 60)}]", item) for key, item in value.items())
    elif type(value) in {list, tuple}:
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(getattr(value, "__dict__", None), dict) and not isinstance(value, type):
        yield from ((f".{name}", item) for name, item in vars(value).items())
