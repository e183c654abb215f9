"""Reading flows out of a module's syntax tree: pure, nothing is executed."""

from __future__ import annotations

import ast
import inspect
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from flowdeck.values.redaction import HIDDEN, is_hidden, names_in_force, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

#: Dotted names under which the decorator can be reached after imports are resolved.
DECORATORS: Final = frozenset({"flowdeck.flow", "flowdeck.flows.flow"})
DEFAULT_RUNNER: Final = "concurrent"


@dataclass(frozen=True, slots=True)
class FoundParameter:
    """One parameter as written; ``annotation`` and ``default`` are source text."""

    name: str
    annotation: str | None
    default: str | None
    kind: str = "keyword"  # or "positional", "var_positional", "var_keyword"

    @property
    def required(self) -> bool:
        return self.default is None and not self.kind.startswith("var_")


@dataclass(frozen=True, slots=True)
class FoundFlow:
    """A flow as written in a file."""

    target: str  # what `flowdeck run` takes
    name: str  # the flow's display name
    function: str  # the module's variable that holds the flow
    qualname: str  # the function it was made of
    file: Path
    line: int
    doc: str | None
    runner: str | None  # None: only running the file would tell
    is_async: bool
    parameters: tuple[FoundParameter, ...]
    tags: tuple[str, ...]

    @property
    def key(self) -> str:
        """What identifies the flow in the record: ``<absolute file>:<qualname>``."""
        return f"{os.path.abspath(self.file)}:{self.qualname}"


def flows_of_module(tree: ast.Module, file: Path, shown: str) -> list[FoundFlow]:
    """Return the flows that a module defines at its top level, in order of line.

    Args:
        tree: the parsed module.
        file: where it came from.
        shown: the file as the target should name it.
    """
    names = _imports(tree)
    functions: dict[str, Function] = {}
    values: dict[str, ast.expr] = {}
    found: dict[str, FoundFlow] = {}
    for node in _statements(tree.body):
        if isinstance(node, Function):
            functions[node.name] = node
            call = _decoration(node.decorator_list, names)
            if call is not None:
                found[node.name] = _flow(node, node.name, call, file, shown, values)
            else:
                found.pop(node.name, None)  # a later plain function of that name hides the flow
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name):
                values[target.id] = node.value
                made = _made(node.value, names, functions)
                if made is not None:
                    function, keywords = made
                    found[target.id] = _flow(function, target.id, keywords, file, shown, values)
    return sorted(found.values(), key=lambda flow: flow.line)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Walk the statements that run at import: also those in ``if``, ``try`` and ``with``."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            if not _is_main_guard(node.test):
                yield from _statements(node.body)
            yield from _statements(node.orelse)
        elif isinstance(node, (ast.Try, ast.TryStar)):
            yield from _statements(node.body)
            for handler in node.handlers:
                yield from _statements(handler.body)
            yield from _statements(node.orelse)
            yield from _statements(node.finalbody)
        elif isinstance(node, ast.With):
            yield from _statements(node.body)


