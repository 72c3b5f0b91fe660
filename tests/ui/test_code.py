""" "Show the code": nothing of it is made before a reader opens it."""

from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.testing.v1 import AppTest

from book.beside import source
from book.race.code import lab_code
from live.messages import LAB_CONTROLS, read


def page():
    from book.race.code import lab_code
    from live.messages import LAB_CONTROLS, read
    from ui.code import show_code

    show_code(lab_code(read(LAB_CONTROLS, {"lanes": "none,batch"})[0]))


def test_nothing_is_sent_before_it_is_opened():
    app = AppTest.from_function(page).run()

    def turned(is_open):
        states = WidgetStates()
        states.widgets.add(id=app.expander[0].proto.id, bool_value=is_open)
        app._run(states)
        assert not app.exception
        return [line.value for line in app.markdown], [shown.value for shown in app.code]

    assert app.expander[0].label == "Show the code" and not app.code
    passages = lab_code(read(LAB_CONTROLS, {})[0])
    assert turned(True) == (
        [passage.what for passage in passages],
        [source(passage.function).strip() for passage in passages],
    )
    assert turned(False) == ([], [])
