"""What both kinds of model offer beyond computing: worker processes, and a place on the hub."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vicinal.errors import InputError

if TYPE_CHECKING:
    from vicinal.models.workers import WorkerPool


class Sharing:
    """Base of the models."""

    def evaluate(self, evaluator: Any, output_path: str | os.PathLike[str] | None = None) -> Any:
        """Call an evaluator with this model.

        Args:
            evaluator: called with ``(model, output_path)``.
            output_path: the folder for its files, made if absent.
        """
        if output_path is not None:
            Path(output_path).mkdir(parents=True, exist_ok=True)
        return evaluator(self, None if output_path is None else os.fspath(output_path))

    def push_to_hub(
        self,
        repo_id: str,
        token: str | bool | None = None,
        private: bool | None = None,
        safe_serialization: bool = True,
        commit_message: str | None = None,
        local_model_path: str | os.PathLike[str] | None = None,
        exist_ok: bool = False,
        replace_model_card: bool = False,
        train_datasets: Sequence[str] | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Save the model to a repository of the hub; see :func:`vicinal.hub.publish.push_to_hub`.

        Returns:
            The address of the commit.
        """
        from vicinal.hub.publish import push_to_hub

        if not safe_serialization:
            raise InputError(
                "safe_serialization=False: weights are written as safetensors only; leave it out"
            )
        return push_to_hub(
            self,
            repo_id,
            token=token,
            private=private,
            commit_message=commit_message,
            local_model_path=local_model_path,
            exist_ok=exist_ok,
            replace_model_card=replace_model_card,
            train_datasets=train_datasets,
            revision=revision,
            create_pr=create_pr,
        )

    def save_to_hub(self, repo_id: str, organization: str | None = None, **options: Any) -> str:
        """The old name of :meth:`push_to_hub`, whose other arguments it takes."""
        from vicinal.hub.publish import save_to_hub

        return save_to_hub(self, repo_id, organization, **options)

    def start_multi_process_pool(self, target_devices: Sequence[Any] | None = None) -> WorkerPool:
        """Start worker processes with copies of this model.

        Args:
            target_devices: one worker each: ``["cuda:0", "cuda:1"]``, ``["cpu"] * 4``; default all GPUs, or
                the processor's cores.
        """
        from vicinal.models.workers import WorkerPool

        return WorkerPool(self, target_devices)

    @staticmethod
    def stop_multi_process_pool(pool: WorkerPool) -> None:
        """End the workers of a pool."""
        pool.close()


def check_safe(safe_serialization: bool) -> None:
    """Refuse to write pickles.

    Raises:
        InputError: ``safe_serialization`` is False.
    """
    if not safe_serialization:
        raise InputError("safe_serialization=False: weights are written as safetensors only; leave it out")
