"""What the training lab offers beside batch norm in dense networks, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from book.race.scenes import SCENES
from tests.browser.gestures import SMALL, at_step, canvases, drag_slider, open_lab, wait_for_address
from tests.browser.opened import enter

pytestmark = pytest.mark.browser


@pytest.fixture
def page(inside: Page) -> Page:
    return inside


CONV = SMALL + "&network=cnn&batch_size=8"
RING = "/training-lab?network=gan&dataset=ring&depth=2&width=16&replicas=2&lanes=none,batch,spectral"
OWN = {
    "group": ["groups"],
    "spectral": ["iterations"],
    "renorm": ["r_max", "d_max", "momentum"],
    "dyt": ["alpha"],
    "batch": ["momentum"],
}


def rows(page: Page) -> list[str]:
    """The table of lanes, a text a row."""
    return page.locator(".standing tbody tr").all_inner_texts()


def figure(page: Page, name: str) -> Locator:
    """A picture with its caption."""
    return page.locator(f"figure[data-figure={name}]")


def verdict(page: Page) -> Locator:
    """The sentence of how the race stands."""
    return page.locator(".verdict .text")


def question(page: Page) -> Locator:
    """The box of a scene's question."""
    return page.get_by_label("Prediction", exact=True)


def measured(page: Page) -> None:
    """Wait until every lane's cost is there."""
    expect(page.locator(".standing tbody")).not_to_contain_text("…")


def test_parameters_and_cost_stand_beside_each_accuracy(page: Page) -> None:
    enter(page, SMALL + "&step=40&lanes=none,batch")
    at_step(page, 40)
    measured(page)
    none, batch = rows(page)
    for row, name, parameters in ((none, "no norm", "1,482"), (batch, "batch norm", "1,514")):
        assert re.search(rf"{name}\s+\d+\.\d% \(.*\)\s+{parameters}\s+[\d.]+ ms", row), row
    said = verdict(page).inner_text()
    for row in (none, batch):
        share = re.search(r"\d+\.\d%", row)
        assert share is not None and share[0] in said, "the table and the sentence agree"


def test_each_norm_brings_its_own_settings_and_no_others(page: Page) -> None:
    enter(page, SMALL + "&step=5&lanes=none")
    every = {name for names in OWN.values() for name in names}
    for norm, own in {"none": [], **OWN}.items():
        if norm != "none":
            page.get_by_label("Norm of lane 1").select_option(norm)
            wait_for_address(page, f"lanes={norm}")
            offered = page.get_by_label("Let lane 1 differ in").locator("option").all_inner_texts()
            assert ("ε eps" in offered) == (norm in ("group", "renorm", "batch")), norm
        for name in own:
            expect(page.locator(f".panel > details [data-control={name}]")).to_be_visible()
        for name in every - set(own):
            expect(page.locator(f".panel > details [data-control={name}]")).to_be_hidden()


def test_every_norm_of_the_table_can_be_chosen_and_shows_its_name(page: Page) -> None:
    enter(page, SMALL + "&step=5&lanes=none")
    choice = page.get_by_label("Norm of lane 1")
    names = choice.locator("option").all_inner_texts()
    assert len(names) == 14 and "filter response norm" in names and "dynamic tanh" in names
    for value in ("frn", "weight", "standard", "running", "ghost", "instance"):
        choice.select_option(value)
        at_step(page, 5)
        shown = choice.locator("option:checked").inner_text()
        expect(page.locator(".standing tbody")).to_contain_text(shown)
        expect(verdict(page)).to_contain_text(shown)


def test_dragging_a_norms_own_setting_bends_its_curve(page: Page) -> None:
    enter(page, SMALL + "&step=60&lanes=renorm")
    at_step(page, 60)
    before = canvases(page)
    drag_slider(page, "r_max", 0.6, 0.0)
    drag_slider(page, "d_max", 0.6, 0.0)
    wait_for_address(page, r"r_max=1\.0.*d_max=0\.0")
    at_step(page, 60)
    assert canvases(page) != before


def test_convolutional_networks_race_and_their_link_shows_the_same(
    page: Page, context: BrowserContext
) -> None:
    enter(page, CONV + "&step=30&lanes=none,group~groups:2,batch~weight_norm:standard")
    at_step(page, 30)
    measured(page)
    assert "1,418" in rows(page)[0], "8 and 16 channels, 3 x 3"
    other = context.new_page()
    open_lab(other, page.url)
    at_step(other, 30)
    expect(verdict(other)).to_have_text(verdict(page).inner_text())
    assert canvases(other)[:2] == canvases(page)[:2]


def test_a_network_chosen_in_the_panel_says_what_it_needs(page: Page) -> None:
    enter(page, SMALL + "&dataset=moons&step=10&lanes=none,layer")
    at_step(page, 10)
    expect(figure(page, "surface")).to_be_visible()
    page.locator("[data-control=network]").select_option("rnn")
    expect(page.locator(".lanes p.hint")).to_contain_text("the data set is “handwritten digits”")
    expect(figure(page, "surface")).to_be_hidden()
    data = page.locator("[data-control=dataset]")
    expect(data).to_be_disabled()
    expect(data).to_have_value("digits")
    at_step(page, 10)
    wait_for_address(page, "network=rnn")
    page.locator("[data-control=network]").select_option("mlp")
    expect(data).to_be_enabled()
    expect(data).to_have_value("moons")


