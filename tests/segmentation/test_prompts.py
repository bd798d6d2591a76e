"""Words: what is refused, with which advice, and which prompts come of them."""

from __future__ import annotations

import re
import unicodedata

import pytest

from napari_cliper.segmentation import (
    BACKGROUND_WORDS,
    ClassPrompt,
    InvalidInputError,
    parse_classes,
    parse_words,
)
from napari_cliper.segmentation.prompts import (
    MAX_CLASSES,
    TEMPLATES,
    check_classes,
    class_prompts,
    usable_background,
)


@pytest.mark.parametrize("word", ["", " ", "\t\n", "\u00a0", "\u200b", "\u3000"], ids=ascii)
@pytest.mark.parametrize(
    "make",
    [
        lambda word: ClassPrompt(word),
        lambda word: ClassPrompt("nucleus", synonyms=("nuclei", word)),
        lambda word: ClassPrompt("nucleus", prompt=word),
        lambda word: usable_background([ClassPrompt("a"), ClassPrompt("b")], ["sky", word]),
    ],
    ids=["name", "synonym", "prompt", "background"],
)
def test_word_without_a_character(make, word):
    with pytest.raises(InvalidInputError, match="Type at least one letter, or remove it"):
        make(word)


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        ([ClassPrompt("nucleus"), ClassPrompt("nucleus")], "'nucleus' is the name of two classes"),
        ([ClassPrompt("a"), ClassPrompt("a")], "'a' is the name of two classes"),
        ([ClassPrompt("Nucleus"), ClassPrompt(" nucleus ")], "'nucleus' is the name of two"),
        (
            [ClassPrompt("cell", ("nuclei",)), ClassPrompt("nucleus", ("Nuclei",))],
            "'Nuclei' is in two classes, 'cell' and 'nucleus'",
        ),
        ([ClassPrompt("cell"), ClassPrompt("blob", ("CELL",))], "'cell' and 'blob'"),
        ([ClassPrompt("cell", ("blob", "BLOB"))], "'BLOB' is repeated in the class 'cell'"),
        ([ClassPrompt("ЯДРО"), ClassPrompt("ядро")], "'ядро' is the name of two"),
        ([ClassPrompt("Straße"), ClassPrompt("STRASSE")], "'STRASSE' is the name of two"),
        (
            [ClassPrompt("caf\u00e9"), ClassPrompt(unicodedata.normalize("NFD", "caf\u00e9"))],
            "is the name of two",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_repeated_word(classes, says):
    with pytest.raises(InvalidInputError, match=re.escape(says)) as caught:
        check_classes(classes)
    assert "Keep it once" in str(caught.value)


@pytest.mark.parametrize("ask", [check_classes, lambda none: usable_background(none, ["sky"])])
def test_no_word(ask):
    with pytest.raises(InvalidInputError, match=r"no word to look for\. Give at least one"):
        ask([])


def test_more_classes_than_a_label_can_number():
    with pytest.raises(InvalidInputError, match="65535 classes are more"):
        check_classes([ClassPrompt("a")] * (MAX_CLASSES + 1))


def test_name_again_among_the_synonyms_is_dropped():
    one = ClassPrompt(" cell   nucleus", ("nuclei", "Cell Nucleus", " nuclei ", "cell nucleus"))
    assert one.words == ("cell nucleus", "nuclei")


@pytest.mark.parametrize("background", [[], ["Dog"], ["dog", "puppy"]], ids=str)
def test_one_class_without_background_is_refused_with_the_reason(background):
    with pytest.raises(InvalidInputError) as caught:
        usable_background([ClassPrompt("dog", ("puppy",))], background)
    message = str(caught.value)
    assert "'dog' is the only class" in message
    assert "a single word would cover everything" in message
    assert "Add a class, or a background word" in message


def test_background_word_that_is_a_class_is_set_aside():
    classes = [ClassPrompt("Tree", ("oak",))]
    assert usable_background(classes, ["sky", " tree", "OAK", "sky", "sea"]) == (
        ("sky", "sea"),
        ("tree", "OAK"),
    )


def test_background_as_one_string_is_not_taken_letter_by_letter():
    with pytest.raises(InvalidInputError, match=re.escape("('sky',)")):
        usable_background([ClassPrompt("dog")], "sky")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nucleus", [("nucleus",)]),
        (" nucleus ,bacteria", [("nucleus",), ("bacteria",)]),
        (
            "nucleus=cell nucleus|nuclei, bacteria",
            [("nucleus", "cell nucleus", "nuclei"), ("bacteria",)],
        ),
        ("a; b\nc=d|e\r\nf", [("a",), ("b",), ("c", "d", "e"), ("f",)]),
        ("核, ядро=клетка, خلية", [("核",), ("ядро", "клетка"), ("خلية",)]),
    ],
)
def test_one_line_of_text_becomes_classes(text, words):
    assert [one.words for one in parse_classes(text)] == words


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "Type at least one, such as"),
        (" ,;\n", "Type at least one, such as"),
        ("a,,b", "Type at least one letter, or remove it"),
        ("a,", "Type at least one letter, or remove it"),
        ("=nuclei, b", "'=nuclei' has synonyms but no name. Write name=synonym"),
        ("a=", "The class 'a' has an empty synonym"),
        ("a=b||c", "The class 'a' has an empty synonym"),
        ("a, A", "Keep it once"),
    ],
)
def test_text_that_cannot_be_read(text, advice):
    with pytest.raises(InvalidInputError, match=re.escape(advice)):
        parse_classes(text)


