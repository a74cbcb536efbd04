"""Options that travel with their files."""

from pathlib import Path

from bo_worker.fleet.option_files import serialize_options, unpacked


def test_files_arrive_with_what_is_in_them_and_are_gone_afterwards(tmp_path: Path) -> None:
    space, directory = tmp_path / "space.yaml", tmp_path / "trials"
    space.write_text("parameters: {}")
    sent = serialize_options({"space": space, "directory": directory, "study": "s", "ca": None}, {})
    space.unlink()
    with unpacked(sent) as options:
        arrived = options["space"]
        assert arrived.name == "space.yaml"  # the suffix says how it is read
        assert arrived.read_text() == "parameters: {}"
        assert arrived.stat().st_mode & 0o077 == arrived.parent.stat().st_mode & 0o077 == 0
        assert options == {"space": arrived, "directory": directory, "study": "s", "ca": None}
    assert not arrived.parent.exists()


def test_the_token_of_the_environment_goes_along_and_is_shown_nowhere() -> None:
    sent = serialize_options({"token_file": None}, {"BO_TOKEN": "bo_secret"})
    assert "bo_secret" not in repr(sent)
    with unpacked(sent) as options:
        assert options["token_file"].read_text() == "bo_secret"


def test_a_token_file_comes_before_the_environment(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("bo_file")
    with unpacked(serialize_options({"token_file": tmp_path / "t"}, {"BO_TOKEN": "bo_environment"})) as options:
        assert options["token_file"].read_text() == "bo_file"
