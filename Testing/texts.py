"""List every text that a person may read, with its file and line, to be read in one go.

    python -m Testing.texts [FILE OR FOLDER ...] [--docstrings]

Of Python files: texts of the panel (`translate`), errors, argparse, what is printed or logged,
card notes and every other string that reads like words, f-strings with their placeholders.
Of .ui files, HTML templates, model cards and the Makefile what a person sees of them. With
--docstrings also docstrings and comments.
"""

import argparse
import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
DEFAULT = ("M3LungScreen", "M3LungScreenLib", "Training", "Resources/Models", "Makefile")
# Two words in a row: keys, formats and file names are none.
WORDS = re.compile(r"[A-Za-z]{2,}[,;:.)]? +[A-Za-z{(]|^[A-Z][a-z]+ ?[{….]")
CALLS = {
    "panel": {"translate", "setText", "setToolTip", "setWindowTitle", "setStatusTip", "addTab"},
    "command line": {"ArgumentParser", "add_argument", "add_parser", "add_argument_group"},
    "printed": {"print", "write", "info", "warning", "error", "debug", "exception", "tqdm", "echo"},
}
TAG = re.compile(r"\{%.*?%\}|\{#.*?#\}|<style.*?</style>|<script.*?</script>|<!--.*?-->", re.DOTALL)
SEEN_PROPERTIES = ("text", "toolTip", "title", "windowTitle", "placeholderText", "whatsThis")


class Text(NamedTuple):
    """One text: 1-based `line`, where a person meets it (`kind`), and its words."""

    path: Path
    line: int
    kind: str
    words: str


def texts_of(path: Path, docstrings: bool = False) -> list[Text]:
    """The texts of a file in order of lines, or of all files in a folder; none of other kinds."""
    if path.is_dir():
        inside = (each for each in sorted(path.rglob("*")) if each.is_file())
        return [text for each in inside for text in texts_of(each, docstrings)]
    reader = READERS.get(path.suffix, READERS.get(path.name))
    if reader is None or "__pycache__" in path.parts:
        return []
    found = list(reader(path.read_text("utf-8")))
    if docstrings:
        found += {".py": _python_notes, ".yaml": _yaml_notes}.get(path.suffix, _nothing)(
            path.read_text("utf-8")
        )
    return sorted(Text(path, line, kind, " ".join(words.split())) for line, kind, words in found)


Found = Iterator[tuple[int, str, str]]


def _python(source: str) -> Found:
    tree = ast.parse(source)
    docstrings = {id(each) for _, each in _docstrings(tree)}
    if "description=__doc__" in source and (told := ast.get_docstring(tree)):
        yield 1, "command line", told
    yield from _strings(tree, "text", docstrings)


def _strings(node: ast.AST, kind: str, left_out: set[int]) -> Found:
    """Strings below `node` with words in them; the nearest call that shows them says the kind."""
    if id(node) in left_out:
        return
    if isinstance(node, ast.Call):
        kind = _kind_of_call(node) or kind
    elif isinstance(node, ast.Tuple) and _is_warning(node):
        kind = "warning"
    if isinstance(node, ast.Constant | ast.JoinedStr):
        words = _words(node)
        if WORDS.search(words) or (kind == "panel" and re.search("[A-Za-z]", words)):
            yield node.lineno, kind, words
    for child in _children(node):
        # Parts of an f-string are in its words already; strings within its placeholders are not.
        if not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
            yield from _strings(child, kind, left_out)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Those of `node`; of a call of `translate` not the context."""
    is_translated = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "translate"
    if isinstance(node, ast.Call) and is_translated:
        yield from node.args[1:]
    else:
        yield from ast.iter_child_nodes(node)


def _kind_of_call(call: ast.Call) -> str | None:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name.endswith(("Refused", "Error", "_refused")):
        return "error"
    if name == "Warning" or name.endswith("Warning"):
        return "warning"
    return next((kind for kind, names in CALLS.items() if name in names), None)


def _is_warning(pair: ast.Tuple) -> bool:
    """Whether it is the code of a warning and its message."""
    code, *rest = pair.elts or [None]
    is_code = isinstance(code, ast.Constant) and re.fullmatch("[a-z_]+", str(code.value))
    return bool(is_code) and len(rest) == 1 and not isinstance(rest[0], ast.Name)


def _words(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(
        str(each.value)
        if isinstance(each, ast.Constant)
        else "{" + ast.unparse(getattr(each, "value", each)) + "}"
        for each in node.values
    )


def _docstrings(tree: ast.AST) -> Iterator[tuple[str, ast.Constant]]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield getattr(node, "name", "module"), value


def _python_notes(source: str) -> Found:
    for name, each in _docstrings(ast.parse(source)):
        yield each.lineno, f"docstring of {name}", str(each.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], "comment", token.string.lstrip("# ")


def _yaml_notes(source: str) -> Found:
    for line, each in enumerate(source.splitlines(), start=1):
        if "#" in each:
            yield line, "comment", each.partition("#")[2]


def _ui(source: str) -> Found:
    for node in ElementTree.fromstring(source).iter("property"):
        text = node.findtext("string")
        if node.get("name") in SEEN_PROPERTIES and text and re.search("[A-Za-z]", text):
            # ElementTree knows no lines: that of the text's first line in the file.
            start = source.find(text.splitlines()[0].replace("&", "&amp;").replace("<", "&lt;"))
            yield source.count("\n", 0, start) + 1 if start >= 0 else 0, "panel", text


def _html(source: str) -> Found:
    bare = TAG.sub(lambda tag: "\n" * tag[0].count("\n"), source)
    for match in re.finditer(r"(?<=>)[^<>]+(?=<)", bare):
        text = match[0]
        if re.search(r"[A-Za-z]{2,}", re.sub(r"\{\{.*?\}\}", "", text, flags=re.DOTALL)):
            start = match.start() + len(text) - len(text.lstrip())
            yield bare.count("\n", 0, start) + 1, "report", text


def _card(source: str) -> Found:
    for note in json.loads(source).get("notes", []):
        line = source.count("\n", 0, source.find(json.dumps(note, ensure_ascii=False))) + 1
        yield line, "card", note


def _make(source: str) -> Found:
    for line, each in enumerate(source.splitlines(), start=1):
        if match := re.search(r"## (.+)|echo \"(.+?)\"", each):
            yield line, "command line", match[1] or match[2]


def _nothing(_: str) -> Found:
    yield from ()


READERS: dict[str, Callable[[str], Found]] = {
    ".py": _python,
    ".ui": _ui,
    ".html": _html,
    "model.json": _card,
    "Makefile": _make,
    ".yaml": _nothing,
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("places", type=Path, nargs="*", default=[ROOT / each for each in DEFAULT])
    parser.add_argument("--docstrings", action="store_true", help="also docstrings and comments")
    parsed = parser.parse_args(arguments)
    for place in parsed.places:
        for path, line, kind, words in texts_of(place.resolve(), parsed.docstrings):
            shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            print(f"{shown}:{line}: [{kind}] {words}")


if __name__ == "__main__":
    main()
