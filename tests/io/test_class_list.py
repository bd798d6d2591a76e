"""Lists of classes: what is written is read again, and what is wrong is named with its place."""

from __future__ import annotations

import json

import pytest
import yaml
from cpu_time import cpu_seconds

from napari_cliper.io.class_list import read_classes, write_classes
from napari_cliper.io.files import FileError
from napari_cliper.labels.label_class import ClassRow, check_rows, with_colours
from napari_cliper.labels.palette import class_colours
from napari_cliper.segmentation import InvalidInputError, parse_classes

FULL = (
    ClassRow("cell nucleus", ("nuclei", "Zellkern"), colour=(230, 159, 0)),
    ClassRow("no", ("yes", "null", "1", "0x10", "2020-01-01", "~", "- a: b", "#c"), visible=False),
    ClassRow("細胞 é 🧫", colour=(0, 0, 255), prompt="an image of {}: a, 'b' \"c\""),
    ClassRow("cell, dividing", background=True, colour=(1, 2, 3)),
    ClassRow("a\x00b\ufeff=c|d;e\\n"),
    ClassRow("12: pipe"),
)


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json", ".YAML"])
@pytest.mark.parametrize("rows", [FULL, (), with_colours(FULL)], ids=["full", "none", "coloured"])
def test_round_trip_is_exact(tmp_path, suffix, rows):
    path = tmp_path / f"classes{suffix}"
    write_classes(path, rows)
    assert read_classes(path) == rows
    assert [one.name for one in tmp_path.glob("[!.]*")] == [path.name]


def test_text_round_trip_keeps_words(tmp_path):
    rows = (ClassRow("traffic light", ("traffic signal", "stoplight")), ClassRow("細胞 =|;"))
    path = tmp_path / "classes.txt"
    write_classes(path, with_colours(rows))
    assert path.read_text(encoding="utf-8").splitlines() == [
        "traffic light, traffic signal, stoplight",
        "細胞 =|;",
    ]
    assert read_classes(path) == rows


@pytest.mark.parametrize(
    ("row", "what"),
    [
        (ClassRow("sky", background=True), "'sky' is background"),
        (ClassRow("sky", prompt="the {}"), "'sky' has a custom prompt"),
        (ClassRow("cell, dividing"), "'cell, dividing'"),
        (ClassRow("cell", ("a, b",)), "'cell'"),
        (ClassRow("# 3"), "'# 3'"),
        (ClassRow("16: 9"), "'16: 9'"),
    ],
)
def test_text_refuses_what_it_cannot_say_and_leaves_the_old_file(tmp_path, row, what):
    path = tmp_path / "classes.txt"
    path.write_text("old\n")
    with pytest.raises(FileError, match=r"Save as \.yaml") as caught:
        write_classes(path, (ClassRow("cat"), row))
    assert what in str(caught.value)
    assert path.read_text() == "old\n"


def test_published_text_lists(tmp_path):
    path = tmp_path / "ade.txt"
    path.write_bytes(
        "\ufeff# ADE20K\r\n\r\n1: wall\r\n2:\tbuilding, edifice\r\n  3\tperson, individual \r\n"
        "16:9 screen\r\n7 dwarfs\r\n".encode()
    )
    assert read_classes(path) == (
        ClassRow("wall"),
        ClassRow("building", ("edifice",)),
        ClassRow("person", ("individual",)),
        ClassRow("16:9 screen"),
        ClassRow("7 dwarfs"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "- cat\n- {name: dog, synonyms: [puppy], background: true}\n",
        "classes:\n  - cat\n  - name: dog\n    synonyms:\n      - puppy\n    background: yes\n",
        '{"classes": ["cat", {"name": "dog", "synonyms": ["puppy"], "background": true}]}',
    ],
)
def test_written_by_hand(tmp_path, text):
    path = tmp_path / "hand.yaml"
    path.write_text(text)
    assert read_classes(path) == (ClassRow("cat"), ClassRow("dog", ("puppy",), background=True))


