"""The page is what people look at: it works offline, in a real browser, without an error."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from sttn.evaluation.attention import attention_map, overlay
from sttn.evaluation.cases import ProtocolConfig, find_cases
from sttn.evaluation.methods import read_networks
from sttn.evaluation.panes import film, picture
from sttn.evaluation.report import PageConfig, write_report
from sttn.evaluation.runs import evaluate
from sttn.evaluation.scoring import ScoringConfig
from sttn.model.attention import attend, attention_weights
from sttn.settings.weights import DEFAULT_WEIGHTS
from tests.sttn.evaluation.conftest import write_clips, write_weights

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A run's page."""
    folder = tmp_path_factory.mktemp("run")
    sources = find_cases(write_clips(folder / "clips"), ProtocolConfig())
    weights = write_weights(folder / "tiny.safetensors")
    networks = read_networks([weights], ["balanced"], CPU)
    store = folder / "store"
    settings = {"footage": "</script><b>clips</b>", "protocol": {"protocol": "stationary"}}
    results = evaluate(sources, networks, ["telea"], ScoringConfig(), store, settings)
    config = PageConfig(films=2, worst=3, maps=1)
    return results, write_report(results, sources, networks, store, folder / "report", config)


def pixels(page, selector: str) -> list[int]:
    """What a canvas shows: every hundred-and-first value."""
    return page.evaluate(
        """selector => {
            const canvas = document.querySelector(selector);
            const pen = canvas.getContext("2d");
            const shown = pen.getImageData(0, 0, canvas.width, canvas.height).data;
            return Array.from(shown).filter((_, place) => place % 101 === 0);
        }""",
        selector,
    )


def test_the_page_shows_everything(report, page):
    """Tables, published rows, dots, worst frames, films, attention, settings; no request."""
    results, path = report

    page.goto(path.as_uri())
    page.wait_for_function("document.querySelectorAll('#maps canvas').length > 1")

    assert page.title() == "tiny on 3 clips"
    assert page.locator("#methods tbody tr").count() == 2
    shown = page.locator("#methods tr.network td.hole").first.inner_text()
    assert shown.startswith(f"{results.summary('tiny', 'hole_psnr').mean:.2f}")
    assert "other masks" in page.locator("#published summary").inner_text()
    assert page.locator("#dots .dot").count() == 6
    assert page.locator("#stills figure").count() == 3
    assert page.locator("#players figure").count() == 2
    assert page.locator("#maps .drawn").count() == 1
    assert "</script><b>clips</b>" in page.locator("#settings").inner_text()
    assert "torch" in page.locator("#settings").inner_text()


def test_worst_frames_come_first(report, page):
    """By the first network's main metric."""
    results, path = report
    worst = results.worst("tiny", "hole_psnr", 3)

    page.goto(path.as_uri())

    names = page.locator("#stills .name span:first-child").all_inner_texts()
    assert names == [video.name for video, _, _ in worst]
    assert worst[0][2] <= worst[1][2] <= worst[2][2]


def test_a_slider_wipes_between_result_and_truth(report, page):
    """All to the right shows the result alone, all to the left the truth alone."""
    _, path = report
    page.goto(path.as_uri())
    page.wait_for_timeout(300)
    slider = page.locator("#stills figure input").first
    seen = []
    for place in ("0", "1000"):
        slider.fill(place)
        seen.append(np.array(pixels(page, "#stills canvas")))

    page.locator("#stills figure select").nth(1).select_option("tiny")
    slider.fill("0")
    other_side = np.array(pixels(page, "#stills canvas"))

    truth, result = seen
    assert np.abs(truth - result).mean() > 0.5
    # But for the line itself, which lies at the edge.
    assert np.abs(other_side - result).mean() < np.abs(truth - result).mean() / 2


def test_films_play_and_jump(report, page):
    """The cursor stands at the frame that is shown."""
    results, path = report
    page.goto(path.as_uri())
    curve = page.locator("#players .curve").first
    curve.scroll_into_view_if_needed()
    page.wait_for_function(
        "document.querySelector('#players canvas').getContext('2d')"
        ".getImageData(40, 40, 1, 1).data[3] > 0"
    )
    before = pixels(page, "#players canvas")
    box = curve.bounding_box()

    curve.click(position={"x": box["width"] * 0.9, "y": 40})
    page.wait_for_function(
        "+document.querySelector('#players .curve line').getAttribute('x1') > 500"
    )
    after = pixels(page, "#players canvas")
    page.locator("#players button").first.click()

    assert np.abs(np.subtract(before, after)).mean() > 1
    page.wait_for_function("document.querySelector('#players button').textContent === 'pause'")
    assert results.videos[0].frames == 6


def test_metric_and_part_can_be_chosen(report, page):
    """Dots move, columns change."""
    _, path = report
    page.goto(path.as_uri())
    place = "document.querySelector('#dots .dot').getAttribute('cx')"
    before = page.evaluate(place)

    page.locator("#metric").select_option("hole_flicker")
    page.get_by_role("button", name="whole frame").click()

    assert page.evaluate(place) != before
    assert page.locator("#methods td.whole").first.is_visible()
    assert not page.locator("#methods td.hole").first.is_visible()