def test_a_gan_shows_what_it_draws_and_the_words_change_with_it(page: Page) -> None:
    enter(page, RING + "&step=10")
    expect(figure(page, "accuracy").locator(".caption")).to_have_text("Samples near a Gaussian")
    expect(figure(page, "surface").locator(".caption")).to_have_text("Generated samples")
    expect(verdict(page)).to_contain_text("Step 10, samples near a Gaussian")
    expect(page.locator(".standing thead")).to_contain_text("Samples near a Gaussian, step 10")
    losses = figure(page, "loss").locator("[data-control=loss] option")
    assert losses.all_inner_texts() == ["discriminator", "generator"]
    page.locator("summary", has_text="More settings").click()
    expect(page.locator("[data-control=weight_decay]")).to_be_visible()
    expect(page.locator("[data-control=label_noise]")).to_be_hidden()
    cloud = page.locator("canvas.surface")
    before = cloud.evaluate("(canvas) => canvas.toDataURL()")
    page.locator("input.scrub").focus()
    page.keyboard.press("End")
    expect(page.locator(".lab")).to_have_attribute("data-step", "200")
    assert cloud.evaluate("(canvas) => canvas.toDataURL()") != before, "the samples have moved"
    page.locator("[data-control=network]").select_option("mlp")
    expect(page.locator("[data-control=label_noise]")).to_be_visible()
    expect(figure(page, "accuracy").locator(".caption")).to_have_text("Validation accuracy")
    expect(figure(page, "surface").locator(".caption")).to_have_text("Decision surface")


def test_pytorch_is_asked_and_agrees(page: Page) -> None:
    enter(page, SMALL + "&step=12&lanes=batch,spectral")
    at_step(page, 12)
    page.locator("summary", has_text="Check against PyTorch").click()
    page.get_by_role("button", name="Compare every lane with PyTorch").click()
    checks = page.locator(".lane-check")
    expect(checks).to_have_count(2)
    for number, name in enumerate(("batch norm", "spectral norm")):
        expect(checks.nth(number).locator("summary")).to_contain_text(f"✓ {name}: agrees. Largest difference")
    expect(page.locator(".check [role=status]")).to_contain_text("Step 12, PyTorch 2.")
    checks.first.locator("summary").click()
    expect(checks.first.locator("table")).to_contain_text("gradient of weight0")
    expect(page.get_by_role("button", name="Compare every lane with PyTorch")).to_be_enabled()


def test_nonsense_in_the_address_is_told_and_the_rest_is_used(page: Page) -> None:
    enter(page, SMALL + "&network=transformer&lanes=batch,nonsense&r_max=-3&groups=x&step=5")
    warning = page.get_by_role("alert")
    for part in ("network=transformer", "lane 2, “nonsense”, must be a norm", "r_max=-3", "groups=x"):
        expect(warning).to_contain_text(part)
    at_step(page, 5)
    expect(page.locator(".standing tbody th")).to_have_text(["batch norm"])


def test_on_a_phone_the_table_of_lanes_fits(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    enter(page, SMALL + "&step=20&lanes=none,batch,frn,standard")
    at_step(page, 20)
    measured(page)
    box = page.locator(".standing").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_short_heading_says_the_norm_where_that_tells_the_lanes_apart(page: Page) -> None:
    """Names are drawn on canvas: as SVG they are text, an outline and then the letters."""
    enter(page, SMALL + "&step=20&lanes=none,none~lr:2.0,batch~lr:2.0~eps:0.5")
    at_step(page, 20)
    page.locator("summary", has_text="Take it away").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="SVG").click()
    drawing = download.value.path().read_text()
    for picture in ("Histograms: ", "Histograms over time: "):
        part = drawing[drawing.index(f'aria-label="{picture}') :].partition('<g class="figure"')[0]
        texts = re.findall(r'<text x="([\d.]+)"[^>]*>([^<>]+)</text>', part)
        columns: dict[str, list[str]] = {}
        for place, word in texts:
            if not re.fullmatch(r"−?\d+|layer \d|step", word):
                words = columns.setdefault(place, [])
                if word not in words:
                    words.append(word)
        # The first lane has no second line: nothing but its norm.
        assert list(columns.values()) == [
            ["no norm"],
            ["no norm", "lr 2"],
            ["batch norm", "lr 2, ε 0.5"],
        ], texts


def test_a_relatives_scene_keeps_the_samples_back_until_it_is_answered(page: Page) -> None:
    enter(page, "/training-lab?preset=ring")
    expect(question(page)).to_contain_text(SCENES["ring"].scene.question)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_disabled()
    page.keyboard.press("ArrowRight")
    expect(figure(page, "accuracy").locator(".caption")).to_have_text("Samples near a Gaussian")
    expect(figure(page, "surface")).to_be_hidden()
    expect(verdict(page)).to_have_text("")
    expect(page.locator(".lab")).to_have_attribute("data-step", "0")
    enter(page, "/training-lab?preset=ring&guess=-3&step=5")
    expect(verdict(page)).to_contain_text("Step 5, samples near a Gaussian")
    expect(figure(page, "surface")).to_be_visible()


def test_a_race_out_of_the_menu_stops_where_it_is_judged_also_for_who_skips(page: Page) -> None:
    scene = SCENES["mend"]
    enter(page, SMALL + "&step=3&speed=120")
    at_step(page, 3)
    page.get_by_label("Predict a race").select_option(scene.scene.title)
    expect(question(page)).to_contain_text(scene.scene.question)
    page.get_by_role("button", name="Skip the question").click()
    expect(page.locator(".clock")).to_have_text(f"step {scene.until}", timeout=60_000)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    at_step(page, scene.until)
    wait_for_address(page, "preset=mend.*guess=-3")
