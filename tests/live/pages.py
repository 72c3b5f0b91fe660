"""Pages without a browser, served by a channel in this very process."""

import asyncio
import json

from live import messages
from live.channel import Channel
from tests.scheduler import ThreadDesk

PATIENCE = 60


class Page:
    """A page's socket, seen from the server."""

    scope = {"extensions": {}}

    def __init__(self, channel):
        self.coming, self.got, self.news = asyncio.Queue(), [], asyncio.Event()
        self.served = asyncio.create_task(channel.serve(self))

    async def accept(self):
        pass

    async def receive(self):
        return await self.coming.get()

    async def send_text(self, message):
        self.got.append(json.loads(message))
        self.news.set()

    async def send_bytes(self, message):
        header, arrays = messages.unpack(message)
        self.got.append(header | {"rows": len(arrays.get("rows", ()))})
        self.news.set()

    def ask(self, kind, **message):
        message = {"kind": kind, "id": 1} | message
        self.coming.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    def of(self, kind):
        """What has come so far of one kind."""
        return [message for message in self.got if message["kind"] == kind]

    async def first(self, kind, count=1):
        """The first so many messages of one kind, once they are there."""
        while len(self.of(kind)) < count:
            self.news.clear()
            await self.news.wait()
        return self.of(kind)[:count]

    async def rows(self, count, number=1):
        """Wait until so many frames of a race's lanes, taken together, are there."""

        def come():
            asked = [at for at, m in enumerate(self.got) if (m["kind"], m.get("id")) == ("lab", number)]
            return sum(m["rows"] for m in self.got[asked[-1] :] if m["kind"] == "frames") if asked else 0

        while come() < count:
            self.news.clear()
            await self.news.wait()

    async def leave(self):
        """Go away, and wait until the server has noticed."""
        self.coming.put_nowait({"type": "websocket.disconnect"})
        await self.served


def with_channel(scenario):
    """Run ``scenario(channel)`` in an event loop of its own; threads stand for the pool's processes."""

    async def run():
        desk = ThreadDesk()
        desk.start()
        try:
            await asyncio.wait_for(scenario(Channel(desk)), PATIENCE)
        finally:
            desk.stop()

    asyncio.run(run())
