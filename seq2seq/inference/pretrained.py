"""What trained models of every kind have in common: saving, loading and sharing, after the Hub's habits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from huggingface_hub import ModelHubMixin

from seq2seq.config import to_dict, write_run_config
from seq2seq.errors import UserError, check
from seq2seq.runs.hub import find_run, uploaded
from seq2seq.runs.layout import CONFIG_FILE, refuse_to_save
from seq2seq.runs.stored_model import Build, Kind, Stored, stored_of_kind
from seq2seq.runs.weights import save_model
from seq2seq.runtime.device import device_named
from seq2seq.runtime.paths import checked_path

Trained = TypeVar("Trained", bound="Pretrained")


class Pretrained(ModelHubMixin):
    """A trained model ready for use. `from_pretrained`, `save_pretrained` and `push_to_hub` follow the Hub's habits."""

    kind: ClassVar[Kind]
    model: Any
    """A torch module; each class names its type."""
    config: Any
    built_by: str = ""
    """The user's function that built the model, module:name; empty of a standard model."""

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return next(self.model.parameters()).device

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """As the Hub's habit is. Raises UserError, before a file is touched, where a training run or files of others
        lie in the directory; and where the model cannot be written there."""
        check(save_directory != "", "save_directory must not be empty; give a folder")
        directory = checked_path(save_directory, "save_directory", "a folder")
        check(directory.is_dir() or not directory.exists(), f"{directory}: is a file; give a folder to save the model")
        refuse_to_save(directory)
        try:
            saved: str | None = super().save_pretrained(directory, **options)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"{directory}: cannot save the model there ({reason}); give another folder") from None
        return saved

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """As the Hub's habit is. Raises UserError where the Hub does not take the model: a name that it does not allow,
        no network, no right to write there."""
        kind = type(repo_id).__name__
        check(repo_id != "", "repo_id must not be empty; give a Hub id such as owner/name")
        check(isinstance(repo_id, str), f"repo_id is of type {kind}; give a Hub id such as owner/name")
        return uploaded(repo_id, lambda: super(Pretrained, self).push_to_hub(repo_id, **options))

    def _save_pretrained(self, save_directory: Path) -> None:
        """Writes what `load` needs: config.json, the model's other files, and model.safetensors, bound to them."""
        save_directory.mkdir(parents=True, exist_ok=True)
        stored = {"model": to_dict(self.config), **self.further_settings()}
        write_run_config(save_directory / CONFIG_FILE, stored, self.kind, self.built_by)
        self.save_belongings(save_directory)
        save_model(self.model, save_directory)

    def further_settings(self) -> dict[str, Any]:
        """Sections of config.json besides the model that `load` needs."""
        return {}

    def save_belongings(self, directory: Path) -> None:
        """Writes vocabularies and settings of the search, as far as the model has any."""
        raise NotImplementedError

    @classmethod
    def from_pretrained(
        cls: type[Trained], pretrained_model_name_or_path: str | Path, *, build: Build | None = None, **options: Any
    ) -> Trained:
        """`load`, by the name that the Hub has for it, with its options. Raises UserError where no model of this kind
        is there."""
        device = str(device_named(options.pop("device", "cpu")))
        directory = find_run(pretrained_model_name_or_path, options)
        return cls.from_run(directory, stored_of_kind(directory, cls.kind, build), device, build)

    @classmethod
    def from_run(
        cls: type[Trained], directory: Path, stored: Stored, device: str, build: Build | None = None
    ) -> Trained:
        """The model of a run directory. Raises UserError where a file is missing or damaged."""
        trained = cls.assembled(directory, stored.model, build)
        trained.model.to(device)
        trained.built_by = stored.built_by
        return trained

    @classmethod
    def assembled(cls: type[Trained], directory: Path, model: dict[str, Any], build: Build | None) -> Trained:
        """`from_run`, on the CPU. model: the model's part of the configuration."""
        raise NotImplementedError
