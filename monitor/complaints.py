"""What is wrong with a file that a person wrote: the key, what was found, the nearest known word."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pydantic
from rapidfuzz import process


def explain(error: pydantic.ValidationError, model: type[pydantic.BaseModel], forms: Mapping[str, str] | None = None) -> str:
    """The first mistake: key, what was found, what was expected, the nearest known key. `forms` words patterns."""
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])  # a misspelt key is also a missing one
    key = ".".join(str(part) for part in first["loc"])
    found = repr(first.get("input"))[:80]
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key{nearest(str(first['loc'][-1]), _fields(model, first['loc'][:-1]))}"
    expected = (forms or {}).get(str(first.get("ctx", {}).get("pattern")))
    said = first.get("ctx", {}).get("error") if first["type"] == "value_error" else None  # a validator of ours, in its own words
    return f"{key}: found {found}, {said}" if said else f"{key}: found {found}, expected: {expected or first['msg']}"


def _fields(model: type[pydantic.BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys known at `path` inside a model."""
    current: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        annotation = current.model_fields[part].annotation
        inner = [a for a in (annotation, *getattr(annotation, "__args__", ())) if hasattr(a, "model_fields")]
        if not inner:
            return []
        current = inner[0]
    return [f.alias or name for name, f in current.model_fields.items()]


def nearest(word: str, known: Collection[str]) -> str:
    """` (did you mean 'x'?)`, or the list of what is known."""
    best = process.extractOne(word, known, score_cutoff=50)
    return f"; did you mean {best[0]!r}?" if best else f"; known: {', '.join(known)}"
