"""The window's texts: all in one folder, each of them used, in the words of the field."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import napari_cliper
from napari_cliper.plugin import ui_text

pytestmark = pytest.mark.one_binding

PACKAGE = Path(napari_cliper.__file__).parent
PLUGIN = PACKAGE / "plugin"
TEXTS = sorted((PLUGIN / "ui_text").glob("*.py"))
OTHERS = sorted(set(PLUGIN.rglob("*.py")) - set(TEXTS))
MANIFEST = PACKAGE / "napari.yaml"
REPOSITORY = Path(__file__).parents[2]
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]

SENTENCE = re.compile(r"[A-Za-z]{2,}[^A-Za-z]* |^ ?[A-Z&][a-z]+ ?$")
"""A word with a space behind it, or a single word with a capital."""

NOT_SHOWN = re.compile(
    r"^(Cliper|Segment)[A-Za-z]+$"  # names in the code
    r"|^Q[A-Za-z]+(::[a-z-]+|\[tone=.*)? ?\{"  # style sheets
    r"|^(color|padding|min-width|text-align): "  # the same
    r"|^Contours are not displayed"  # a warning of napari's
    r"|^Alt-|^Ctrl\+"  # keys
    r"|^napari-cliper job$"  # the name of a thread
    r"|^(fill holes|remove specks)$"  # names of tools
    r"|^tuple\[Hints, "  # a type
    r"|^module .* has no attribute "  # Python's own words
)
"""Literals of code that nobody sees in the window."""


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def literals(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of each string, but docstrings and what goes to the log."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger."):
            skipped.update(id(one) for one in ast.walk(node))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(one) for one in ast.walk(node))
            pieces = [str(x.value) if isinstance(x, ast.Constant) else "{}" for x in node.values]
            yield node.lineno, "".join(pieces)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def shown(source: ast.AST) -> list[str]:
    """The strings of a module that a person may see."""
    return [
        f"{line}: {text}"
        for line, text in literals(source)
        if SENTENCE.search(text.strip("\n")) and not NOT_SHOWN.search(text)
    ]


@pytest.mark.parametrize(
    "source",
    [
        "button.setText('Press me')",
        "button.setText('Cance&l'.replace('&', '') or 'Stop')",
        "self.message.emit(f'{count} pixels left', False)",
        "raise InvalidInputError(f'There is no {name}')",
        "text = done + (' and more' if more else '')",
    ],
)
def test_a_text_in_the_code_is_found(source):
    assert shown(ast.parse(source))


def test_what_is_no_text_is_let_pass():
    source = """'''A docstring with words.'''
logger.debug("A job ended.")
key, style, thread = "Alt-A", "color: #e5484d;", "napari-cliper job"
", ".join(names)
layer.events.connect("set_data")
"""
    assert shown(ast.parse(source)) == []


def test_every_text_of_the_window_stands_in_ui_text():
    found = [
        f"{path.relative_to(PLUGIN)}:{text}" for path in OTHERS for text in shown(parsed(path))
    ]
    assert found == []


def names_in(tree: ast.Module) -> list[str]:
    """What a module of texts defines."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = [one for target in targets for one in ast.walk(target)]
            found += [one.id for one in named if isinstance(one, ast.Name)]
    return found


def test_every_text_is_used_and_no_two_have_one_name():
    names = [name for path in TEXTS for name in names_in(parsed(path))]
    assert len(names) > 300
    assert sorted({name for name in names if names.count(name) > 1}) == []
    assert [name for name in names if not hasattr(ui_text, name)] == []
    used = set()
    for path in (*TEXTS, *OTHERS):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ui_text":
                used.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
    assert [name for name in names if name not in used] == []


REPLACED = {
    r"suggest(ion|ions|ed)": "prediction",
    r"looks": "prototypes",
    r"evidence|said|teach(es)?|taught|lessons?": "hints",
    r"doubts?|doubtful": "uncertainty",
    r"wish(es)?": "settings or request",
    r"sheets?": "annotation record",
    r"own thresholds?": "per-class threshold",
    r"protocols?": "preset or benchmark",
    r"hand(ing|ed) (\w+ )?on|hand annotations on": "export",
    r"pictures?": "image",
    r"made-up": "synthetic",
    r"parted": "separated",
    r"as they come": "unchanged",
    r"comes along": "is included",
    r"what is known about its quality": "accuracy",
    r"half done": "cancelled, no partial files",
    r"taken for right": "kept",
    r"shall|anew": "plain words of today",
}
"""Words that this project gave up, and what it says instead."""

GIVEN_UP = re.compile(rf"(?<![\w/-])({'|'.join(REPLACED)})(?![\w/(-])", re.IGNORECASE)


def given_up(text: str) -> list[str]:
    return [found.group() for found in GIVEN_UP.finditer(text.replace("&", ""))]


def test_the_window_uses_the_words_of_the_field():
    assert given_up("The p&icture looks doubtful.") == ["picture", "looks", "doubtful"]
    assert given_up("An image, its prediction and their uncertainty.") == []
    texts = [text for path in TEXTS for _, text in literals(parsed(path))]
    texts.append(MANIFEST.read_text(encoding="utf-8"))
    assert [(text, words) for text in texts if (words := given_up(text))] == []


def test_the_pages_use_the_words_of_the_field():
    assert len(PAGES) > 8
    found = []
    for page in PAGES:
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", line)
            found += [f"{page.name}:{number}: {word}" for word in given_up(prose)]
    assert found == []
