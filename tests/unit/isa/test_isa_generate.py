"""The generated files are those the definition gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import InputError
from accelsim.isa import generate


def test_generated_files_are_up_to_date() -> None:
    assert generate.main(["--check"]) == 0


def test_generated_files_say_where_they_come_from() -> None:
    for path, text in generate.outputs().items():
        assert generate.COMMAND in "\n".join(text.splitlines()[:5]), path
        assert "do not edit" in text


def test_writing_and_checking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "opcodes.py"
    monkeypatch.setattr(generate, "outputs", lambda: {target: "text\n"})
    with pytest.raises(InputError, match=r"opcodes\.py: out of date"):
        generate.main(["--check"])
    assert generate.main([]) == 0
    assert target.read_text() == "text\n"
    assert generate.main(["--check"]) == 0
    target.write_text("edited\n")
    with pytest.raises(InputError, match=r"opcodes\.py: out of date"):
        generate.main(["--check"])


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="unknown argument; expected nothing or --check"):
        generate.main(["--chekc"])
