"""What .streamlit/config.toml settles, asked of Streamlit itself."""

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_cache import populate_hash_if_needed


def test_no_message_is_remembered_in_the_browser_and_so_none_can_be_missing():
    message = ForwardMsg()
    message.delta.new_element.markdown.body = "x" * 16 * 2**20  # the longest that is sent
    populate_hash_if_needed(message)
    assert message.hash and not message.metadata.cacheable
