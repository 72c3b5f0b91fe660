"""What a chapter declares, put together from its scenes' modules."""

from types import ModuleType

from book.chapter import Job, Passage, Scene, View
from book.controls import seed_control
from book.scenes import of_scenes


def module(name: str, **more: object) -> ModuleType:
    found = ModuleType(name)
    found.SCENE, found.PASSAGES = Scene(name, name.title()), (Passage(name, len),)
    found.view = lambda values, found: View(text=f"{name} {sorted(found)}")
    found.pytorch = found.script = lambda values: name
    vars(found).update(more)
    return found


def jobs(values):
    return {"long": Job(len, ("a",)), "short": Job(len, ((values["draft"],),), light=True)}


def test_each_scene_is_answered_by_its_own_module():
    control = seed_control()
    fields = of_scenes(module("one", jobs=jobs, lab=lambda values: "a race"), module("two"), more=(control,))
    assert [scene.name for scene in fields["scenes"]] == ["one", "two"] and fields["controls"] == (control,)
    assert [passage.what for passage in fields["code"]] == ["one", "two"]
    one, two = {"scene": "one"}, {"scene": "two"}
    assert (
        fields["compute"](one, {"x": 1}).text == "one ['x']" and fields["compute"](two, {}).text == "two []"
    )
    assert fields["pytorch"](two) == fields["script"](two) == "two"
    assert fields["lab"](one) == "a race" and fields["lab"](two) is None
    assert set(fields["jobs"](one)) == {"long", "short"} and fields["jobs"](two) == {}
    assert fields["jobs"](one)["short"].arguments == ((False,),), "nothing moves unless it is said"


def test_while_a_finger_moves_heavy_jobs_may_wait():
    moving = {"scene": "one", "draft": True}
    assert set(of_scenes(module("one", jobs=jobs))["jobs"](moving)) == {"long", "short"}
    light = of_scenes(module("one", jobs=jobs), light=True)
    assert set(light["jobs"](moving)) == {"short"} and set(light["jobs"](moving | {"draft": False})) == {
        "long",
        "short",
    }
