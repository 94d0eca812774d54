"""Which language a text is written in, as kreuzberg's detector sees it."""

from functools import cache
from typing import Any

_LOOKED_AT = 4_000
"""Characters that decide; more changes nothing and costs time."""
_LEAST_CONFIDENCE = 0.5

_CODES = (
    "afr:af aka:ak amh:am ara:ar aze:az bel:be ben:bn bul:bg cat:ca ces:cs cmn:zh dan:da deu:de ell:el eng:en epo:eo "
    "est:et fin:fi fra:fr guj:gu heb:he hin:hi hrv:hr hun:hu hye:hy ind:id ita:it jav:jv jpn:ja kan:kn kat:ka khm:km "
    "kor:ko lat:la lav:lv lit:lt mal:ml mar:mr mkd:mk mya:my nep:ne nld:nl nob:nb ori:or pan:pa pes:fa pol:pl por:pt "
    "ron:ro rus:ru sin:si slk:sk slv:sl sna:sn spa:es srp:sr swe:sv tam:ta tel:te tgl:tl tha:th tuk:tk tur:tr ukr:uk "
    "urd:ur uzb:uz vie:vi yid:yi zho:zh zul:zu"
)
"""What the detector says, ISO 639-3, and its two letters."""
_TWO_LETTERS = {pair[:3]: pair[4:] for pair in _CODES.split()}


def language_of(text: str) -> str | None:
    """The language in ISO 639-1; None when the text is too short or too mixed to tell."""
    from kreuzberg import extract_bytes_sync  # heavy, and only processes that take documents in need it

    sample = text[:_LOOKED_AT].strip()
    if not sample:
        return None
    # Whatever the text holds, it is read as plain words here: nothing is parsed.
    found = extract_bytes_sync(sample.encode("utf-8", "replace"), "text/plain", _options()).detected_languages
    return _TWO_LETTERS.get(found[0]) if found else None


@cache
def _options() -> Any:
    from kreuzberg import ExtractionConfig, LanguageDetectionConfig

    detection = LanguageDetectionConfig(enabled=True, min_confidence=_LEAST_CONFIDENCE, detect_multiple=False)
    return ExtractionConfig(use_cache=False, language_detection=detection)
