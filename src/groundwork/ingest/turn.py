"""Pages of PDFs as pictures, and pictures turned upside down, by the PDF renderer alone.

A picture is turned by being put on the page of a PDF as it is, compressed, and that page rendered by 180 degrees.
"""

import contextlib
import os
import tempfile
from collections.abc import Generator

_DPI = 300
"""What Tesseract's makers advise; letters of 20 to 30 pixels."""
_LOW_DPI = 36
_MOST_PIXELS = 25_000_000
"""A page larger than A3 at 300 dpi is a plan or a poster, and its letters are larger too."""
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_COLOURS = {0: 1, 2: 3}
_SPACES = {1: b"/DeviceGray", 3: b"/DeviceRGB"}
_POINTS_PER_INCH = 72


@contextlib.contextmanager
def as_file(content: bytes) -> Generator[str]:
    """The path of a file that holds `content`, gone afterwards, however this process ends where the system can."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("groundwork")
        try:
            with os.fdopen(os.dup(handle), "wb") as file:
                file.write(content)
            yield f"/proc/{os.getpid()}/fd/{handle}"
        finally:
            os.close(handle)
        return
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        file.write(content)
        file.flush()
        yield file.name


def page_picture(path: str, index: int) -> bytes:
    """The page, counted from 0, of the PDF at `path` as a PNG of 300 dpi, or fewer where that were too many pixels."""
    from kreuzberg import render_pdf_page

    width, height = _png_size(render_pdf_page(path, index, dpi=_LOW_DPI))
    pixels = max(width * height, 1) * (_DPI / _LOW_DPI) ** 2
    dpi = _DPI if pixels <= _MOST_PIXELS else max(int(_DPI * (_MOST_PIXELS / pixels) ** 0.5), 1)
    return render_pdf_page(path, index, dpi=dpi)


def upside_down(image: bytes) -> bytes | None:
    """A PNG or JPEG turned by 180 degrees, as a PNG; None for a kind of picture that cannot be turned here."""
    described = _described(image)
    if described is None:
        return None
    width, height, described_image = described
    if width * height > _MOST_PIXELS:
        return None
    with as_file(_one_page(width, height, described_image)) as path:
        from kreuzberg import render_pdf_page

        return render_pdf_page(path, 0, dpi=_DPI)


def _described(image: bytes) -> tuple[int, int, bytes] | None:
    """Width and height in pixels, and the picture as a PDF holds it."""
    if image.startswith(_PNG_START):
        width, height = _png_size(image)
        depth, colour, *_, interlace = image[24:29]
        if depth != 8 or colour not in _PNG_COLOURS or interlace:
            return None
        count = _PNG_COLOURS[colour]
        parameters = b"/DecodeParms << /Predictor 15 /Colors %d /BitsPerComponent 8 /Columns %d >>" % (count, width)
        return width, height, _picture(width, height, count, b"/FlateDecode " + parameters, _png_data(image))
    jpeg = _jpeg_size(image)
    if jpeg is None or jpeg[2] not in _SPACES:
        return None
    return *jpeg[:2], _picture(*jpeg, b"/DCTDecode", image)


def _picture(width: int, height: int, colours: int, filters: bytes, data: bytes) -> bytes:
    head = b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace %s /BitsPerComponent 8 /Filter %s" % (
        width,
        height,
        _SPACES[colours],
        filters,
    )
    return head + b" /Length %d >>\nstream\n" % len(data) + data + b"\nendstream"


def _one_page(width: int, height: int, picture: bytes) -> bytes:
    box = (width * _POINTS_PER_INCH / _DPI, height * _POINTS_PER_INCH / _DPI)
    draw = b"%.3f 0 0 %.3f 0 0 cm /I Do" % box
    page = b"<< /Type /Page /Parent 2 0 R /Rotate 180 /MediaBox [0 0 %.3f %.3f] /Contents 4 0 R " % box
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        page + b"/Resources << /XObject << /I 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(draw), draw),
        picture,
    ]
    out = bytearray(b"%PDF-1.7\n")
    offsets: list[int] = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)


def _png_size(png: bytes) -> tuple[int, int]:
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _png_data(png: bytes) -> bytes:
    parts: list[bytes] = []
    at = len(_PNG_START)
    while at + 8 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            parts.append(png[at + 8 : at + 8 + length])
        at += length + 12
    return b"".join(parts)


def _jpeg_size(jpeg: bytes) -> tuple[int, int, int] | None:
    """Width, height and number of colours, from the start of the first frame."""
    if not jpeg.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 10 <= len(jpeg) and jpeg[at] == 0xFF:
        kind, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = (int.from_bytes(jpeg[at + n : at + n + 2], "big") for n in (5, 7))
            return width, height, jpeg[at + 9]
        at += length + 2
    return None