def test_background_text():
    assert parse_words(" photo ") == BACKGROUND_WORDS["photo"]
    assert parse_words("none") == parse_words("  ") == ()
    assert parse_words("sky,  blue  sea,sky") == ("sky", "blue sea")
    with pytest.raises(InvalidInputError, match="empty background word"):
        parse_words("sky,,sea")


def test_names_of_background_lists_in_other_spellings():
    assert parse_words("Photo") == parse_words("PHOTO") == BACKGROUND_WORDS["photo"]
    assert parse_words("None") == ()
    assert parse_words("microscopy, petri dish, dust") == (
        *BACKGROUND_WORDS["microscopy"], "petri dish"
    )  # fmt: skip
    for text, name in {"photos": "photo", "Microscpy": "microscopy"}.items():
        with pytest.raises(InvalidInputError, match=f"{text}.*Write '{name}' for the list"):
            parse_words(text)
        assert parse_words(f"{text}, sky") == (text, "sky")
    for word in ("bone", "stone", "phase", "plastic"):
        assert parse_words(word) == (word,)


@pytest.mark.parametrize(
    ("one", "prompts"),
    [
        (ClassPrompt("cat", ("kitten",)), [("a cat.", "cat"), ("a kitten.", "kitten")]),
        (ClassPrompt("cat", ("kitten",), "my {}!"), [("my cat!",), ("my kitten!",)]),
        (ClassPrompt("cat", ("kitten",), "Tom"), [("Tom",), ("a kitten.", "kitten")]),
        (ClassPrompt("{0} %s \\1"), [("a {0} %s \\1.", "{0} %s \\1")]),
    ],
)
def test_prompts_of_a_class(one, prompts):
    assert list(class_prompts(one, ("a {}.", "{}"))) == prompts


def test_every_template_of_ours_takes_the_word_once():
    assert len(TEMPLATES["cliper-15"]) == len(set(TEMPLATES["cliper-15"])) == 15
    assert all(t.count("{}") == 1 for templates in TEMPLATES.values() for t in templates)


@pytest.mark.parametrize("name", ["photo", "microscopy", "demo"])
def test_default_background_lists_hold_no_word_twice(name):
    kept, dropped = usable_background([ClassPrompt("zebra")], BACKGROUND_WORDS[name])
    assert kept == BACKGROUND_WORDS[name]
    assert dropped == ()
