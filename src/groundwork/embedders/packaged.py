"""The model shipped in the package: where its files are and which weights they are. Light to import."""

import hashlib
from functools import cache
from pathlib import Path

from groundwork.embedders import Model

MODEL_DIR = Path(__file__).resolve().parent / "model"
MAX_TOKENS = 256
"""What the model was trained to read, special tokens included."""

_NAME, _DIMENSION = "all-MiniLM-L6-v2-int8", 384


def model_file() -> Path:
    """The graph in OpenVINO's format; its weights lie beside it as `model.bin`."""
    return MODEL_DIR / "model.xml"


def tokenizer_file() -> Path:
    """The tokenizer in the format of the `tokenizers` library, without padding or truncation."""
    return MODEL_DIR / "tokenizer.json"


@cache
def packaged_model() -> Model:
    """Name, revision and dimension; the revision is a digest of weights and tokenizer, 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in (model_file().with_suffix(".bin"), tokenizer_file()):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return Model(name=_NAME, revision=digest.hexdigest()[:12], dimension=_DIMENSION)
