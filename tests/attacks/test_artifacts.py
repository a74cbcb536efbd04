"""Files of trials that are something else than they say: never run, never rendered, never saved elsewhere."""

import zlib
from struct import pack

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import optimization_service_pb2_grpc as rpc

from tests.e2e.dashboard.conftest import Site

pytestmark = pytest.mark.xdist_group("attacks-dashboard")

SCRIPT = b"<script>window.pwned = 1; top.pwned = 1</script>"


def chunk(kind: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """An image of stripes."""
    rows = b"".join(b"\0" + (b"\x0b\x63\xa5" if y // 16 % 2 else b"\xf2\xa1\x54") * width for y in range(height))
    head = chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PNG = png(640, 480)
GIF = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xfe%" + b"<script>window.pwned = 1</script>/*.*/" + b"\0;"
FILES = {
    "picture.png": ("image/png", PNG),
    "table.json": ("application/json", b"[]"),
    "page.html": ("text/html", SCRIPT),
    "picture.svg": ("image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg" onload="window.pwned = 1">' + SCRIPT),
    "false.png": ("image/png", b"<html>" + SCRIPT),
    "false.webp": ("image/webp", b'<svg xmlns="http://www.w3.org/2000/svg">' + SCRIPT + b"</svg>"),
    "both.gif": ("text/html", GIF),
    "appended.png": ("image/png", PNG + SCRIPT),
}
DRAWN = {"picture.png": "image/png", "appended.png": "image/png", "both.gif": "image/gif"}
"""What is an image by its first bytes, and of which kind."""


@pytest.fixture(scope="module")
def study(site: Site) -> bo_client.Study:
    with site.client() as client:
        found = client.create_study("files", {"x": (0.0, 1.0)}, "loss", direction="minimize", algorithm="quasi_random")
        found.add({"x": 0.5}, 1.0)
        found.set_note(1, SCRIPT.decode())
        for name, (media_type, content) in FILES.items():
            found.add_artifact(1, content, name=name, media_type=media_type)
        found.add_artifact(1, "javascript://x/%0Awindow.pwned=1", name="elsewhere", media_type="text/html")
        found.suggest(worker_id="w")
        return found


@pytest.mark.parametrize("name", FILES)
def test_the_bytes_are_saved_and_never_a_page(site, study, name: str) -> None:
    path = f"/data/studies/{study.id}/trials/1/artifacts/{name}"
    answer = site.ask(path)
    assert answer.body == FILES[name][1]
    assert answer.headers["content-type"] == DRAWN.get(name, "application/octet-stream")
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert site.ask(f"{path}?image").status == (200 if name in DRAWN else 415)
    assert site.ask(path, role=None).status == 401


@pytest.mark.parametrize("name", ["../trials/1", "..%2f..", "a%0d%0ax:%20y", "%00", "gone"])
def test_no_other_name_is_read(site, study, name: str) -> None:
    answer = site.ask(f"/data/studies/{study.id}/trials/1/artifacts/{name}")
    assert answer.status in (400, 404)
    assert "x" not in answer.headers


@pytest.mark.parametrize(("theme", "width"), [("light", 1366), ("dark", 390)])
def test_images_are_drawn_and_nothing_is_run(browser, site, study, theme: str, width: int) -> None:
    browser.sign_in(site, "reader")
    browser.looks(theme, width)
    browser.open(f"{site.url}/studies/{study.id}#trials")
    browser.reads("#connection", "live")
    browser.run("document.querySelector(\"[data-trial='1']\").click()")
    browser.reads("#trial-content", "elsewhere")
    browser.run("document.querySelectorAll('.file img').forEach((image) => (image.loading = 'eager'))")
    state = "return [...document.querySelectorAll('.file img')].map((i) => [i.alt, i.complete, i.naturalWidth])"
    browser.until(lambda: browser.run(state) == [["appended.png", True, 640], ["picture.png", True, 640]])
    links = browser.run("return [...document.querySelectorAll('.file a')].map((a) => [a.download, a.pathname])")
    assert links == [[n, f"/data/studies/{study.id}/trials/1/artifacts/{n}"] for n in sorted(FILES)]
    told = browser.one("#trial-content").text
    assert "javascript://x/" in told
    assert SCRIPT.decode() in told
    assert not browser.all("#note")  # readers are offered nothing to write
    wide = "const c = document.querySelector('#trial-content'); return c.scrollWidth - c.clientWidth"
    assert browser.run(wide) <= 0
    browser.open(f"{site.url}/data/studies/{study.id}/trials/1/artifacts/page.html")
    assert browser.run("return [window.pwned ?? null, location.pathname.endsWith('page.html')]") == [None, False]
    refused = [told for told in browser.complaints() if "status of 415" in told]
    assert [any(name in told for told in refused) for name in ("false.png", "false.webp")] == [True, True]


def test_a_worker_writes_a_note_on_the_page(browser, site, study) -> None:
    browser.sign_in(site, "worker")
    browser.looks()
    browser.open(f"{site.url}/studies/{study.id}#trials")
    browser.reads("#connection", "live")
    browser.click("[data-trial='2']")
    browser.write("#note", "two\nlines")
    browser.click("[data-act='write']")
    with site.client() as client:
        browser.until(lambda: client.study(study.id).trial(2).note is not None)
        note = client.study(study.id).trial(2).note
    assert note.text == "two\nlines"
    assert note.author.startswith("tokens/")
    browser.reads("#trial-content", f"By {note.author}")


def refusal(site: Site, role: str, method: str, request: object) -> grpc.StatusCode | None:
    with grpc.insecure_channel(site.address, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            metadata = [("authorization", f"Bearer {site.tokens[role]}")]
            getattr(rpc.OptimizationServiceStub(channel), method)(request, timeout=60, metadata=metadata)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return None


def test_readers_write_nothing_and_strangers_to_a_study_see_nothing(site, study) -> None:
    name = f"{study.name}/trials/1"
    adding = pb.AddArtifactRequest(name=name, artifact_id="a", media_type="text/plain", content=b"x")
    writing = pb.SetTrialNoteRequest(name=name, text="x")
    listing = pb.ListArtifactsRequest(parent=name)
    getting = pb.GetArtifactRequest(name=f"{name}/artifacts/picture.png")
    asked = (("AddArtifact", adding), ("SetTrialNote", writing), ("ListArtifacts", listing), ("GetArtifact", getting))
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert [refusal(site, "reader", *one) for one in asked] == [denied, denied, None, None]
    assert [refusal(site, "mine", *one) for one in asked] == [denied] * 4


def test_a_file_too_large_is_refused_by_its_length_alone(site, study) -> None:
    """By gRPC the announced length is enough; over HTTP the header is."""
    huge = pb.AddArtifactRequest(
        name=f"{study.name}/trials/1", artifact_id="a", media_type="text/plain", content=b"x" * (5 * 2**20)
    )
    assert refusal(site, "worker", "AddArtifact", huge) is grpc.StatusCode.RESOURCE_EXHAUSTED
    path = "/bo_api.v1.OptimizationService/AddArtifact"
    assert site.ask(path, b"{}", "worker", content_length=str(2**40)).status == 429
