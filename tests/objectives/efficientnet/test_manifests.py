"""Tables of images: what is read, and that a wrong row is told with its line before anything is trained."""

import json
import logging
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bo_objectives.efficientnet import data, data_sources
from bo_objectives.efficientnet.data import Split
from bo_objectives.efficientnet.objective import EfficientNetObjective
from bo_objectives.errors import SetupError
from PIL import Image

SIZE = 8
Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with 24 pictures that all differ, img/0.png to img/23.png."""
    (tmp_path / "img").mkdir()
    for i in range(24):
        Image.new("RGB", (SIZE, SIZE), (i * 10, 90, 40)).save(tmp_path / "img" / f"{i}.png")
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes a file beside the folder of pictures."""

    def make(text: str | bytes, name: str = "table.csv") -> Path:
        path = folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def lines(count: int = 12, separator: str = ",", header: str = "path,label", **more: Callable[[int], str]) -> str:
    """A table of pictures, of which every second is a cat; `more` are columns."""
    names = [*header.split(","), *more]
    rows = [[f"img/{i}.png", ("cat", "dog")[i % 2], *(value(i) for value in more.values())] for i in range(count)]
    return "".join(separator.join(row) + "\n" for row in [names, *rows])


def defined(path: Path, caplog: pytest.LogCaptureFixture) -> str:
    """What the worker logs when it starts."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "bo_objectives"):
        EfficientNetObjective(data=str(path), weights="random").define()
    return caplog.text


def split(path: Path, fold: int = 0) -> Split:
    return data.split(data_sources.load(str(path), 32), fold)


def refused(path: Path) -> str:
    """The message; what is refused at the start is refused by a trial, too."""
    with pytest.raises(SetupError) as caught:
        EfficientNetObjective(data=str(path), weights="random").define()
    with pytest.raises(SetupError):
        data_sources.load(str(path), 32)
    return str(caught.value)


def hashes(found: Split) -> list[str]:
    return [getattr(found, part).pixels_sha256 for part in data.PARTS]


# ── what is read


def test_a_table_is_split_by_class(write: Write, caplog) -> None:
    told = defined(write(lines()), caplog)
    assert "12 images of 2 classes: cat, dog" in told
    assert "validation (split by class, fold 0): 2 images: cat 1, dog 1" in told


def test_a_split_column_is_the_given_split(write: Write, caplog) -> None:
    path = write(lines(12, split=lambda i: ("train", "train", "train", "Val", "test", "TEST")[i // 2]))
    told = defined(path, caplog)
    assert "train (given): 6 images: cat 3, dog 3" in told
    assert "validation (given): 2 images" in told
    assert "test (given): 4 images" in told


def test_an_empty_split_column_is_none(write: Write, caplog) -> None:
    assert "split by class" in defined(write(lines(split=lambda _: "")), caplog)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_other_systems_are_read(write: Write, separator: str, ending: str, encoding: str) -> None:
    text = lines(separator=separator).replace("dog", "wölf").replace("\n", ending)
    assert data_sources.load(str(write(text.encode(encoding))), 32).classes == ("cat", "wölf")


def test_json_lines_give_what_csv_gives(write: Write) -> None:
    rows = [{"path": f"img/{i}.png", "label": ("cat", "dog")[i % 2]} for i in range(12)]
    path = write("\ufeff" + "\r\n\n".join(map(json.dumps, rows)), "table.jsonl")
    assert hashes(split(path)) == hashes(split(write(lines())))


def test_the_split_depends_neither_on_the_order_of_rows_nor_on_the_place(write: Write, folder: Path) -> None:
    header, *rows = lines().splitlines()
    plain = write(lines())
    turned = write("\n".join([header, *rows[::-1]]), "turned.csv")
    absolute = write(lines().replace("img/", f"{folder}/img/"), "absolute.csv")
    assert hashes(split(plain)) == hashes(split(turned)) == hashes(split(absolute))
    told = {data_sources.contents(str(path)) for path in (plain, turned, absolute)}
    assert len(told) == 1


def test_what_a_table_says_is_part_of_the_study(write: Write) -> None:
    before = data_sources.contents(str(write(lines())))
    assert data_sources.contents(str(write(lines().replace("img/2.png,cat", "img/2.png,dog")))) != before


def test_quoted_values_hold_separators_quotes_and_line_breaks(write: Write) -> None:
    text = lines().replace(",dog", ', "a, ""b""\nand c"')
    assert data_sources.load(str(write(text)), 32).classes == ('a, "b"\nand c', "cat")


def test_a_table_with_everything_in_quotes_is_read(write: Write) -> None:
    text = "".join(";".join(f'"{value}"' for value in line.split(",")) + ";\n" for line in lines().splitlines())
    assert len(data_sources.load(str(write(text)), 32)) == 12


def test_the_metadata_of_an_image_folder_is_read(write: Write) -> None:
    assert len(data_sources.load(str(write(lines(header="file_name,label"), "metadata.csv")), 32)) == 12
    both = write(lines(header="path,label", file_name=lambda _: "x"))
    assert "the column path is there twice; keep one" in refused(both)


def test_column_names_are_read_in_any_case_and_others_are_told(write: Write, caplog) -> None:
    told = defined(write(lines(header=" Path,LABEL ", splits=lambda _: "x", width=lambda _: "8")), caplog)
    assert "ignored the columns splits, width" in told


def test_labels_are_texts(write: Write) -> None:
    numbers: list[Any] = ["01", "1", 1, 2, True, "é", unicodedata.normalize("NFD", "é"), " cat", "cat"]
    labels = [label for label in numbers for _ in range(2)] + ["1"]
    rows = [json.dumps({"path": f"img/{i}.png", "label": label}) for i, label in enumerate(labels)]
    path = write("\n".join(rows), "table.jsonl")
    read = data_sources.manifest.read(path)
    assert read.classes == (" cat", "01", "1", "2", "cat", "true", "é")
    assert read.labels.count("1") == 5
    assert any("differ in case or spaces alone" in text for _, text in read.remarks)


def test_paths_of_other_systems_are_found(write: Write, folder: Path) -> None:
    Image.new("RGB", (SIZE, SIZE)).save(folder / "img" / unicodedata.normalize("NFC", "é.png"))
    text = lines().replace("img/0.png", r"img\0.png").replace("img/1.png", unicodedata.normalize("NFD", "img/é.png"))
    assert len(data_sources.load(str(write(text)), 32)) == 12


def test_repeated_rows_count_once_and_are_told(write: Write, caplog) -> None:
    told = defined(write(lines() + "img/0.png,cat\n./img/../img/0.png,cat\n"), caplog)
    assert "12 images of 2 classes" in told
    assert "left out 2 rows that repeat" in told


def test_a_class_that_validation_lacks_is_told(write: Write, caplog) -> None:
    text = lines(12, split=lambda i: "train" if i < 10 else "val").replace("img/11.png,dog,val", "img/11.png,dog,train")
    assert "the given validation part has no images of dog" in defined(write(text), caplog)


# ── what is refused, with its line


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("img/50.png,cat", "path is 'img/50.png'; allowed is a file"),
        ("/no/such.png,cat", "path is '/no/such.png'; allowed is a file"),
        ("img,cat", "path is 'img'; allowed is a file"),
        ("http://a.example/1.png,cat", "path is 'http://a.example/1.png'; allowed is a file"),
        (",cat", "path is ''; allowed is the path of an image"),
        ("img/\0.png,cat", r"path is 'img/\x00.png'; allowed is the path of an image"),
        (f"{'x' * 5000}.png,cat", "allowed is a file"),
        ("img/20.png,", "label is ''; allowed is the name of a class"),
        ("img/20.png,NaN", "label is 'NaN'; allowed is the name of a class"),
        ("img/20.png, null ", "label is 'null '; allowed is the name of a class"),
        ("img/20.png", "it has 1 values, and the header has 2 columns"),
        ("img/20.png,cat,3", "it has 3 values, and the header has 2 columns"),
        ('img/20.png,"cat" x', "it isn't CSV"),
        ('img/20.png,"cat\n', "it isn't CSV (unexpected end of data)"),
        ("img/0.png,dog", "label is 'dog'; allowed is 'cat', as in line 2, which has the same path"),
    ],
)
def test_one_wrong_row_is_told_with_its_line(write: Write, row: str, told: str) -> None:
    message = refused(write(lines() + "\n" + row + "\n"))
    assert "table.csv, line 15: " in message
    assert told in message
    assert len(message) < 600


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("{", "it isn't JSON (Expecting property name enclosed in double quotes at character 2)"),
        ("[" * 100_000, "it isn't JSON"),
        ("[1, 2]", "it is '[1, 2]'; give a JSON object"),
        ('{"label": "cat"}', "path is missing"),
        ('{"path": "img/20.png"}', "label is missing; allowed is the name of a class"),
        ('{"path": "img/20.png", "label": null}', "label is missing"),
        ('{"path": "img/20.png", "label": NaN}', "label is nan"),
        ('{"path": "img/20.png", "label": 1.5}', "label is 1.5; allowed is the name of a class"),
        ('{"path": "img/20.png", "label": ["cat"]}', "label is ['cat']"),
        (r'{"path": "img/20.png", "label": "\ud800"}', r"label is '\ud800'; allowed is the name of a class"),
        ('{"path": 3, "label": "cat"}', "path is 3; allowed is the path of an image"),
        ('{"path": "img/20.png", "label": "cat", "Label": "dog"}', "the column label is there twice"),
    ],
)
def test_one_wrong_object_is_told_with_its_line(write: Write, row: str, told: str) -> None:
    rows = [json.dumps({"path": f"img/{i}.png", "label": ("cat", "dog")[i % 2]}) for i in range(12)]
    message = refused(write("\n".join([*rows, row]), "table.jsonl"))
    assert "table.jsonl, line 13: " in message
    assert told in message


@pytest.mark.parametrize("value", ["", "trian", "train1", "3"])
def test_a_wrong_split_is_told_with_its_line(write: Write, value: str) -> None:
    message = refused(write(lines(split=lambda i: value if i == 4 else "train" if i < 9 else "test")))
    assert f"line 6: split is {value!r}; allowed is train, validation, test" in message


def test_a_class_that_training_lacks_is_told_with_its_line(write: Write) -> None:
    text = lines(12, split=lambda i: "train" if i < 10 else "test").replace("img/11.png,dog", "img/11.png,wolf")
    assert "line 13: label is 'wolf'; allowed is a class of the split train: cat, dog" in refused(write(text))


def test_a_split_without_training_is_refused(write: Write) -> None:
    assert "split is 'test'; allowed is train, in some rows" in refused(write(lines(split=lambda _: "test")))


def test_a_path_in_two_parts_is_refused(write: Write) -> None:
    text = lines(12, split=lambda i: "train" if i < 9 else "test") + "img/0.png,cat,test\n"
    assert "line 14: split is 'test'; allowed is 'train', as in line 2" in refused(write(text))


def test_several_wrong_rows_are_counted(write: Write) -> None:
    text = lines() + "".join(f"img/x{i}.png,cat\n" for i in range(9))
    assert "line 14: path is 'img/x0.png'" in (message := refused(write(text)))
    assert message.endswith("8 more rows are wrong (lines 15, 16, 17, 18, 19, …)")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "begins with ''; its first line must name the columns"),
        ("file,class\na,b\n", "begins with 'file,class'; its first line must name the columns, among them path and"),
        ("path,label\n", "has no rows"),
        ("path,label,Path\nimg/0.png,cat,x\n", "the column path is there twice"),
        (b"path,label\nimg/0.png,caf\xe9\n", "line 2: the byte 0xe9 can't be decoded; save the file as UTF-8"),
        (b"\xff\xfepath\0", "can't be decoded"),
        ("path,label\nimg/0.png,cat\nimg/1.png,cat\n", "the data has 1 class; a classifier needs at least 2"),
        (lines(6), "too few images in cat (3), dog (3)"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_refused(write: Write, text: str | bytes, told: str) -> None:
    assert told in refused(write(text))


def test_a_table_of_numbers_is_refused_in_a_short_message(write: Write) -> None:
    rows = "".join(f"img/{i}.png,{i / 7}\n" for i in range(24))
    assert "and 14 more" in refused(write("path,label\n" + rows))


def test_an_unreadable_picture_is_told_or_left_out_as_the_option_says(write: Write, folder: Path) -> None:
    (folder / "img" / "0.png").write_bytes(b"no picture")
    path = write(lines(14))
    assert "0.png can't be read as an image" in refused(path)
    images = data_sources.load(str(path), 32, data_sources.Decoder(skips=True))
    assert len(images) == 13
    assert images.skipped == (str(folder / "img" / "0.png"),)