def test_files_are_what_other_tools_read(tmp_path):
    rows = (ClassRow("cat", ("kitten",), colour=(255, 0, 10)),)
    expected = {"classes": [{"name": "cat", "synonyms": ["kitten"], "colour": "#ff000a"}]}
    write_classes(tmp_path / "a.yaml", rows)
    write_classes(tmp_path / "a.json", rows)
    assert yaml.safe_load((tmp_path / "a.yaml").read_text()) == expected
    assert json.loads((tmp_path / "a.json").read_text()) == expected


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.yaml", "", "no list of classes"),
        ("a.yaml", "cat", "no list of classes"),
        ("a.yaml", "classes: {cat: 1}", "no list of classes"),
        ("a.yaml", "- cat\n- no", "class 2: it is read as False"),
        ("a.yaml", "- name: 12", "class 1: name is 12. Give a text in quotes."),
        ("a.yaml", "- {name: cat, colour: }", "class 1: colour is None. Write it in quotes"),
        ("a.yaml", "- {name: cat, colour: '#ff00'}", "'#ff00'"),
        ("a.yaml", "- {name: cat, color: '#ff0000'}", "Did you mean 'colour'?"),
        ("a.yaml", "- {name: cat, synonyms: mug}", "class 1: synonyms is 'mug'. Give a list."),
        ("a.yaml", "- {name: cat, visible: 'on'}", "visible is 'on'. Give true or false."),
        ("a.yaml", "- {name: cat, synonyms: [mug, 5]}", "class 1: entry 2 of synonyms is 5."),
        ("a.yaml", "- {name: cat, 12: mug}", "class 1: it has unknown keys: '12'. Known: name"),
        ("a.yaml", "- {synonyms: [mug]}", "class 1: it has no 'name'"),
        ("a.yaml", "- ' '", "class 1: A class has no name"),
        ("a.yaml", "- !!python/object/apply:os.system ['false']", "it is not YAML"),
        ("a.yaml", "- !!int ''", "it is not YAML"),
        ("a.yaml", "- !!bool maybe", "it is not YAML"),
        ("a.yaml", "- !!timestamp soon", "it is not YAML"),
        ("a.yaml", "[" * 5000, "it is not YAML"),
        ("a.yaml", "a: b: c", "it is not YAML: line 1, column 5: mapping values are not allowed"),
        ("a.json", "", "it is not JSON"),
        ("a.json", "[" * 200_000, "it is not JSON"),
        ("a.json", "[null]", "class 1: it is read as None"),
        ("a.txt", "cat\n\n3: \n", "line 3: A class has no name"),
        ("a.txt", "cat,, dog", "line 1: The class 'cat' has an empty synonym"),
        ("a.csv", "cat", r".yaml, .yml, .json, .txt"),
        ("a", "cat", r".yaml, .yml, .json, .txt"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FileError) as caught:
        read_classes(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_are_none(tmp_path):
    (tmp_path / "latin.txt").write_bytes("Bär".encode("latin-1"))
    (tmp_path / "folder.yaml").mkdir()
    with (tmp_path / "huge.yaml").open("wb") as huge:
        huge.truncate(2**30)
    for name, says in (
        ("latin.txt", "UTF-8"),
        ("folder.yaml", "folder"),
        ("huge.yaml", "too large"),
        ("missing.yaml", "does not exist"),
    ):
        with pytest.raises(FileError, match=says):
            read_classes(tmp_path / name)
    with pytest.raises(FileError, match="folder"):
        write_classes(tmp_path / "folder.yaml", FULL)
    with pytest.raises(FileError, match="files"):
        write_classes(tmp_path / "a.csv", FULL)
    with pytest.raises(FileError, match="invalid character"):
        write_classes(tmp_path / "a.json", (ClassRow("a\ud800"),))


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"name": "cat", "synonyms": ("",)}, {"name": "cat", "colour": (0, 0, 256)}],
)
def test_rows_are_valid_or_not_made(wrong):
    with pytest.raises(InvalidInputError):
        ClassRow(**wrong)


@pytest.mark.parametrize(
    "text",
    ["cat, dog, Cat", "cat=puppy, dog=Puppy", "cat, dog=cat", "cat=a|A, dog", "dog=cat, cat"],
)
def test_repeated_words_are_refused_where_the_engine_refuses_them(text):
    rows = [
        ClassRow(name, tuple(rest.split("|")) if rest else ())
        for name, _, rest in (part.partition("=") for part in text.split(","))
    ]
    with pytest.raises(InvalidInputError) as engine:
        parse_classes(text)
    with pytest.raises(InvalidInputError) as ours:
        check_rows(rows)
    assert str(ours.value).casefold() == str(engine.value).casefold()


def test_default_colours_follow_the_labels():
    rows = with_colours(
        (ClassRow("a"), ClassRow("sky", background=True), ClassRow("b"), ClassRow("c"))
    )
    palette = [tuple(colour) for colour in class_colours(3).tolist()]
    assert [row.colour for row in rows] == [palette[0], None, palette[1], palette[2]]
    # A class keeps its colour; a new one takes none that is in use.
    later = with_colours((rows[2], rows[3], ClassRow("d")))
    assert [row.colour for row in later] == [palette[1], palette[2], palette[0]]
    many = with_colours([ClassRow(f"c{i}") for i in range(150)])
    assert len({row.colour for row in many}) == 150


def test_numbers_in_a_text_list_are_labels(tmp_path):
    path = tmp_path / "a.txt"
    for text in (
        "background\nnucleus\nbacteria\n",
        "__ignore__\n_background_\nnucleus\nbacteria\n",
        "0: unlabeled\n1: nucleus\n2: bacteria\n",
        "2: bacteria\n1: nucleus\n",
        "nucleus\n2: bacteria\n",
    ):
        path.write_text(text)
        assert [row.name for row in read_classes(path)] == ["nucleus", "bacteria"]
    (tmp_path / "a.yaml").write_text("[background, nucleus]")
    assert [row.name for row in read_classes(tmp_path / "a.yaml")] == ["nucleus"]
    for text, message in (
        ("0: nucleus\n1: bacteria\n", "'nucleus' has the number 0"),
        ("1: nucleus\n3: bacteria\n", "'bacteria' has the number 3"),
        ("1: nucleus\n1: bacteria\n", "'bacteria' has the number 1"),
        ("2: anaphase\n", "'anaphase' has the number 2"),
        ("a\nb\n1: c\n", "'c' has the number 1"),
    ):
        path.write_text(text)
        with pytest.raises(FileError, match=message):
            read_classes(path)


def test_small_lists_take_less_time_than_a_long_one(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("".join(f"- class {number}\n" for number in range(10_000)))
    longest = cpu_seconds(lambda: read_classes(path))

    def refused():
        with pytest.raises(FileError, match=r"a\.yaml"):
            read_classes(path)

    laughs = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 15)
    )
    for text in (laughs + "classes: *a14\n", "[" * 500_000, "- " * 500_000, "[{" * 300_000):
        path.write_text(text)
        assert cpu_seconds(refused) < longest
    path.write_text("- 1" + ":1" * 400_000)
    assert cpu_seconds(lambda: read_classes(path)) < longest
    assert len(read_classes(path)) == 1
