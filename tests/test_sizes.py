"""Functions stay short enough to read: the loop above all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "infinitetalk"
MOST_LINES, MOST_LINES_OF_THE_LOOP = 80, 70
MOST_PARAMETERS_OF_GENERATE = 4  # self included


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith("training/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{name}:{node.name}", node


def num_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_functions_are_short() -> None:
    long = [f"{name} has {num_lines(node)} lines" for name, node in functions() if num_lines(node) > MOST_LINES]
    assert not long, "\n".join(long)


def test_the_main_loop_and_generating_a_chunk_are_small() -> None:
    found = dict(functions())
    assert num_lines(found["pipeline.py:_make_film"]) <= MOST_LINES_OF_THE_LOOP
    arguments = found["generation/generator.py:generate"].args
    assert len(arguments.args) + len(arguments.kwonlyargs) <= MOST_PARAMETERS_OF_GENERATE