def test_a_narrow_window_scrolls_tables_only(report, page):
    """Whoever reads it beside something else: no sentence, button or setting is cut off."""
    _, path = report
    page.set_viewport_size({"width": 360, "height": 800})

    page.goto(path.as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("#dots svg").first.bounding_box()["width"] > 600


def test_without_a_truth_there_is_a_page_too(tmp_path, page):
    """Worst by steadiness; the wipe's other side is the plate with its hole marked. Files may be
    called anything.
    """
    name = '50%20 "é" #1 & {{data}}, a clip whose name says what is on it'
    write_clips(tmp_path / "clips #2 ü")
    (tmp_path / "clips #2 ü" / "bank").rename(tmp_path / "clips #2 ü" / name)
    config = ProtocolConfig(protocol="removal", pattern="50*", width=144, height=96)
    sources = find_cases(tmp_path / "clips #2 ü", config)
    weights = write_weights(tmp_path / "{{style}} <b>.safetensors")
    networks = read_networks([weights], ["fast"], CPU)
    store = tmp_path / "store"
    results = evaluate(sources, networks, [], ScoringConfig(), store, {"footage": "clips"})
    written = write_report(results, sources, networks, store, tmp_path / "a #3 é", PageConfig())

    page.goto(written.as_uri())
    page.locator("#dots a text").click(position={"x": 9, "y": 9})

    assert page.title() == "{{style}} <b> on 1 clips"
    assert page.evaluate("document.querySelector(':target').id") == f"film-{name}"
    assert page.locator("#stills figure").count() == 1
    assert page.locator("#stills select").nth(1).input_value() == "hole"
    assert page.locator("#maps .drawn").count() == 1
    assert page.locator("#players figure").count() == 1


def test_the_page_stays_small(report):
    """Pictures and films are compressed, and counted out by the settings."""
    _, path = report
    content = path.read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', content, re.DOTALL)[1])

    assert path.stat().st_size < 600_000
    assert [video["film"] is not None for video in data["videos"]] == [True, True, False]


def test_attention_is_the_networks_own(clips, weights):
    """Weights that are shown sum to one, leave holes out, and are those that attention uses."""
    (network,) = read_networks([weights], ["balanced"], CPU)
    case = find_cases(clips, ProtocolConfig())[0].read()

    found = attention_map(network, case, 2)

    assert found.seen[0] == 2
    assert set(found.seen) == set(range(6))
    assert found.shares.sum() == pytest.approx(1, abs=1e-4)
    assert found.density.shape == (6, 96, 144)
    assert found.density.mean() == pytest.approx(1, rel=0.05)
    hidden = case.masks[0, 44:60, 64:76]
    assert hidden.all()
    inside = found.density[:, 44:60, 64:76].mean()
    assert inside < found.density.mean()
    query, key, value = torch.randn(3, 1, 6, 8).unbind(0)
    torch.testing.assert_close(
        attend(query, key, value, None), attention_weights(query, key, None) @ value
    )


def test_attention_of_a_hole_of_one_pixel_is_its_own(clips):
    """A speck is asked about where it lies, not as if the whole frame were missing."""
    (network,) = read_networks([DEFAULT_WEIGHTS], ["balanced"], CPU)
    for scale in network.generator.transformer[-1].attention.query_embedding.parameters():
        scale.data *= 2  # choosier than what ships, so that places differ clearly
    case = find_cases(clips, ProtocolConfig())[0].read()
    at = {}
    for x in (10, 11, 130):
        speck = np.zeros_like(case.masks)
        speck[:, 50, x] = True
        at[x] = attention_map(network, replace(case, masks=speck), 2).density

    assert np.abs(at[10] - at[11]).mean() < 0.05
    assert np.abs(at[10] - at[130]).mean() > 0.2


def test_an_overlay_is_yellow_where_much_was_drawn_from():
    """And dim elsewhere."""
    frame = np.full((4, 4, 3), 100, np.uint8)
    density = np.ones((4, 4), np.float32)
    density[0, 0] = 5

    shown = overlay(frame, density, 5)

    assert shown[1, 1].tolist() == [40, 40, 40]
    assert shown[0, 0].tolist() == [170, 151, 55]


def test_panes_lie_in_rows():
    """Five panes make three columns; films have even sides, whatever the clip's."""
    panes = {name: np.zeros((3, 40, 61, 3), np.uint8) for name in "abcde"}

    sheet = film(panes, 12, 60)
    still = picture({name: clip[0] for name, clip in panes.items()}, 80)

    assert (sheet.columns, sheet.width, sheet.height) == (3, 60, 40)
    assert (still.columns, still.width, still.height) == (3, 61, 40)
    assert sheet.uri.startswith("data:video/webm;base64,")
    assert still.uri.startswith("data:image/webp;base64,")
