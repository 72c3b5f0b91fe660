"""What a scene's question is measured by, and what a reader is told of it before and after the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .chapter import Chapter, Numbers, Scene
from .controls import Values
from .words import filled


class Answer(NamedTuple):
    """What was measured: the number of the right choice, and what is said of it."""

    right: int
    said: str
    because: str
    but: str
    reveal: Values


def measured_states(
    chapter: Chapter, scene: Scene, **given: Any
) -> tuple[Values, Callable[[Numbers], Values]]:
    """Return the settings before the answer, and from the numbers there those of the reveal.

    ``given`` are settings that both have beside the scene's, such as another seed.
    """

    def reveal(before: Numbers) -> Values:
        moved = {name: _number(value, before) for name, value in scene.reveal.items()}
        return chapter.settings(scene, {**moved, **given}, answered=True)

    # As answered: while a question is open a view may keep to itself what decides it.
    return chapter.settings(scene, given, answered=True), reveal


def answer(scene: Scene, before: Numbers, reveal: Values, after: Numbers) -> Answer:
    """Judge a scene's choices by the numbers before and after its reveal."""
    numbers = {f"before_{name}": value for name, value in before.items()} | after
    values = [float(_number(choice.value, before)) for choice in scene.choices]
    return Answer(
        nearest(values, after[scene.measured]),
        filled(scene.said, numbers),
        filled(scene.because, numbers),
        filled(scene.but, numbers),
        {name: value for name, value in reveal.items() if name != "guesses"},
    )


def nearest(values: Sequence[float], measured: float) -> int:
    """Return the place of the value that comes nearest to what was measured."""
    return min(range(len(values)), key=lambda i: abs(values[i] - measured))


def _number(value: Any, numbers: Numbers) -> Any:
    return float(f"{numbers[value]:.6g}") if isinstance(value, str) and value in numbers else value


def holds(chapter: Chapter, values: Values, reveal: Values) -> bool:
    """Say whether settings are those of the reveal, so that what was said of it is still true.

    What only changes the way of looking (group "view") doesn't count.
    """
    counting = (control.name for control in chapter.controls if control.group != "view")
    return all(values[name] == reveal[name] for name in counting)


def story(chapter: Chapter) -> list[dict[str, Any]]:
    """Return the scenes as plain JSON: what a reader may know before an answer."""
    return [
        {
            "name": scene.name, "title": scene.title, "question": scene.question, "task": scene.task,
            "choices": [choice.label for choice in scene.choices],
            "controls": scene.controls, "walk": dict(scene.walk),
            "start": {k: v for k, v in chapter.settings(scene, {}).items() if k != "guesses"},
        }
        for scene in chapter.scenes
    ]  # fmt: skip


def told(chapter: Chapter, values: Values, measured: Answer) -> dict[str, Any]:
    """Return what is said once the scene's question is answered, as plain JSON."""
    scene = chapter.scene(values)
    assert scene is not None
    guess = dict(values["guesses"])[scene.name]
    credit = scene.choices[guess].credit if guess != measured.right else ""
    here = holds(chapter, values, measured.reveal)
    return {
        "right": measured.right, "credit": credit, "because": measured.because, "but": measured.but,
        "said": measured.said,
        "holds": here, "reveal": measured.reveal,
    }  # fmt: skip
