"""The stream behind the pages: what happens on one account, to its owner."""

from __future__ import annotations

from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from accounts.selectors import accounts_of
from vibex.lib.events import account_group


class AccountConsumer(AsyncJsonWebsocketConsumer):
    """Forwards the events of an account. Anybody but its owner is refused before the handshake."""

    group: str | None = None

    async def connect(self) -> None:
        account_id = self.scope["url_route"]["kwargs"]["account_id"]
        if not await self._may_watch(account_id):
            await self.close()
            return
        self.group = account_group(account_id)
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        """Answer whatever a page sends with a sign of life; nothing that is sent here is read."""
        await self.send_json({"kind": "alive"})

    async def vibex_event(self, event: dict[str, Any]) -> None:
        await self.send_json({"kind": event["kind"], "data": event["data"]})

    @database_sync_to_async
    def _may_watch(self, account_id: int) -> bool:
        user = self.scope.get("user")
        return bool(user and user.is_authenticated and accounts_of(user).filter(pk=account_id).exists())