def _is_main_guard(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and any(
        isinstance(part, ast.Name) and part.id == "__name__"
        for part in (test.left, *test.comparators)
    )


def _imports(tree: ast.Module) -> dict[str, str]:
    """Map local names to what they import, as dotted names below ``flowdeck``."""
    names: dict[str, str] = {}
    for node in _statements(tree.body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "flowdeck":
                    names[alias.asname or "flowdeck"] = alias.name if alias.asname else "flowdeck"
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            if module.partition(".")[0] == "flowdeck":
                for alias in node.names:
                    name = "flow" if alias.name == "*" else alias.name
                    names[alias.asname or name] = f"{module}.{name}"
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """Return the dotted name of an expression with the first part replaced by its import."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return None
    return ".".join([names[node.id], *reversed(parts)])


def _is_flow(node: ast.expr, names: dict[str, str]) -> bool:
    return _dotted(node, names) in DECORATORS


def _decoration(decorators: list[ast.expr], names: dict[str, str]) -> list[ast.keyword] | None:
    """Return the keywords of the flow decorator, ``None`` when there is none."""
    for decorator in decorators:
        if isinstance(decorator, ast.Call):
            if _is_flow(decorator.func, names):
                return decorator.keywords
        elif _is_flow(decorator, names):
            return []
    return None


def _made(
    value: ast.expr, names: dict[str, str], functions: dict[str, Function]
) -> tuple[Function, list[ast.keyword]] | None:
    """Recognise ``flow(function, ...)`` and ``flow(...)(function)``."""
    if not isinstance(value, ast.Call) or not value.args:
        return None
    function = value.args[0]
    if not isinstance(function, ast.Name) or function.id not in functions:
        return None
    if _is_flow(value.func, names):
        return functions[function.id], value.keywords
    if isinstance(value.func, ast.Call) and _is_flow(value.func.func, names):
        return functions[function.id], value.func.keywords
    return None


def _flow(
    node: Function,
    variable: str,
    keywords: list[ast.keyword],
    file: Path,
    shown: str,
    values: dict[str, ast.expr],
) -> FoundFlow:
    options = {keyword.arg: keyword.value for keyword in keywords if keyword.arg}
    spread = any(keyword.arg is None for keyword in keywords)  # @flow(**options) hides anything
    doc = _text(options.get("description")) or ast.get_docstring(node)
    return FoundFlow(
        target=f"{shown}:{variable}",
        name=_text(options.get("name")) or node.name.replace("_", "-"),
        function=variable,
        qualname=node.name,
        file=file,
        line=node.lineno,
        doc=inspect.cleandoc(doc) if doc else None,
        runner=_runner(options.get("task_runner"), values, unknown=spread),
        is_async=isinstance(node, ast.AsyncFunctionDef),
        parameters=tuple(_parameters(node.args)),
        tags=_texts(options.get("tags")),
    )


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _texts(node: ast.expr | None) -> tuple[str, ...]:
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return tuple(text for item in node.elts if (text := _text(item)) is not None)
    return ()


def _runner(node: ast.expr | None, values: dict[str, ast.expr], *, unknown: bool) -> str | None:
    """Return ``dask`` for ``DaskTaskRunner(...)``, ``DaskTaskRunner`` or a variable that is one."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return None if unknown else DEFAULT_RUNNER
    for _ in range(5):  # a variable may name a variable, but not for ever
        if isinstance(node, ast.Name) and node.id in values:
            node = values[node.id]
    if isinstance(node, ast.Call):
        node = node.func
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    suffix = "TaskRunner"
    return name.removesuffix(suffix).lower() if name.endswith(suffix) and name != suffix else None


def _parameters(arguments: ast.arguments) -> Iterator[FoundParameter]:
    positional = [*arguments.posonlyargs, *arguments.args]
    missing = len(positional) - len(arguments.defaults)
    for index, argument in enumerate(positional):
        default = arguments.defaults[index - missing] if index >= missing else None
        kind = "positional" if index < len(arguments.posonlyargs) else "keyword"
        yield _parameter(argument, default, kind)
    if arguments.vararg:
        yield _parameter(arguments.vararg, None, "var_positional")
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default, "keyword")
    if arguments.kwarg:
        yield _parameter(arguments.kwarg, None, "var_keyword")


def _parameter(argument: ast.arg, default: ast.expr | None, kind: str) -> FoundParameter:
    return FoundParameter(
        argument.arg,
        ast.unparse(argument.annotation) if argument.annotation else None,
        _shown_default(argument.arg, default) if default is not None else None,
        kind,
    )


def _shown_default(name: str, default: ast.expr) -> str:
    """Return a default as written, without a secret that is written there."""
    text = ast.unparse(default)
    hides = names_in_force()
    if hides is None:
        return text
    literal = isinstance(default, (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.JoinedStr))
    if literal and is_hidden(name, getattr(default, "value", text), hides):
        return HIDDEN
    return without_secrets(text, hides, code=True)
