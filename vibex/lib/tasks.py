"""Tasks carry on the request id of whoever asked for them."""

from typing import Any

from celery import Task

from vibex.lib.logging import bound


class CarryingTask(Task):  # type: ignore[type-arg] # generic in the stubs only
    """Send the request id along with the task and bind it, with the task's name, while the task runs."""

    def apply_async(self, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        import structlog.contextvars

        request_id = structlog.contextvars.get_contextvars().get("request_id")
        carried = {"request_id": request_id} if request_id else {}
        options["headers"] = carried | (options.get("headers") or {})
        return super().apply_async(args, kwargs, *more, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        request_id = getattr(self.request, "request_id", None) or self.request.id
        with bound(task=self.name, request_id=request_id):
            return super().__call__(*args, **kwargs)
