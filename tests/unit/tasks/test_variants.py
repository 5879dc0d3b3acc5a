"""Folders of the models of one recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import seq2seq
from seq2seq.errors import UserError
from tests.tiny_runs import generator_task


def test_names_in_any_script_have_folders_of_their_own(tmp_path: Path) -> None:
    config = generator_task(tmp_path)
    folders = {
        name: seq2seq.variant_folder(config, name) for name in ("LSTM, one  direction", "Анна", "李", "李_二", "हिन्दी")
    }
    assert [folder.name for folder in folders.values()] == ["lstm-one-direction", "анна", "李", "李-二", "हिन्दी"]
    written = seq2seq.train_variants(dict.fromkeys(folders, config), lambda _, variant: variant.output)
    assert written == {name: str(folder) for name, folder in folders.items()}


def test_one_name_has_one_folder_however_its_accents_are_spelled(tmp_path: Path) -> None:
    config = generator_task(tmp_path)
    assert seq2seq.variant_folder(config, "e\u0301te\u0301") == seq2seq.variant_folder(config, "\u00e9t\u00e9")


def test_names_that_would_share_a_folder_are_refused(tmp_path: Path) -> None:
    config = replace(generator_task(tmp_path), output=str(tmp_path))
    trained = []
    with pytest.raises(UserError, match=f"'a b' and 'a, b' would share the folder {tmp_path / 'a-b'}; rename one"):
        seq2seq.train_variants(dict.fromkeys(("c", "a b", "a, b"), config), lambda name, _: trained.append(name))
    assert not trained
